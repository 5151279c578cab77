"""Getting started: a checklist that checks itself, and the check-up for later."""

from __future__ import annotations

import glob
import os
import webbrowser
from collections.abc import Callable, Iterator
from pathlib import Path
from tkinter import filedialog
from typing import Any

from gui import texts
from gui.components.basics import Card, Hairline, RowFrame, Text
from gui.components.button import Button
from gui.components.checkup_list import CheckupList
from gui.components.choices import Segments
from gui.components.import_dialog import choose_exports
from gui.components.pipeline import ask_retrain
from gui.components.room import M, Panel, PollingPace, Room
from gui.components.step_line import StepLine
from gui.components.theme import XS
from gui.presenters import settings as setting_texts
from gui.presenters.first_run import STEP_JOBS, FirstRunView, Situation, first_run_view
from gui.presenters.plain import plain, reflowed
from gui.presenters.snapshot import Pulse
from storage import policy
from storage.environment import SERVER_ID, TOKEN, read_environment, write_value
from storage.first_steps import choose_way, read_first_steps, skip_step
from storage.jobs.kinds import JobKind
from storage.paths import PROJECT_ROOT
from storage.records import ModelState
from storage.settings import EMBEDDING_MODEL, MODEL_PATH
from storage.store import Store
from storage.system.processes import spawn
from storage.trained_models import all_models

READ_SECONDS = 1.5
INCLUDED_SEARCH_MODEL = "all-MiniLM-L6-v2"
OWNER = "owner (panel)"


def read_situation(store: Store, *, pulse: Pulse | None, is_demo: bool) -> Situation:
    """Files and tables the checklist depends on; runs on the worker."""
    consent = store.consents.latest(policy.POLICY)
    channels = store.channels.all()
    steps = read_first_steps(store)
    wanted = store.settings.get(EMBEDDING_MODEL)
    controller = pulse.controller if pulse is not None else None
    newest = {kind: job for kind in set(STEP_JOBS.values()) if (job := store.jobs.latest(kind)) is not None}
    return Situation(
        read_environment(store.workspace.env_file),
        consent.answer if consent else "",
        len(channels),
        sum(c.learn and not c.is_access_lost for c in channels),
        sum(c.speak and not c.is_access_lost for c in channels),
        store.messages.count(),
        _model_name(store),
        controller is not None and controller.state == "running",
        store.jobs.latest(JobKind.DOCTOR),
        is_demo,
        steps.way,
        steps.skipped,
        wanted,
        _is_search_model_here(store, wanted),
        len(all_models(store)),
        _has_replied(store),
        newest,
        plain(f"{controller.detail} {controller.cure}") if controller and controller.state == "failed" else "",
        policy.open_question(store.facts, store.consents),
    )


def _has_replied(store: Store) -> bool:
    lines = store.playground.history(limit=20)
    return any(line.answers_id and not line.error for line in lines) or store.activity.total_replies() > 0


def _is_search_model_here(store: Store, name: str) -> bool:
    if name == INCLUDED_SEARCH_MODEL:
        return True
    found = store.workspace.embedding_models.glob(f"{glob.escape(name)}*")
    return any(path.is_dir() or path.suffix == ".gguf" for path in found)


def _model_name(store: Store) -> str:
    status = store.status.read_bot()
    if status is not None and status.model_state is ModelState.READY:
        return status.model_name
    chosen = store.settings.get(MODEL_PATH)
    if chosen and (Path(chosen).exists() or (os.sep not in chosen and not chosen.endswith(".gguf"))):
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
        self._placed: tuple[str, ...] = ()
        self._ended: frozenset[int] = frozenset()
        self._asked_at = 0.0

    def build(self) -> Iterator[None]:
        """Called once, before the room is first shown; each `yield` lets the window breathe."""
        page, gap = self.page, self.theme.px(M)
        self.progress = Text(self.tools, "", role="small", colour="muted")
        self.progress.grid(row=0, column=0, padx=(0, M))
        self.check = Button(self.tools, texts.FIRST_CHECK, self._check, icon="restart")
        self.check.grid(row=0, column=1)
        self.dismiss = Button(self.tools, texts.FIRST_DISMISS, self._dismiss, kind="quiet")
        self.dismiss.grid(row=0, column=2, padx=(XS, 0))
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
        ways = RowFrame(card.body)
        ways.grid(row=1, column=0, sticky="ew", pady=(gap, 0))
        ways.grid_columnconfigure(1, weight=1)
        self.ways = Segments(ways, texts.FIRST_WAYS, self._choose_way, width=130)
        self.ways.grid(row=0, column=0)
        self.way_text = Text(ways, "", role="small", colour="muted", wrap=True)
        self.way_text.grid(row=0, column=1, sticky="ew", padx=(M, 0))
        self.lines: dict[str, StepLine] = {}
        self.rules: dict[str, Hairline] = {}
        for key, fill in self._fillers().items():
            self.rules[key] = Hairline(card.body)
            line = StepLine(card.body, self.panel)
            fill(line)
            self.lines[key] = line
            yield
        self._gap = gap
        checkup = Card(page, texts.CHECKUP)
        checkup.grid(row=2, column=0, sticky="ew", pady=(0, self.theme.px(24)))
        checkup.body.grid_columnconfigure(0, weight=1)
        self.checkup = CheckupList(checkup.body, self.panel)
        self.checkup.grid(row=0, column=0, sticky="ew")
        yield

    def _fillers(self) -> dict[str, Callable[[StepLine], None]]:
        panel = self.panel
        return {
            "token": lambda line: (
                line.entry(texts.TOKEN_PASTE, self._save_token, secret=True),
                line.button(texts.STEP_PORTAL, lambda: webbrowser.open(texts.PORTAL_URL)),
                line.button(texts.FIRST_CHECK, self._check),
            )[-1],
            "server": lambda line: line.entry("123456789012345678", self._save_server),
            "invite": lambda line: (
                line.button(texts.STEP_INVITE_GO, self._open_invite),
                line.button(texts.STEP_INVITE_COPY, self._copy_invite),
                line.button(texts.FIRST_CHECK, self._check),
            )[-1],
            "intent": lambda line: (
                line.button(texts.STEP_PORTAL, lambda: webbrowser.open(texts.PORTAL_URL)),
                line.button(texts.FIRST_CHECK, self._check),
            )[-1],
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
            "search": lambda line: (
                line.button(texts.STEP_MODEL_GO, self._download_search_model),
                line.button(texts.STEP_SEARCH_SKIP, lambda: self._skip("search")),
            )[-1],
            "import": lambda line: line.button(texts.STEP_FETCH_IMPORT, lambda: choose_exports(panel)),
            "fetch": lambda line: (
                line.button(texts.STEP_FETCH_GO, lambda: panel.start_job(JobKind.FETCH)),
                line.button(texts.STEP_FETCH_IMPORT, lambda: choose_exports(panel)),
            )[-1],
            "train": lambda line: (
                line.button(texts.STEP_TRAIN_GO, lambda: ask_retrain(panel)),
                line.button(texts.STEP_TRAIN_SKIP, lambda: self._skip("train")),
            )[-1],
            "start": lambda line: (
                line.button(texts.BUTTON_START, lambda: panel.bot("start")),
                line.button(texts.STEP_OFFLINE, lambda: panel.bot("start_offline")),
            )[-1],
            "hello": lambda line: line.button(texts.STEP_HELLO_GO, lambda: panel.go("playground")),
        }

    # ---- reading ---------------------------------------------------------------------------------

    def shown(self) -> None:
        """Called each time the owner comes here: the steps are looked at again."""
        self._pace.soon()

    def beat(self, pulse: Pulse) -> None:
        """Called with each new reading of the databases while the room is in front."""
        running = {job.kind: job for job in pulse.jobs}
        self.check.set_enabled(JobKind.DOCTOR not in running)
        for step in self.view.steps if self.view is not None else ():
            job = running.get(STEP_JOBS.get(step.key, ""))
            # Two steps may share a kind of job; it belongs to the one that is open.
            self.lines[step.key].show_progress(job.progress if job and step.is_open else None, job.step if job else "")
        ended = frozenset(job.id for job in pulse.finished)
        if ended != self._ended:
            self._ended = ended
            self._pace.soon()
        if self._pace.is_due():
            self.panel.ask(
                lambda: first_run_view(read_situation(self.panel.store, pulse=pulse, is_demo=self.panel.is_demo)),
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
        self.dismiss.show(texts.FIRST_CLOSE if view.is_finished else texts.FIRST_DISMISS)
        self.ways.set_value(view.way)
        self.way_text.show(texts.FIRST_WAYS_TEXT[view.way])
        self._place(tuple(step.key for step in view.steps))
        for number, step in enumerate(view.steps, start=1):
            self.lines[step.key].show(step, number)
        for button in self.lines["invite"].buttons[:2]:
            button.set_enabled(
                bool(view.invite_url) and view.way == "discord" and view.step("invite").state != "locked"
            )
        self.lines["channels"].buttons[0].set_shown(view.way == "discord")
        self.lines["start"].buttons[0].set_shown(view.way == "discord")
        self.checkup.show(view.checkup)
        question = view.large_server
        if question is not None and question.asked_at != self._asked_at:
            self._asked_at = question.asked_at
            self._ask_large_server(question)

    def _place(self, keys: tuple[str, ...]) -> None:
        """The steps of the way that was chosen, in their order."""
        if keys == self._placed:
            return
        self._placed = keys
        for key, line in self.lines.items():
            line.grid_remove()
            self.rules[key].grid_remove()
        for number, key in enumerate(keys, start=1):
            self.rules[key].grid(row=number * 2, column=0, sticky="ew", pady=self._gap)
            self.lines[key].grid(row=number * 2 + 1, column=0, sticky="ew")

    # ---- hands -----------------------------------------------------------------------------------

    def _choose_way(self, way: str) -> None:
        store = self.panel.store
        self.panel.ask(lambda: choose_way(store, "import" if way == "import" else "discord"), lambda _: self._again())

    def _skip(self, key: str) -> None:
        store = self.panel.store
        self.panel.ask(lambda: skip_step(store, key), lambda _: self._again())

    def _dismiss(self) -> None:
        is_finished = self.view is not None and self.view.is_finished
        self.panel.close_first_run()  # type: ignore[attr-defined]
        if not is_finished:
            self.panel.toast(texts.FIRST_DISMISSED)

    def _download_search_model(self) -> None:
        self.panel.start_job(JobKind.DOWNLOAD, [self.panel.store.settings.get(EMBEDDING_MODEL)])

    def _again(self) -> None:
        self._pace.soon()
        self.panel.refresh_soon()

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

        text = f"{reflowed(policy.POLICY_TEXT)}\n\n{policy.POLICY_QUESTION}"
        self.panel.confirm(
            texts.STEP_RULE,
            text,
            [
                (texts.CANCEL, "quiet", None),
                (texts.STEP_RULE_NO, "secondary", lambda: answer(False)),
                (texts.STEP_RULE_YES, "secondary", lambda: answer(True)),
            ],
        )

    def _ask_large_server(self, question: policy.OpenQuestion) -> None:
        consents = self.panel.store.consents

        def answer(accepted: bool) -> None:
            self.panel.ask(
                lambda: policy.record_large_server(
                    consents, question.server_id, question.text, accepted=accepted, given_by=OWNER
                ),
                lambda _: self.shown(),
            )

        self.panel.confirm(
            texts.LARGE_SERVER,
            question.text,
            [
                (texts.CANCEL, "quiet", None),
                (texts.LARGE_SERVER_NO, "secondary", lambda: answer(False)),
                (texts.LARGE_SERVER_YES, "secondary", lambda: answer(True)),
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


__all__ = ["FirstRunRoom", "read_situation"]
