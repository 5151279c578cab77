"""A mouse and a keyboard made of Tk's own events, for systems without xdotool. They understand the same commands.

What they cannot show is whether the system's window manager would have delivered the event; on Linux the real ones do.
"""

from __future__ import annotations

from typing import Any

_MODIFIERS = {"ctrl": "Control", "alt": "Alt", "shift": "Shift"}
_NAMES = {" ": "space", "-": "minus", ".": "period", "_": "underscore", ":": "colon", "/": "slash", "!": "exclam"}


class TkHands:
    """Points, clicks and types in one window."""

    def __init__(self, root: Any) -> None:
        self._root = root
        self._at = (0, 0)
        self._under: Any = None

    def do(self, command: str, *arguments: str) -> None:
        """mousemove X Y; click [--repeat N] BUTTON; type [--delay N] TEXT; key NAME."""
        if command == "mousemove":
            self._point(int(arguments[0]), int(arguments[1]))
        elif command == "click":
            repeat = int(arguments[1]) if arguments[0] == "--repeat" else 1
            for _ in range(repeat):
                self._click(int(arguments[-1]))
        elif command == "type":
            for character in arguments[-1]:
                self._key(_NAMES.get(character, character))
        elif command == "key":
            *modifiers, name = arguments[0].split("+")
            self._key("-".join([*(_MODIFIERS[modifier] for modifier in modifiers), name]))
        else:
            raise ValueError(command)

    def _point(self, x: int, y: int) -> None:
        self._at = (x, y)
        under = self._root.winfo_containing(x, y)
        if under is not self._under:
            if self._under is not None and self._under.winfo_exists():
                self._under.event_generate("<Leave>")
            self._under = under
            if under is not None:
                under.event_generate("<Enter>", **self._place(under))
        if under is not None:
            under.event_generate("<Motion>", **self._place(under))

    def _click(self, button: int) -> None:
        self._point(*self._at)  # what is under the pointer may have changed
        if self._under is None:
            return
        if button in (4, 5) and self._root.tk.call("tk", "windowingsystem") != "x11":  # X's wheel
            self._under.event_generate("<MouseWheel>", delta=120 if button == 4 else -120, **self._place(self._under))
            return
        pressed, place = self._under, self._place(self._under)
        pressed.event_generate(f"<ButtonPress-{button}>", **place)
        if pressed.winfo_exists():
            pressed.event_generate(f"<ButtonRelease-{button}>", **place)

    def _key(self, name: str) -> None:
        target = self._root.focus_get() or self._root
        target.event_generate(f"<KeyPress-{name}>" if "-" not in name else f"<{name}>")
        if target.winfo_exists() and "-" not in name:
            target.event_generate(f"<KeyRelease-{name}>")

    def _place(self, widget: Any) -> dict[str, int]:
        x, y = self._at
        return {"x": x - widget.winfo_rootx(), "y": y - widget.winfo_rooty(), "rootx": x, "rooty": y}
