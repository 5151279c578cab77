"""The tray icon, where the desktop has a tray; everything it does is in the window too.

It runs on a thread of its own and never touches Tk: what is clicked is posted to the window's loop. macOS wants its
status item on the main thread, which belongs to Tk there: no tray on macOS, the Dock takes its place.
"""

from __future__ import annotations

import logging
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any

from gui import texts
from gui.components.icons import ASSETS
from gui.presenters.status import StatusView

log = logging.getLogger(__name__)

# X protocol: what the icon's window wants to hear. pystray leaves button presses out, so nothing can be clicked.
_X_GROUND = (46, 44, 52, 255)
_X_EXPOSURE, _X_STRUCTURE, _X_BUTTON_PRESS = 1 << 15, 1 << 17, 1 << 2


# What Windows has room for (NOTIFYICONDATAW, without the closing zero); the library refuses anything longer.
TIP_UNITS, TITLE_UNITS, TEXT_UNITS = 127, 63, 255


def cut(text: str, units: int) -> str:
    """At most so many UTF-16 units, which is how Windows counts: an emoji is two. What is cut ends in an ellipsis."""
    encoded = text.encode("utf-16-le", "replace")
    if len(encoded) <= 2 * units:
        return text
    return encoded[: 2 * (units - 1)].decode("utf-16-le", "ignore").rstrip() + "…"


class SystemTray:
    """`actions`: show, start, stop, free and exit, called through `post` on the window's thread."""

    def __init__(
        self,
        *,
        post: Callable[[Callable[[], Any]], None],
        actions: dict[str, Callable[[], Any]],
        menu_at: Callable[[int, int], Any],
    ) -> None:
        self._post, self._actions, self._menu_at = post, actions, menu_at
        self._icon: Any = None
        self._images: dict[str, Any] = {}
        self._shown = ("", "")
        self._is_flat = False
        self._can_start, self._can_stop, self._can_free = True, False, False
        self.is_available = False

    def start(self) -> bool:
        """Put the icon up; False where there is no tray (the program goes on without)."""
        if sys.platform == "darwin":
            return False
        try:
            import pystray

            self._icon = self._make(pystray)
            if not self._has_place():
                _disconnect(self._icon)
                self._icon = None
                return False
        except Exception as error:  # pystray raises whatever its backend raises, e.g. Xlib's DisplayNameError
            log.info("No tray here: %s", error)
            self._icon = None
            return False
        threading.Thread(target=self._run, name="panel-tray", daemon=True).start()
        self.is_available = True
        return True

    def update(self, view: StatusView, *, tip: str) -> None:
        """Picture, tooltip and menu for a new state; costs nothing while the same."""
        if not self.is_available:
            return
        self._can_start, self._can_stop, self._can_free = view.can_start, view.can_stop, view.can_free
        if (view.tray, tip) == self._shown:
            return
        picture_changed = view.tray != self._shown[0]
        self._shown = (view.tray, tip)
        try:
            if picture_changed:
                self._icon.icon = self._image(view.tray)
            self._icon.title = cut(tip, TIP_UNITS)
            self._icon.update_menu()
        except Exception as error:  # the tray may have gone away with its panel; the window stays
            log.warning("The tray icon could not be updated: %s", error)
            self.is_available = False

    def notify(self, title: str, text: str) -> bool:
        """A desktop notification; False when this desktop offers no way."""
        title, text = cut(title, TITLE_UNITS), cut(text, TEXT_UNITS)
        if self.is_available and self._icon.HAS_NOTIFICATION:
            self._icon.notify(text or title, title)
            return True
        return notify_by_command(title, text)

    def stop(self) -> None:
        """Take the icon away."""
        if self.is_available:
            self.is_available = False
            try:
                self._icon.stop()
            except Exception as error:  # closing down: the X connection may be gone already
                log.debug("The tray icon did not stop cleanly: %s", error)

    # ---- inside ----------------------------------------------------------------------------------

    def _make(self, pystray: Any) -> Any:
        item, menu = pystray.MenuItem, pystray.Menu

        def call(name: str) -> Callable[..., None]:
            return lambda *_: self._post(self._actions[name])

        entries = menu(
            item(texts.TRAY_SHOW, call("show"), default=True),
            menu.SEPARATOR,
            item(texts.TRAY_START, call("start"), enabled=lambda _: self._can_start),
            item(texts.TRAY_STOP, call("stop"), enabled=lambda _: self._can_stop),
            item(texts.TRAY_FREE, call("free"), enabled=lambda _: self._can_free),
            menu.SEPARATOR,
            item(texts.TRAY_EXIT, call("exit")),
        )
        self._is_flat = not pystray.Icon.HAS_MENU
        icon = pystray.Icon("personality-bot", self._image("stopped"), texts.APP_NAME, entries)
        if not icon.HAS_MENU:
            self._teach_clicks(icon)
        return icon

    def _teach_clicks(self, icon: Any) -> None:
        """The plain X backend has no menu and hears no clicks: widen its event mask, and draw the menu with Tk."""

        def pressed(event: Any) -> None:
            if event.detail == 1:
                self._post(self._actions["show"])
            elif event.detail == 3:
                self._post(lambda: self._menu_at(event.root_x, event.root_y))

        icon._message_handlers[4] = pressed  # noqa: SLF001 - 4: ButtonPress (X protocol); pystray offers no other way
        window = icon._window  # noqa: SLF001
        window.change_attributes(event_mask=_X_EXPOSURE | _X_STRUCTURE | _X_BUTTON_PRESS)

    def _has_place(self) -> bool:
        # Only the plain X backend can tell; the others dock by themselves.
        find = getattr(self._icon, "_get_systray_manager", None)
        return True if find is None else bool(find())

    def _run(self) -> None:
        try:
            self._icon.run()
        except Exception as error:  # see start
            log.warning("The tray icon ended: %s", error)
        self.is_available = False
        _disconnect(self._icon)

    def _image(self, state: str) -> Any:
        if state not in self._images:
            from PIL import Image

            with Image.open(ASSETS / f"tray_{state}.png") as opened:
                picture = opened.convert("RGBA")
            if self._is_flat:  # the plain X backend drops transparency and shows what lies under it
                ground = Image.new("RGBA", picture.size, _X_GROUND)
                picture = Image.alpha_composite(ground, picture)
            self._images[state] = picture
        return self._images[state]


class _Disconnected:
    """Stands where a closed X connection was."""

    def close(self) -> None:
        return


def _disconnect(icon: Any) -> None:
    """Close the plain X backend's connection now. Left to pystray it happens when garbage is collected: at any moment,
    in whatever code is running, and with an exception once the screen is gone."""
    display = getattr(icon, "_display", None)
    if display is not None:
        icon._display = _Disconnected()  # noqa: SLF001
        try:
            display.close()
        except Exception as error:  # the X connection may be gone already
            log.debug("The tray's connection did not close cleanly: %s", error)


def notify_by_command(title: str, text: str, *, run: Callable[..., Any] = subprocess.Popen) -> bool:
    """notify-send on Linux, osascript on macOS; False where there is neither."""
    if sys.platform == "darwin":
        script = f"display notification {_apple_text(text or title)} with title {_apple_text(title)}"
        command = ["osascript", "-e", script]
    elif found := shutil.which("notify-send"):
        command = [found, f"--app-name={texts.APP_NAME}", f"--icon={ASSETS / 'logo.png'}", "--", title, text]
    else:
        return False
    try:
        run(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    except OSError:
        return False
    return True


def _apple_text(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
