"""Getting started: a checklist that checks itself, and the check-up for later."""

from __future__ import annotations

import os
import tkinter as tk
import webbrowser
from collections.abc import Callable, Iterator
from pathlib import Path
from tkinter import filedialog
from typing import Any

from gui import texts
from gui.components import icons
from gui.components.basics import Card, Hairline, RowFrame, Text
from gui.components.button import Button
from gui.components.inputs import Field
from gui.components.room import M, Panel, PollingPace, Room
from gui.components.table import Table
from gui.components.theme import XS
from gui.presenters import settings as setting_texts
from gui.presenters.first_run import CHECKUP_COLUMNS, FirstRunStep, FirstRunView, Situation, first_run_view
from gui.presenters.snapshot import Pulse
from storage import policy
from storage.environment import SERVER_ID, TOKEN, read_environment, write_value
from storage.jobs.kinds import JobKind
from storage.paths import PROJECT_ROOT
from storage.records import ModelState
from storage.settings import MODEL_PATH
from storage.store import Store
from storage.system.processes import spawn

READ_SECONDS = 1.5
OWNER = "owner (panel)"


def read_situation(store: Store, *, is_running: bool, is_demo: bool) -> Situation:
    """Files and tables the checklist depends on; runs on the worker."""
    consent = store.consents.latest(policy.POLICY)
    channels = store.channels.all()
    return Situation(
        read_environment(store.workspace.env_file),
        consent.answer if consent else "",
        len(channels),
        sum(c.learn and not c.is_access_lost for c in channels),
        sum(c.speak and not c.is_access_lost for c in channels),
        store.messages.count(),
        _model_name(store),
        is_running,
        store.jobs.latest(JobKind.DOCTOR),
        is_demo,
    )


def _model_name(store: Store) -> str:
    status = store.status.read_bot()
    if status is not None and status.model_state is ModelState.READY:
        return status.model_name
    chosen = store.settings.get(MODEL_PATH)
    if chosen and (Path(chosen).exists() or os.sep not in chosen and not chosen.endswith(".gguf")):
        return Path(chosen).name
    folders = (store.workspace.finetuned_models, store.workspace.base_models)
    return next((path.name for folder in folders for path in sorted(folder.glob("*.gguf"))), "")


class FirstRunRoom(Room):
    """The steps on top, the check-up below."""

    key, title = "first_run", texts.FIRST_RUN

    def __init__(self, master: Any, panel: Panel) -> None:
        super().__init__(master, panel)
        self._pace = PollingPace(READ_SECONDS)
        self.view: FirstRunView | None = None

    def build(self) -> Iterator[None]:
        page, gap = self.page, self.theme.px(M)
        self.progress = Text(self.tools, "", role="small", colour="muted")
        self.progress.grid(row=0, column=0, padx=(0, M))
        self.check = Button(self.tools, texts.FIRST_CHECK, self._check, icon="restart")
        self.check.grid(row=0, column=1)
        intro = Card(page)
        intro.grid(row=0, column=0, sticky="ew", pady=(0, gap))
        intro.body.grid_columnconfigure(0, weight=1)
        Text(intro.body, texts.FIRST_DEMO_TITLE, role="strong").grid(row=0, column=0, sticky="w")
        Text(intro.body, texts.FIRST_DEMO, colour="muted", wrap=True).grid(row=1, column=0, sticky="ew", padx=(0, M))
        self.demo = Button(intro.body, texts.FIRST_DEMO_GO, self._demo, icon="start")
        self.demo.grid(row=0, column=1, rowspan=2)
        yield
        card = Card(page)
        card.grid(row=1, column=0, sticky="ew", pady=(0, gap))
        card.body.grid_columnconfigure(0, weight=1)
        Text(card.body, texts.FIRST_INTRO, role="small", colour="muted", wrap=True).grid(row=0, column=0, sticky="ew")
        self.lines: dict[str, StepLine] = {}
        for number, (key, fill) in enumerate(self._fillers().items()):
            Hairline(card.body).grid(row=number * 2 + 1, column=0, sticky="ew", pady=gap)
            line = StepLine(card.body, self.panel, number + 1)
            line.grid(row=number * 2 + 2, column=0, sticky="ew")
            fill(line)
            self.lines[key] = line
            yield
        checkup = Card(page, texts.CHECKUP)
        checkup.grid(row=2, column=0, sticky="ew", pady=(0, self.theme.px(24)))
        checkup.body.grid_columnconfigure(0, weight=1)
        self.checkup = Table(checkup.body, CHECKUP_COLUMNS, empty_text=texts.CHECKUP_EMPTY)
        self.checkup.grid(row=0, column=0, sticky="ew")
        yield

    def _fillers(self) -> dict[str, Callable[[StepLine], None]]:
        panel = self.panel
        return {
            "token": lambda line: (
                line.entry(texts.TOKEN_PASTE, self._save_token, secret=True),
                line.button(texts.STEP_PORTAL, lambda: webbrowser.open(texts.PORTAL_URL)),
            )[-1],
            "server": lambda line: line.entry("123456789012345678", self._save_server),
            "invite": lambda line: (
                line.button(texts.STEP_INVITE_GO, self._open_invite),
                line.button(texts.STEP_INVITE_COPY, self._copy_invite),
            )[-1],
            "intent": lambda line: line.button(texts.STEP_PORTAL, lambda: webbrowser.open(texts.PORTAL_URL)),
            "rule": lambda line: line.button(texts.STEP_RULE_GO, self._ask_rule),
            "channels": lambda line: (
                line.button(texts.STEP_CHANNELS_FIND, self._find_channels),
                line.button(texts.STEP_CHANNELS_PUBLIC, self._choose_public),
                line.button(texts.STEP_CHANNELS_CHOOSE, lambda: panel.go("people")),
            )[-1],
            "model": lambda line: (
                line.button(texts.STEP_MODEL_GO, lambda: panel.start_job(JobKind.DOWNLOAD)),
                line.button(texts.STEP_MODEL_FILE, self._choose_model),
            )[-1],
            "fetch": lambda line: (
                line.button(texts.STEP_FETCH_GO, lambda: panel.start_job(JobKind.FETCH)),
                line.button(texts.STEP_FETCH_IMPORT, lambda: panel.go("people")),
            )[-1],
            "start": lambda line: (
                line.button(texts.BUTTON_START, lambda: panel.bot("start")),
                line.button(texts.STEP_PLAY, lambda: panel.go("playground")),
            )[-1],
        }

    # ---- reading ---------------------------------------------------------------------------------

    def shown(self) -> None:
        self._pace.soon()

    def beat(self, pulse: Pulse) -> None:
        running = {job.kind: job for job in pulse.jobs}
        self.check.set_enabled("doctor" not in running)
        for key, kind in (("model", "download"), ("fetch", "fetch")):
            job = running.get(kind)
            self.lines[key].show_progress(None if job is None else job.progress, "" if job is None else job.step)
        if self._pace.is_due():
            is_running = pulse.controller.state == "running"
            self.panel.ask(
                lambda: first_run_view(
                    read_situation(self.panel.store, is_running=is_running, is_demo=self.panel.is_demo)
                ),
                self._show,
                failed=self._failed,
                slow=True,
            )

    def _failed(self, _: Exception) -> None:
        self._pace.done()

    def _show(self, view: FirstRunView) -> None:
        self._pace.done()
        self.view = view
        self.progress.show(view.progress)
        for step in view.steps:
            self.lines[step.key].show(step)
        for button in self.lines["invite"].buttons:
            button.set_enabled(bool(view.invite_url))
        self.checkup.show(view.checkup)

    # ---- hands -----------------------------------------------------------------------------------

    def _check(self) -> None:
        self.panel.start_job(JobKind.DOCTOR)

    def _demo(self) -> None:
        workspace = self.panel.workspace

        def launch() -> None:
            demo = type(workspace)(PROJECT_ROOT / "demo_workspace")
            spawn(demo, "launcher.py", ["--demo"], name="demo")

        self.panel.ask(launch, lambda _: self.panel.toast(texts.FIRST_DEMO_STARTED))

    def _save_token(self, raw: str) -> str:
        token = setting_texts.clean_token(raw)
        problem = setting_texts.token_problem(token)
        if not problem:
            env_file = self.panel.workspace.env_file
            self.panel.ask(lambda: write_value(env_file, TOKEN, token), lambda _: self._written(texts.TOKEN_SAVED))
        return problem

    def _save_server(self, raw: str) -> str:
        problem = setting_texts.ids_problem(raw)
        if not problem and raw.strip():
            env_file = self.panel.workspace.env_file
            self.panel.ask(
                lambda: write_value(env_file, SERVER_ID, raw.strip()), lambda _: self._written(texts.ENV_SAVED)
            )
        return problem

    def _written(self, words: str) -> None:
        self._pace.soon()
        self.panel.toast(words, tone="good")
        self._check()

    def _open_invite(self) -> None:
        if self.view is not None and self.view.invite_url:
            webbrowser.open(self.view.invite_url)

    def _copy_invite(self) -> None:
        if self.view is not None:
            self.clipboard_clear()
            self.clipboard_append(self.view.invite_url)

    def _ask_rule(self) -> None:
        def answer(accepted: bool) -> None:
            self.panel.ask(
                lambda: policy.record_policy(self.panel.store.consents, accepted=accepted, given_by=OWNER),
                lambda _: self.shown(),
            )

        text = f"{policy.POLICY_TEXT}\n\n{policy.POLICY_QUESTION}"
        self.panel.confirm(
            texts.STEP_RULE,
            text,
            [
                (texts.CANCEL, "quiet", None),
                (texts.STEP_RULE_NO, "secondary", lambda: answer(False)),
                (texts.STEP_RULE_YES, "primary", lambda: answer(True)),
            ],
        )

    def _find_channels(self) -> None:
        self.panel.start_job(JobKind.FETCH, ["--discover"])

    def _choose_public(self) -> None:
        store = self.panel.store
        self.panel.ask(
            lambda: policy.choose_channels(store.channels, [c.id for c in policy.preselected(store.channels.all())]),
            lambda _: self.shown(),
        )

    def _choose_model(self) -> None:
        name = filedialog.askopenfilename(
            parent=self.panel.root, title=texts.BROWSE_MODEL, filetypes=[("GGUF", "*.gguf"), ("*", "*")]
        )
        if name:
            self.panel.set_setting(MODEL_PATH, name)


class StepLine(RowFrame):
    """A number or a tick, what it is about, and the way to do it."""

    def __init__(self, master: Any, panel: Panel, number: int) -> None:
        super().__init__(master)
        theme = panel.theme
        self._panel, self._number, self._state = panel, number, ""
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
        self._column = 0
        theme.follow(self.mark, self._paint)

    def button(self, words: str, command: Callable[[], Any]) -> None:
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
        self._column += 2

    def show(self, step: FirstRunStep) -> None:
        self.title.show(step.title)
        if not (self.field is not None and self.field.get().strip()):
            self.text.show(step.text, colour="bad" if step.state == "bad" else "muted")
        if step.state != self._state:
            self._state = step.state
            self._paint()
            if self.buttons:
                self.buttons[0].set_emphasis(step.state in ("next", "bad"))

    def show_progress(self, share: float | None, step: str) -> None:
        """While a job for this step runs: how far it is."""
        if share is not None:
            self.text.show(f"{share * 100:.0f}\u2009%  {step}", colour="accent_text")
        if self.buttons:
            self.buttons[0].set_enabled(share is None)

    def _paint(self) -> None:
        theme = self._panel.theme
        names = {"done": ("check", "good"), "bad": ("alert", "bad")}
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
            text=str(self._number),
            fg=theme.now(colour),
            bg=theme.now(self.surface),
        )


__all__ = ["FirstRunRoom", "read_situation"]
