"""What is kept in .env: the token, the server's id, the admins."""

from __future__ import annotations

import os
from typing import Any

from gui import texts
from gui.components.basics import RowFrame, Text
from gui.components.button import Button
from gui.components.inputs import Field
from gui.components.room import Panel, S
from gui.components.setting_lines import LabelledRow
from gui.presenters import settings as view
from storage.environment import TOKEN, Environment, read_environment, write_value


class TokenLine(LabelledRow):
    """Dots with Show and Edit. The token goes to .env and nowhere else."""

    def __init__(self, master: Any, panel: Panel) -> None:
        super().__init__(master, panel, texts.TOKEN_LABEL, texts.TOKEN_HELP)
        self._environment = Environment()
        self._is_shown = self._is_editing = False
        self.holder = RowFrame(self)
        self.holder.grid_columnconfigure(0, weight=1)
        self.place_control(self.holder, below=True)
        self.value = Text(self.holder, texts.TOKEN_NONE, role="mono", colour="muted")
        self.value.grid(row=0, column=0, sticky="w")
        self.show_button = Button(self.holder, texts.TOKEN_SHOW, self._flip, icon="eye")
        self.show_button.grid(row=0, column=1, padx=(S, 0))
        self.edit = Button(self.holder, texts.TOKEN_EDIT, self._edit)
        self.edit.grid(row=0, column=2, padx=(S, 0))
        self.field = Field(self.holder, placeholder=texts.TOKEN_PASTE, secret=True, mono=True)
        self.field.bind("<Return>", lambda _: self._save())
        self.field.bind("<Escape>", lambda _: self._stop_editing())
        self.field.bind(
            "<KeyRelease>",
            lambda _: self.show_problem(view.token_problem(self.field.get()) if self.field.get().strip() else ""),
        )

    def show_environment(self, environment: Environment) -> None:
        """Show the stored token, masked unless the owner asked to see it."""
        self._environment = environment
        shown = view.token_view(environment, is_shown=self._is_shown, is_overridden=TOKEN in os.environ)
        self.value.show(shown.text)
        self.show_button.set_enabled(shown.is_set)
        self.show_button.show(texts.TOKEN_HIDE if self._is_shown else texts.TOKEN_SHOW)
        if shown.note:
            self._help_text = shown.note
            self.help.show(shown.note)

    def _flip(self) -> None:
        self._is_shown = not self._is_shown
        self.show_environment(self._environment)

    def _edit(self) -> None:
        if self._is_editing:
            self._save()
            return
        self._is_editing = True
        self.value.grid_remove()
        self.field.grid(row=0, column=0, sticky="ew")
        self.field.set_text("")
        self.field.focus()
        self.edit.show(texts.TOKEN_SAVE)

    def _save(self) -> None:
        token = view.clean_token(self.field.get())
        problem = view.token_problem(token)
        if problem:
            self.show_problem(problem)
            return
        env_file = self.panel.workspace.env_file
        self.panel.ask(lambda: (write_value(env_file, TOKEN, token), read_environment(env_file))[1], self._saved)

    def _saved(self, environment: Environment) -> None:
        self._stop_editing()
        self.show_environment(environment)
        self.panel.toast(texts.TOKEN_SAVED, tone="good")

    def _stop_editing(self) -> None:
        self._is_editing = False
        self.field.set_text("")
        self.field.grid_remove()
        self.value.grid()
        self.show_problem("")
        self.edit.show(texts.TOKEN_EDIT)


class EnvironmentLine(LabelledRow):
    """An id or ids kept in .env."""

    def __init__(self, master: Any, panel: Panel, key: str, label: str, help_text: str) -> None:
        super().__init__(master, panel, label, help_text)
        self._key, self._stored = key, ""
        self.field = Field(self, width=230, mono=True)
        self.place_control(self.field)
        self.field.bind("<KeyRelease>", lambda _: self._check())
        self.field.bind("<Return>", lambda _: self._save())
        self.field.bind("<FocusOut>", lambda _: self._save())

    def show_value(self, text: str) -> None:
        """Show the stored value; what is being typed is replaced."""
        self._stored = text
        self.field.set_text(text)

    def _check(self) -> bool:
        problem = view.ids_problem(self.field.get())
        self.show_problem(problem)
        self.field.set_wrong(bool(problem))
        return not problem

    def _save(self) -> None:
        text = self.field.get().strip()
        if text == self._stored or not self._check():
            return
        env_file, key, self._stored = self.panel.workspace.env_file, self._key, text
        self.panel.ask(
            lambda: write_value(env_file, key, text), lambda _: self.panel.toast(texts.ENV_SAVED, tone="good")
        )
