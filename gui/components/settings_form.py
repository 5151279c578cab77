"""The rows of one group of settings, and the actions that belong to it."""

from __future__ import annotations

import tkinter as tk
from collections.abc import Callable, Iterator
from typing import Any

from gui import texts
from gui.components.basics import Card, Hairline, RowFrame, Text
from gui.components.button import Button
from gui.components.environment_lines import EnvironmentLine, TokenLine
from gui.components.room import M, Panel, S
from gui.components.setting_lines import BootLine, LabelledRow, SettingLine
from gui.presenters import settings as view
from storage.environment import ADMIN_USERS, SERVER_ID, Environment, read_environment
from storage.jobs.kinds import JobKind
from storage.settings import GPU_LAYERS, Settings
from storage.system.launch_entry import launch_command
from storage.system.shortcuts import make_shortcuts


class SettingsForm(Card):
    """The rows of one group."""

    def __init__(self, master: Any, panel: Panel, title: str) -> None:
        super().__init__(master, title)
        self._panel = panel
        self.body.grid_columnconfigure(0, weight=1)
        self.rows: dict[str, SettingLine] = {}
        self._shown_calls: list[Callable[[], Any]] = []
        self._count = 0

    def build(self, group: str) -> Iterator[None]:
        """Make the lines of one group; each `yield` lets the window breathe."""
        if group == "Discord":
            yield from self._discord()
        if group == "Channels":
            yield from self._channels()
        for row in view.rows_of(group):
            self.rows[row.key] = SettingLine(self.body, self._panel, row)
            self._put(self.rows[row.key])
            yield
        yield from {"Startup": self._startup, "Data": self._data, "Model": self._model, "Advanced": self._advanced}.get(
            group, lambda: iter(())
        )()

    def build_rows(self, rows: tuple[view.SettingRow, ...]) -> Iterator[None]:
        """Make the lines of some settings, whatever their groups; each `yield` lets the window breathe."""
        for row in rows:
            self.rows[row.key] = SettingLine(self.body, self._panel, row)
            self._put(self.rows[row.key])
            yield

    def show(self, settings: Settings) -> None:
        """Put every line where the settings are."""
        for row in self.rows.values():
            row.show(settings)

    def shown(self) -> None:
        """Called each time the group comes in front."""
        for call in self._shown_calls:
            call()

    def _put(self, widget: tk.Misc) -> None:
        gap = self._panel.theme.px(M)
        if self._count:
            Hairline(self.body).grid(row=self._count * 2 - 1, column=0, sticky="ew", pady=gap)
        widget.grid(row=self._count * 2, column=0, sticky="ew")  # type: ignore[attr-defined]
        self._count += 1

    def _action(self, label: str, help_text: str, button: str, command: Callable[[], Any]) -> LabelledRow:
        row = LabelledRow(self.body, self._panel, label, help_text)
        row.place_control(Button(row, button, command))
        self._put(row)
        return row

    def _startup(self) -> Iterator[None]:
        boot = BootLine(self.body, self._panel)
        self._put(boot)
        self._shown_calls.append(boot.read)
        yield
        self._action(texts.SHORTCUT_LABEL, texts.SHORTCUT_HELP, texts.SHORTCUT_MAKE, self._make_shortcut)
        yield

    def _make_shortcut(self) -> None:
        panel = self._panel
        panel.ask(
            lambda: make_shortcuts(launch_command(panel.workspace)),
            lambda _: panel.toast(texts.SHORTCUT_MADE, tone="good"),
        )

    def _data(self) -> Iterator[None]:
        self._action(
            texts.INDEX_LABEL,
            texts.INDEX_HELP,
            texts.INDEX_BUTTON,
            lambda: self._panel.start_job(JobKind.INDEX, ["--rebuild-index"]),
        )
        yield

    def _model(self) -> Iterator[None]:
        self._action(texts.TUNE_LABEL, texts.TUNE_HELP, texts.TUNE_BUTTON, lambda: self._panel.start_job(JobKind.TUNE))
        line = self.rows.get(GPU_LAYERS.key)
        if line is not None:
            self._shown_calls.append(
                lambda: self._panel.ask(lambda: view.gpu_view(self._panel.store.facts.get("gpu")), line.show_gpu)
            )
        yield

    def _advanced(self) -> Iterator[None]:
        self._action(texts.DOCTOR_LABEL, texts.DOCTOR_HELP, texts.DOCTOR_BUTTON, self._check_everything)
        yield

    def _check_everything(self) -> None:
        self._panel.go("first_run")
        self._panel.start_job(JobKind.DOCTOR)

    def _discord(self) -> Iterator[None]:
        token = TokenLine(self.body, self._panel)
        self._put(token)
        yield
        server = EnvironmentLine(self.body, self._panel, SERVER_ID, texts.SERVER_LABEL, texts.SERVER_HELP)
        admins = EnvironmentLine(self.body, self._panel, ADMIN_USERS, texts.ADMINS_LABEL, texts.ADMINS_HELP)
        self._put(server)
        self._put(admins)

        def fill(environment: Environment) -> None:
            token.show_environment(environment)
            server.show_value(str(environment.server_id or ""))
            admins.show_value(", ".join(str(i) for i in sorted(environment.admin_ids)))

        env_file = self._panel.workspace.env_file
        self._shown_calls.append(lambda: self._panel.ask(lambda: read_environment(env_file), fill))
        yield

    def _channels(self) -> Iterator[None]:
        panel, lines = self._panel, RowFrame(self.body)
        lines.grid_columnconfigure(1, weight=1)
        top = LabelledRow(self.body, panel, texts.SETTINGS_GROUPS["Channels"], texts.CHANNELS_HELP)
        top.place_control(Button(top, texts.CHANNELS_EDIT, lambda: panel.go("people")))
        self._put(top)
        self._put(lines)

        def fill(found: tuple[tuple[str, str], ...]) -> None:
            for child in lines.winfo_children():
                child.destroy()
            if not found:
                Text(lines, texts.CHANNELS_NONE, colour="faint").grid(row=0, column=0)
            for row, (name, words) in enumerate(found[:60]):
                Text(lines, "✓" if words != "off" else "–", colour="good" if words != "off" else "faint").grid(
                    row=row, column=0, padx=(0, S), pady=2
                )
                Text(lines, name).grid(row=row, column=1, sticky="w")
                Text(lines, words, role="small", colour="muted").grid(row=row, column=2, sticky="e")

        self._shown_calls.append(lambda: panel.ask(lambda: view.channel_lines(panel.store.channels.all()), fill))
        yield
