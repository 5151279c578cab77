"""One step of getting started: a number or a tick, what it is about, and the way to do it."""

from __future__ import annotations

import tkinter as tk
from collections.abc import Callable
from typing import Any

from gui import texts
from gui.components import icons
from gui.components.basics import RowFrame, Text
from gui.components.button import Button
from gui.components.inputs import Field
from gui.components.room import M, Panel
from gui.components.theme import XS
from gui.presenters.first_run import FirstRunStep


class StepLine(RowFrame):
    """A number or a tick, what it is about, and the way to do it."""

    def __init__(self, master: Any, panel: Panel) -> None:
        super().__init__(master)
        theme = panel.theme
        self._panel, self._number, self._state = panel, 0, ""
        self._is_busy = False
        self.grid_columnconfigure(1, weight=1)
        self.mark = tk.Label(
            self, bd=0, width=theme.px(26), height=theme.px(26), font=theme.fonts["strong"], compound="center"
        )
        self.mark.grid(row=0, column=0, rowspan=2, padx=(0, M), sticky="n")
        RowFrame(self).grid(row=0, column=1)
        self.title = Text(self, "", role="strong")
        self.title.grid(row=0, column=1, sticky="w")
        self.text = Text(self, "", role="small", colour="muted", wrap=True)
        self.text.grid(row=1, column=1, sticky="ew", padx=(0, M))
        self.tools = RowFrame(self)
        self.tools.grid(row=0, column=2, rowspan=2, sticky="e")
        self.buttons: list[Button] = []
        self.field: Field | None = None
        self._saving: list[Button] = []
        self._column = 0
        theme.follow(self.mark, self._paint)

    def button(self, words: str, command: Callable[[], Any]) -> None:
        """Add a button; the first one is the step's main one."""
        made = Button(self.tools, words, command, kind="secondary" if not self.buttons else "quiet")
        made.grid(row=0, column=self._column, padx=(XS, 0))
        self.buttons.append(made)
        self._column += 1

    def entry(self, placeholder: str, save: Callable[[str], str], *, secret: bool = False) -> None:
        """A field with Save; `save` answers with what is wrong, '' when nothing is."""
        self.field = field = Field(self.tools, placeholder=placeholder, width=200, mono=True)

        def done(_: object = None) -> None:
            raw = field.get()
            if not raw.strip():
                return
            problem = save(raw)
            field.set_wrong(bool(problem))
            if problem:
                self.text.show(problem, colour="bad")
            else:
                field.set_text("")
                self.focus_set()

        field.bind("<Return>", done)
        if secret:
            field.bind("<KeyRelease>", lambda _: field.configure(show="•" if field.get() else ""))
        field.grid(row=0, column=self._column)
        save_button = Button(self.tools, texts.TOKEN_SAVE, done)
        save_button.grid(row=0, column=self._column + 1, padx=(XS, 0))
        self._saving.append(save_button)
        self._column += 2

    def show(self, step: FirstRunStep, number: int) -> None:
        """Show the step's state; what is being typed stays."""
        self.title.show(step.title, colour="muted" if step.state == "locked" else "text")
        is_typed_into = self.field is not None and bool(self.field.get().strip())
        if not is_typed_into and not self._is_busy:
            self.text.show(step.text, colour="bad" if step.state == "bad" else "muted")
        if (step.state, number) != (self._state, self._number):
            self._state, self._number = step.state, number
            self._paint()
        first = next((button for button in self.buttons if button.winfo_manager()), None)
        for button in self.buttons:
            button.set_emphasis(step.is_open and button is first)
        self._enable()

    def _enable(self) -> None:
        """Locked steps cannot be begun, but what is typed into their fields stays."""
        is_free = self._state != "locked" and not self._is_busy
        for button in (*self.buttons, *self._saving):
            button.set_enabled(is_free)

    def show_progress(self, share: float | None, step: str) -> None:
        """While a job for this step runs: how far it is."""
        self._is_busy = share is not None
        if share is not None:
            self.text.show(f"{share * 100:.0f}\u2009%  {step}", colour="accent_text")
        self._enable()

    def _paint(self) -> None:
        theme = self._panel.theme
        names = {"done": ("check", "good"), "skipped": ("check", "faint"), "bad": ("alert", "bad")}
        if self._state in names:
            icon, colour = names[self._state]
            self.mark.configure(
                image=icons.photo(self, icon, theme.now(colour), theme.px(18)), text="", bg=theme.now(self.surface)
            )
            return
        colour = "accent_text" if self._state == "next" else "faint"
        self.mark.configure(
            image=icons.disc(
                self,
                theme.now("accent_soft" if self._state == "next" else "hover"),
                theme.now(self.surface),
                theme.px(24),
            ),
            text=str(self._number or ""),
            fg=theme.now(colour),
            bg=theme.now(self.surface),
        )


__all__ = ["StepLine"]
