"""Light, dark, or matching the system: which of them is shown, and when it changes."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

from storage.settings import APPEARANCE

log = logging.getLogger(__name__)
SYSTEM_SECONDS = 20.0
# A change made here is on its way to the database for about this long.
OWN_CHANGE_SECONDS = 3.0
SYSTEM = "system"


class Appearance:
    """`tell` shows the chosen word in the window; `ask` runs work on the panel's worker."""

    def __init__(self, setting: str, *, ask: Callable[..., None]) -> None:
        self.setting = setting
        self._ask = ask
        self._changed_at = self._asked_at = 0.0

    @property
    def first_mode(self) -> str:
        """The mode to open the window in."""
        return system_mode() if self.setting == SYSTEM else self.setting

    @property
    def following(self) -> str:
        """The next one when the button is pressed."""
        order = list(APPEARANCE.choices)
        return order[(order.index(self.setting) + 1) % len(order)]

    def choose(self, setting: str) -> None:
        """The owner's choice, now."""
        self._changed_at = time.monotonic()
        self._show(setting)

    def follow_setting(self, setting: str) -> bool:
        """Another process may have changed it; True when the window follows."""
        if setting == self.setting or time.monotonic() - self._changed_at <= OWN_CHANGE_SECONDS:
            return False
        self._show(setting)
        return True

    def follow_system(self) -> None:
        """Look at the desktop's choice now and then; on Linux that takes a process, so it is asked on the worker."""
        if self.setting == SYSTEM and time.monotonic() - self._asked_at > SYSTEM_SECONDS:
            self._asked_at = time.monotonic()
            self._ask(system_mode, self._system_said, slow=True)

    def _show(self, setting: str) -> None:
        self.setting = setting
        if setting == SYSTEM:
            self._asked_at = 0.0
        else:
            _set_mode(setting)

    def _system_said(self, mode: str) -> None:
        if self.setting == SYSTEM:
            _set_mode(mode)


def _set_mode(mode: str) -> Any:
    import customtkinter as ctk

    ctk.set_appearance_mode(mode)


def system_mode() -> str:
    """'light' or 'dark', as the desktop says; light where it says nothing."""
    try:
        import darkdetect

        return "dark" if darkdetect.theme() == "Dark" else "light"
    except Exception as error:  # a missing desktop tool, in whatever words, is no reason not to open a window
        log.debug("The desktop does not say whether it is dark: %s", error)
        return "light"
