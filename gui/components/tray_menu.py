"""The tray's menu, where the tray itself cannot show one."""

from __future__ import annotations

from functools import partial
from typing import Any

from gui import texts
from gui.components.choices import popup_menu
from gui.presenters.status import status_view


def open_tray_menu(app: Any, x: int, y: int) -> None:
    """Show it at a place of the screen. app: the panel's `App`, whose window and bot it is about."""
    view = status_view(app.pulse, clicked=app.wishes.clicked) if app.pulse is not None else None

    def state(is_possible: bool | None) -> Any:
        return "normal" if is_possible else "disabled"

    menu = popup_menu(app.root, app.theme)
    menu.add_command(label=texts.TRAY_SHOW if app.is_hidden else texts.TRAY_HIDE, command=app.toggle_window)
    menu.add_separator()
    for label, action, is_possible in (
        (texts.TRAY_START, "start", view is None or view.can_start),
        (texts.TRAY_STOP, "stop", view is not None and view.can_stop),
        (texts.TRAY_FREE, "free", view is not None and view.can_free),
    ):
        menu.add_command(label=label, command=partial(app.bot, action), state=state(is_possible))
    menu.add_separator()
    menu.add_command(label=texts.TRAY_EXIT, command=app.exit)
    menu.tk_popup(x, y)
