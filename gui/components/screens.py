"""The screens as Tk knows them."""

from __future__ import annotations

from typing import Any

from gui.presenters.placing import Area, is_out_of_reach, within


def all_screens(window: Any) -> Area:
    """All screens together; on Windows and macOS those beside and above the first one, too."""
    return Area(window.winfo_vrootx(), window.winfo_vrooty(), window.winfo_vrootwidth(), window.winfo_vrootheight())


def place_within(window: Any, x: int, y: int) -> None:
    """Put a small window there, or as near to it as it can be seen."""
    x, y = within(all_screens(window), x, y, window.winfo_reqwidth(), window.winfo_reqheight())
    window.geometry(f"+{x}+{y}")


def bring_within_reach(window: Any) -> None:
    """A window whose screen was taken away comes to the first one; any other stays where it is."""
    if not window.winfo_exists() or window.state() != "normal":
        return
    x, y = window.winfo_x(), window.winfo_y()
    if is_out_of_reach(all_screens(window), x, y, window.winfo_width()):
        window.wm_geometry("+40+40")
