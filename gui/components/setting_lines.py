"""A setting of the registry as a row: its words, the control that fits its type, saved as one types."""

from __future__ import annotations

import tkinter as tk
from collections.abc import Callable
from pathlib import Path
from tkinter import filedialog
from typing import Any

from gui import texts
from gui.components.basics import RowFrame, Text
from gui.components.button import Button
from gui.components.choices import Choice
from gui.components.inputs import Field, Switch
from gui.components.notices import Pill
from gui.components.room import M, Panel, S
from gui.components.time_span import TimeSpan
from gui.model_check import check_model_file
from gui.presenters import settings as view
from gui.presenters.plain import plain
from storage.errors import KnownError
from storage.settings import APPEARANCE, FETCH_SCHEDULE, LAUNCH_AT_LOGIN, REGISTRY, Setting, Settings
from storage.system.boot_service import BootStatus, BootTask
from storage.system.launch_entry import launch_command
from storage.system.login_item import set_login_item
from storage.system.schedule import apply_schedule

SAVE_DELAY_MS = 500


class LabelledRow(RowFrame):
    """Words on the left, a control on the right or below."""

    def __init__(self, master: Any, panel: Panel, label: str, help_text: str) -> None:
        super().__init__(master)
        self.panel = panel
        self.grid_columnconfigure(0, weight=1)
        self.head = RowFrame(self)
        self.head.grid(row=0, column=0, sticky="w")
        Text(self.head, label, role="strong").grid(row=0, column=0)
        self.help = Text(self, help_text, role="small", colour="muted", wrap=True)
        self.help.grid(row=1, column=0, sticky="ew", padx=(0, M), pady=(2, 0))
        self._help_text = help_text

    def place_control(self, widget: Any, *, below: bool = False) -> None:
        """Put the control at the right end of the line, or under it where it is wide."""
        if below:
            widget.grid(row=2, column=0, columnspan=3, sticky="ew", pady=(S, 0))
        else:
            widget.grid(row=0, column=1, rowspan=2, sticky="e")

    def show_problem(self, problem: str, reading: str = "") -> None:
        """The reason why the value is not saved takes the place of the help, or how it was understood."""
        self.help.show(problem or reading or self._help_text, colour="bad" if problem else "muted")


class SettingLine(LabelledRow):
    """A setting of the registry with the control that fits its type."""

    def __init__(self, master: Any, panel: Panel, row: view.SettingRow) -> None:
        super().__init__(master, panel, row.label, row.help)
        self.setting: Setting[Any] = REGISTRY[row.key]
        self._row = row
        self._field: Field | TimeSpan
        self._pending: str | None = None
        self._sent: str | None = None
        self._is_typing = False
        if row.needs_restart:
            Pill(self.head, texts.RESTART_NEEDED, tone="idle").grid(row=0, column=1, padx=(S, 0))
        self.control = self._make_control(row)
        self.place_control(self.control, below=row.control in ("lines", "file"))
        self.reset = Button(
            self, "", self._reset, kind="quiet", icon="restart", height=28, tip=view.reset_tip(self.setting)
        )

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
        if row.control == "time_span":
            self._field = TimeSpan(self)
            self._field.when_typed(self._typed, self._left, self._give_up)
            return self._field
        holder = RowFrame(self)
        holder.grid_columnconfigure(0, weight=1)
        self._field = Field(holder, width=110 if row.control == "number" else 230)
        self._field.grid(row=0, column=0, sticky="ew")
        self._field.bind("<KeyRelease>", lambda _: self._typed())
        self._field.bind("<Return>", lambda _: self._left())
        self._field.bind("<FocusOut>", lambda _: self._left())
        self._field.bind("<Escape>", lambda _: self._give_up())
        if row.control == "file":
            Button(holder, texts.BROWSE, self._browse, icon="folder").grid(row=0, column=1, padx=(S, 0))
        return holder

    def _text(self) -> str:
        return self.control.get_text() if isinstance(self.control, LinesBox) else self._field.get()

    def _typed(self) -> None:
        if self.setting.is_path and self._text() == self._sent:
            return  # the key that sent it comes up again
        self._is_typing, self._sent = True, None
        if isinstance(self.control, TimeSpan) and self.control.is_half:
            self.control.set_wrong(False)
            self.show_problem("", texts.TIME_HALF)
            return
        problem = view.check(self.setting, self._text())
        self.show_problem(problem, view.reading(self.setting, self._text()))
        if not isinstance(self.control, LinesBox):
            self._field.set_wrong(bool(problem))
        if self._pending is not None:
            self.after_cancel(self._pending)
            self._pending = None
        # Half a time is another time and half a path no file: those when the field is left.
        is_whole = self.setting is not FETCH_SCHEDULE and not self.setting.is_path and self.setting.tidy is None
        if not problem and is_whole:
            self._pending = self.after(SAVE_DELAY_MS, self._save_text)

    def _left(self) -> None:
        if self._is_typing and not view.check(self.setting, self._text()):
            self._save_text()
        elif self._is_typing and self.panel.pulse is not None:
            # What was typed stays to be corrected; the sentence says what holds meanwhile.
            stored = view.value_text(self.setting, self.panel.pulse.settings[self.setting])
            holds = texts.SETTING_HOLDS.format(value=stored) if stored else texts.SETTING_HOLDS_EMPTY
            self.show_problem(f"{view.check(self.setting, self._text())} {holds}")

    def _give_up(self) -> None:
        """Escape: the stored value comes back."""
        if self._pending is not None:
            self.after_cancel(self._pending)
            self._pending = None
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
        raw = self._sent = self._text()
        self._save(view.typed(self.setting, raw))

    def _save(self, value: Any) -> None:
        if self.setting is APPEARANCE:
            self.panel.set_appearance(value)  # type: ignore[attr-defined]
            return
        if self.setting is LAUNCH_AT_LOGIN:
            workspace = self.panel.workspace
            self.panel.ask(lambda: set_login_item(bool(value), launch_command(workspace, minimised=True)))
        if self.setting is FETCH_SCHEDULE:
            self._schedule(str(value))
            return
        if self.setting.is_path and str(value).strip():
            self._check_and_save(self.setting.parse(value))
            return
        self.panel.set_setting(self.setting, value)

    def _check_and_save(self, name: str) -> None:
        """A model file is tried before it is chosen: one that cannot be used leaves the one in use where it is."""
        self.show_problem("")
        self.help.show(texts.MODEL_CHECKING)
        self.panel.ask(
            lambda: check_model_file(self.panel.workspace, self.setting, name),
            lambda said: self._checked(name, str(said)),
            failed=self._refused,
            slow=True,
        )

    def _checked(self, name: str, said: str) -> None:
        if self._is_typing:
            return  # the owner has gone on to another name
        self.help.show(said, colour="good")
        self.panel.set_setting(self.setting, name)

    def _refused(self, error: Exception) -> None:
        if self._is_typing:
            return
        self.show_problem(plain(error.text()) or error.what if isinstance(error, KnownError) else str(error))

    def _schedule(self, when: str) -> None:
        """It is handed to the system, then remembered; what cannot be is told, and the old one stays."""
        store = self.panel.store
        self.panel.ask(
            lambda: apply_schedule(
                when.strip() or "off",
                store.workspace,
                lambda text: store.settings.set(FETCH_SCHEDULE, text, changed_by="panel"),
            ),
            lambda sentence: self.panel.toast(str(sentence)),
            slow=True,
        )

    def _reset(self) -> None:
        self._give_up()
        if self.setting in (APPEARANCE, LAUNCH_AT_LOGIN, FETCH_SCHEDULE):
            self._save(self.setting.default)
        self.panel.ask(lambda: self.panel.store.settings.reset(self.setting), lambda _: self.panel.refresh_soon())

    def _browse(self) -> None:
        folder = self.panel.workspace.base_models
        name = filedialog.askopenfilename(
            parent=self.panel.root,
            title=texts.BROWSE_MODEL,
            initialdir=str(folder),
            filetypes=[("GGUF", "*.gguf"), ("*", "*")],
        )
        if name:
            self._field.set_text(str(Path(name)))
            self._save(str(Path(name)))


class BootLine(LabelledRow):
    """The start before login: what the system says about it, and what an administrator would have to run."""

    def __init__(self, master: Any, panel: Panel) -> None:
        super().__init__(master, panel, texts.BOOT_LABEL, texts.BOOT_HELP)
        self._is_on, self._command = False, ""
        self.button = Button(self, texts.BOOT_SET_UP, self._flip)
        self.place_control(self.button)
        self.state = Text(self, "", role="small", colour="faint", wrap=True)
        self.state.grid(row=2, column=0, sticky="ew", padx=(0, M), pady=(2, 0))
        self.copy = Button(self, texts.BOOT_COPY, self._copy, height=28)

    def read(self) -> None:
        """Ask the system."""
        self._ask(lambda task: task.status())

    def show_boot(self, status: BootStatus) -> None:
        """Show whether the bot starts at boot, and the command where the owner must run one."""
        self._is_on, self._command = status.is_on, status.command
        self.state.show(status.text, colour="busy" if status.command else "good" if status.is_on else "faint")
        self.button.show(texts.BOOT_REMOVE if status.is_on else texts.BOOT_SET_UP)
        self.button.set_enabled(True)
        if status.command:
            self.copy.grid(row=2, column=1, sticky="ne", pady=(S, 0))
        else:
            self.copy.grid_remove()

    def _flip(self) -> None:
        self._ask(BootTask.remove if self._is_on else BootTask.set_up)

    def _ask(self, question: Callable[[BootTask], BootStatus]) -> None:
        self.button.set_enabled(False)
        workspace = self.panel.workspace
        self.panel.ask(lambda: question(BootTask(workspace)), self.show_boot, failed=self._failed, slow=True)

    def _failed(self, error: Exception) -> None:
        self.button.set_enabled(True)
        self.state.show(error.text() if isinstance(error, KnownError) else str(error), colour="bad")

    def _copy(self) -> None:
        self.clipboard_clear()
        self.clipboard_append(self._command)
        self.panel.toast(texts.BOOT_COPIED, tone="good")


class LinesBox(RowFrame):
    """A few lines of text in the look of a field."""

    def __init__(
        self, master: Any, panel: Panel, lines: int, typed: Callable[[], Any], left: Callable[[], Any]
    ) -> None:
        super().__init__(master)
        theme = panel.theme
        self.grid_columnconfigure(0, weight=1)
        self.box = tk.Text(
            self,
            height=lines,
            width=10,
            wrap="word",
            font=theme.fonts["body"],
            bd=0,
            highlightthickness=1,
            padx=theme.px(10),
            pady=theme.px(8),
            undo=True,
        )
        self.box.grid(row=0, column=0, sticky="ew")
        theme.follow(
            self.box,
            lambda: self.box.configure(
                bg=theme.now("field"),
                fg=theme.now("text"),
                insertbackground=theme.now("text"),
                highlightbackground=theme.now("border"),
                highlightcolor=theme.now("accent"),
                selectbackground=theme.now("accent_soft"),
                selectforeground=theme.now("text"),
            ),
        )
        self.box.bind("<KeyRelease>", lambda _: typed())
        self.box.bind("<FocusOut>", lambda _: left())
        self.box.bind("<Tab>", self._next)

    def get_text(self) -> str:
        """What stands in the box, one entry a line."""
        return self.box.get("1.0", "end-1c")

    def set_text(self, text: str) -> None:
        """Replace what stands in the box; the cursor stays where nothing changed."""
        if self.get_text() != text:
            self.box.delete("1.0", "end")
            self.box.insert("1.0", text)

    def _next(self, _: object) -> str:
        following = self.box.tk_focusNext()
        if following is not None:
            following.focus_set()
        return "break"
