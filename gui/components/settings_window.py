"""The settings: groups on the left, one row a setting, saved as one types."""
from __future__ import annotations

import os
import tkinter as tk
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from tkinter import filedialog
from typing import Any

from gui import autostart, texts
from gui.components.room import M, Panel, Room, S
from gui.components.scroll import ScrollArea
from gui.components.theme import L
from gui.components.widgets import Button, Card, Choice, Field, Line, Pill, Row, Switch, Text
from gui.presenters import settings as view
from gui.presenters.pulse import Pulse
from storage.environment import ADMIN_USERS, SERVER_ID, TOKEN, Environment, read_environment, write_value
from storage.settings import APPEARANCE, GPU_LAYERS, LAUNCH_AT_LOGIN, REGISTRY, Setting, Settings

SAVE_DELAY_MS = 500


class SettingsRoom(Room):
    """Group list and form; a group's rows are made when it is first opened."""

    key, title, scrolls = "settings", texts.SETTINGS, False

    def __init__(self, master: Any, panel: Panel) -> None:
        super().__init__(master, panel)
        self.group = ""
        self.forms: dict[str, Form] = {}

    def build(self) -> Iterator[None]:
        page, theme = self.page, self.theme
        page.grid_columnconfigure(0, weight=0)
        page.grid_columnconfigure(1, weight=1)
        page.grid_rowconfigure(0, weight=1)
        Text(self.tools, texts.SETTINGS_HINT, role="small", colour="faint").grid(row=0, column=0)
        names = Row(page)
        names.grid(row=0, column=0, sticky="ns", padx=(0, theme.px(M)))
        self.names: dict[str, GroupName] = {}
        for row, group in enumerate(view.GROUPS):
            self.names[group] = GroupName(names, texts.SETTINGS_GROUPS[group], partial(self.open, group))
            self.names[group].grid(row=row, column=0, sticky="ew", pady=1)
            if row % 4 == 3:
                yield
        self.area = ScrollArea(page)
        self.area.grid(row=0, column=1, sticky="nsew")
        self.area.inner.grid_columnconfigure(0, weight=1)
        yield
        yield from self._make("Startup")
        self._front("Startup")

    def open(self, group: str) -> None:
        """Show a group, making it first if need be."""
        for name, item in self.names.items():
            item.set_active(name == group)
        if group in self.forms:
            self._front(group)
            return
        self.panel.in_slices(self._make(group), lambda: self._front(group))  # type: ignore[attr-defined]

    def beat(self, pulse: Pulse) -> None:
        if self.group in self.forms:
            self.forms[self.group].show(pulse.settings)

    def shown(self) -> None:
        if self.group in self.forms:
            self.forms[self.group].shown()

    def _make(self, group: str) -> Iterator[None]:
        form = Form(self.area.inner, self.panel, texts.SETTINGS_GROUPS[group])
        yield from form.build(group)
        self.forms[group] = form

    def _front(self, group: str) -> None:
        for name, item in self.names.items():
            item.set_active(name == group)
        if self.group in self.forms:
            self.forms[self.group].grid_remove()
        self.group = group
        form = self.forms[group]
        form.grid(row=0, column=0, sticky="ew", pady=(0, self.theme.px(L)))
        self.area.to_top()
        pulse = self.panel.pulse
        if pulse is not None:
            form.show(pulse.settings)
        form.shown()


class GroupName(Button):
    """A line of the group list."""

    def __init__(self, master: Any, text: str, command: Callable[[], Any]) -> None:
        super().__init__(master, text, command, kind="quiet", width=142, anchor="w", height=32)

    def set_active(self, is_active: bool) -> None:
        self.set_kind("active" if is_active else "quiet")


class Form(Card):
    """The rows of one group."""

    def __init__(self, master: Any, panel: Panel, title: str) -> None:
        super().__init__(master, title)
        self._panel = panel
        self.body.grid_columnconfigure(0, weight=1)
        self.rows: dict[str, SettingLine] = {}
        self._shown_calls: list[Callable[[], Any]] = []
        self._count = 0

    def build(self, group: str) -> Iterator[None]:
        if group == "Discord":
            yield from self._discord()
        if group == "Channels":
            yield from self._channels()
        for row in view.rows_of(group):
            self.rows[row.key] = SettingLine(self.body, self._panel, row)
            self._put(self.rows[row.key])
            yield
        yield from {"Startup": self._startup, "Data": self._data, "Model": self._model,
                    "Advanced": self._advanced}.get(group, lambda: iter(()))()

    def show(self, settings: Settings) -> None:
        for row in self.rows.values():
            row.show(settings)

    def shown(self) -> None:
        for call in self._shown_calls:
            call()

    def _put(self, widget: tk.Misc) -> None:
        gap = self._panel.theme.px(M)
        if self._count:
            Line(self.body).grid(row=self._count * 2 - 1, column=0, sticky="ew", pady=gap)
        widget.grid(row=self._count * 2, column=0, sticky="ew")  # type: ignore[attr-defined]
        self._count += 1

    def _action(self, label: str, help_text: str, button: str, command: Callable[[], Any]) -> LabelledRow:
        row = LabelledRow(self.body, self._panel, label, help_text)
        row.place_control(Button(row, button, command))
        self._put(row)
        return row

    def _startup(self) -> Iterator[None]:
        self._action(texts.SHORTCUT_LABEL, texts.SHORTCUT_HELP, texts.SHORTCUT_MAKE, self._make_shortcut)
        yield

    def _make_shortcut(self) -> None:
        panel = self._panel
        panel.ask(lambda: autostart.make_shortcuts(autostart.launch_command(panel.workspace)),
                  lambda _: panel.toast(texts.SHORTCUT_MADE, tone="good"))

    def _data(self) -> Iterator[None]:
        self._action(texts.INDEX_LABEL, texts.INDEX_HELP, texts.INDEX_BUTTON,
                     lambda: self._panel.start_job("index", ["--rebuild-index"]))
        yield

    def _model(self) -> Iterator[None]:
        self._action(texts.TUNE_LABEL, texts.TUNE_HELP, texts.TUNE_BUTTON, lambda: self._panel.start_job("tune"))
        line = self.rows.get(GPU_LAYERS.key)
        if line is not None:
            self._shown_calls.append(lambda: self._panel.ask(
                lambda: view.gpu_view(self._panel.store.facts.get("gpu")), line.show_gpu))
        yield

    def _advanced(self) -> Iterator[None]:
        self._action(texts.DOCTOR_LABEL, texts.DOCTOR_HELP, texts.DOCTOR_BUTTON,
                     lambda: self._panel.go("first_run"))
        yield

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
        panel, lines = self._panel, Row(self.body)
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
                    row=row, column=0, padx=(0, S), pady=2)
                Text(lines, name).grid(row=row, column=1, sticky="w")
                Text(lines, words, role="small", colour="muted").grid(row=row, column=2, sticky="e")

        self._shown_calls.append(lambda: panel.ask(lambda: view.channel_lines(panel.store.channels.all()), fill))
        yield


class LabelledRow(Row):
    """Words on the left, a control on the right or below."""

    def __init__(self, master: Any, panel: Panel, label: str, help_text: str) -> None:
        super().__init__(master)
        self.panel = panel
        self.grid_columnconfigure(0, weight=1)
        self.head = Row(self)
        self.head.grid(row=0, column=0, sticky="w")
        Text(self.head, label, role="strong").grid(row=0, column=0)
        self.help = Text(self, help_text, role="small", colour="muted", wrap=True)
        self.help.grid(row=1, column=0, sticky="ew", padx=(0, M), pady=(2, 0))
        self._help_text = help_text

    def place_control(self, widget: Any, *, below: bool = False) -> None:
        if below:
            widget.grid(row=2, column=0, columnspan=3, sticky="ew", pady=(S, 0))
        else:
            widget.grid(row=0, column=1, rowspan=2, sticky="e")

    def show_problem(self, problem: str) -> None:
        """The reason why the value is not saved takes the place of the help."""
        self.help.show(problem or self._help_text, colour="bad" if problem else "muted")


class SettingLine(LabelledRow):
    """A setting of the registry with the control that fits its type."""

    def __init__(self, master: Any, panel: Panel, row: view.SettingRow) -> None:
        super().__init__(master, panel, row.label, row.help)
        self.setting: Setting[Any] = REGISTRY[row.key]
        self._row = row
        self._pending: str | None = None
        self._is_typing = False
        if row.needs_restart:
            Pill(self.head, texts.RESTART_NEEDED, tone="idle").grid(row=0, column=1, padx=(S, 0))
        self.control = self._make_control(row)
        self.place_control(self.control, below=row.control in ("lines", "file"))
        self.reset = Button(self, "", self._reset, kind="quiet", icon="restart", height=28,
                            tip=view.reset_tip(self.setting))

    def show(self, settings: Settings) -> None:
        """The stored value, unless the owner is typing here."""
        if view.is_default(self.setting, settings):
            self.reset.grid_remove()
        else:
            self.reset.grid(row=0, column=2, rowspan=2, padx=(4, 0))
        if self._is_typing:
            return
        value = settings[self.setting]
        if isinstance(self.control, Switch):
            self.control.set_value(bool(value))
        elif isinstance(self.control, Choice):
            self.control.set_value(str(value))
        elif isinstance(self.control, LinesBox):
            self.control.set_text(str(value))
        else:
            self._field.set_text(view.value_text(self.setting, value))

    def show_gpu(self, gpu: view.GpuView) -> None:
        """GPU layers only: grey with the reason where there is no GPU."""
        self._help_text = f"{self._row.help} {gpu.text}"
        self.help.show(self._help_text)
        if isinstance(self.control, Choice):
            self.control.set_enabled(gpu.is_usable)

    def _make_control(self, row: view.SettingRow) -> Any:
        if row.control == "switch":
            return Switch(self, "", self._save)
        if row.control == "choice":
            return Choice(self, row.choices, self._save, width=150 if max(map(len, row.choices)) < 18 else 290)
        if row.control == "lines":
            return LinesBox(self, self.panel, row.lines, self._typed, self._left)
        holder = Row(self)
        holder.grid_columnconfigure(0, weight=1)
        self._field = Field(holder, width=110 if row.control == "number" else 230)
        self._field.grid(row=0, column=0, sticky="ew")
        self._field.bind("<KeyRelease>", lambda _: self._typed())
        self._field.bind("<Return>", lambda _: self._left())
        self._field.bind("<FocusOut>", lambda _: self._left())
        if row.control == "file":
            Button(holder, texts.BROWSE, self._browse, icon="folder").grid(row=0, column=1, padx=(S, 0))
        return holder

    def _text(self) -> str:
        return self.control.get_text() if isinstance(self.control, LinesBox) else self._field.get()

    def _typed(self) -> None:
        self._is_typing = True
        problem = view.check(self.setting, self._text())
        self.show_problem(problem)
        if not isinstance(self.control, LinesBox):
            self._field.set_wrong(bool(problem))
        if self._pending is not None:
            self.after_cancel(self._pending)
            self._pending = None
        if not problem:
            self._pending = self.after(SAVE_DELAY_MS, self._save_text)

    def _left(self) -> None:
        if self._is_typing and not view.check(self.setting, self._text()):
            self._save_text()
        elif self._is_typing:  # leaving a value that cannot be: the stored one comes back
            self._is_typing = False
            self.show_problem("")
            if not isinstance(self.control, LinesBox):
                self._field.set_wrong(False)
            if self.panel.pulse is not None:
                self.show(self.panel.pulse.settings)

    def _save_text(self) -> None:
        if self._pending is not None:
            self.after_cancel(self._pending)
            self._pending = None
        self._is_typing = False
        raw = self._text()
        self._save(raw if self.setting.type is str else raw.strip())

    def _save(self, value: Any) -> None:
        if self.setting is APPEARANCE:
            self.panel.set_appearance(value)  # type: ignore[attr-defined]
            return
        if self.setting is LAUNCH_AT_LOGIN:
            workspace = self.panel.workspace
            self.panel.ask(lambda: autostart.set_login_item(bool(value), autostart.launch_command(
                workspace, minimised=True)))
        self.panel.set_setting(self.setting, value)

    def _reset(self) -> None:
        self._is_typing = False
        self.show_problem("")
        if self.setting in (APPEARANCE, LAUNCH_AT_LOGIN):
            self._save(self.setting.default)
        self.panel.ask(lambda: self.panel.store.settings.reset(self.setting), lambda _: self.panel.refresh_soon())

    def _browse(self) -> None:
        folder = self.panel.workspace.base_models
        name = filedialog.askopenfilename(parent=self.panel.root, title=texts.BROWSE_MODEL, initialdir=str(folder),
                                          filetypes=[("GGUF", "*.gguf"), ("*", "*")])
        if name:
            self._field.set_text(str(Path(name)))
            self._save(str(Path(name)))


class LinesBox(Row):
    """A few lines of text in the look of a field."""

    def __init__(self, master: Any, panel: Panel, lines: int, typed: Callable[[], Any],
                 left: Callable[[], Any]) -> None:
        super().__init__(master)
        theme = panel.theme
        self.grid_columnconfigure(0, weight=1)
        self.box = tk.Text(self, height=lines, width=10, wrap="word", font=theme.fonts["body"], bd=0,
                           highlightthickness=1, padx=theme.px(10), pady=theme.px(8), undo=True)
        self.box.grid(row=0, column=0, sticky="ew")
        theme.follow(self.box, lambda: self.box.configure(
            bg=theme.now("field"), fg=theme.now("text"), insertbackground=theme.now("text"),
            highlightbackground=theme.now("border"), highlightcolor=theme.now("accent"),
            selectbackground=theme.now("accent_soft"), selectforeground=theme.now("text")))
        self.box.bind("<KeyRelease>", lambda _: typed())
        self.box.bind("<FocusOut>", lambda _: left())
        self.box.bind("<Tab>", self._next)

    def get_text(self) -> str:
        return self.box.get("1.0", "end-1c")

    def set_text(self, text: str) -> None:
        if self.get_text() != text:
            self.box.delete("1.0", "end")
            self.box.insert("1.0", text)

    def _next(self, _: object) -> str:
        following = self.box.tk_focusNext()
        if following is not None:
            following.focus_set()
        return "break"


class TokenLine(LabelledRow):
    """Dots with Show and Edit. The token goes to .env and nowhere else."""

    def __init__(self, master: Any, panel: Panel) -> None:
        super().__init__(master, panel, texts.TOKEN_LABEL, texts.TOKEN_HELP)
        self._environment = Environment()
        self._is_shown = self._is_editing = False
        self.holder = Row(self)
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
        self.field.bind("<KeyRelease>", lambda _: self.show_problem(
            view.token_problem(self.field.get()) if self.field.get().strip() else ""))

    def show_environment(self, environment: Environment) -> None:
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
        self.panel.ask(lambda: write_value(env_file, key, text),
                       lambda _: self.panel.toast(texts.ENV_SAVED, tone="good"))

