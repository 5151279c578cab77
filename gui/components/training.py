"""Training: from messages to a model the bot uses, step by step or in one go."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from tkinter import filedialog
from typing import Any, cast

from gui import texts
from gui.components.basics import Card, RowFrame, Text
from gui.components.button import Button
from gui.components.charts import CurveChart
from gui.components.choices import Choice
from gui.components.job_list import JobList
from gui.components.model_list import ModelList, ModelPanel, read_models
from gui.components.pipeline import PipelineCard
from gui.components.room import M, Panel, PollingPace, Room, S, spread
from gui.components.theme import XS
from gui.presenters import format as words
from gui.presenters.dashboard import JobView
from gui.presenters.models import ModelsView
from gui.presenters.pipeline import PipelineView
from gui.presenters.snapshot import Pulse
from gui.presenters.status import Fact
from gui.presenters.training import TrainingFacts, TrainingView, training_view
from storage.colab import pack_for_colab, take_back
from storage.jobs.kinds import JobKind
from storage.paths import PROJECT_ROOT
from storage.records import JobState
from storage.retrain_schedule import forget_tonight, plan_tonight, planned_tonight
from storage.settings import RETRAIN_AT_NIGHT, RETRAIN_REMINDER, Settings
from storage.store import Store
from storage.trained_models import all_models

READ_SECONDS = 2.0
COLAB_NOTEBOOK = PROJECT_ROOT / "docs" / "train_on_colab.ipynb"
KINDS = ("prepare", "preflight", "train", "evaluate", "deploy")


def read_training(store: Store) -> TrainingFacts:
    """Newest jobs, the run's curve, models and counts; runs on the worker."""
    jobs = {kind: job for kind in KINDS if (job := store.jobs.latest(kind)) is not None}
    trained = jobs.get("train") or store.jobs.latest(JobKind.RETRAIN)
    prepared_at = jobs["prepare"].started_at if "prepare" in jobs else 0.0
    total = store.messages.count()
    has_trained = bool(all_models(store)) or (trained is not None and trained.state is JobState.DONE)
    new = store.messages.count_since(prepared_at) if has_trained else total
    metrics = tuple(store.jobs.metrics(trained.id)) if trained is not None else ()
    taught = store.teaching.counts_since(trained.started_at if trained is not None else 0.0)
    running = frozenset(job.kind for job in store.jobs.active())
    return TrainingFacts(new, total, has_trained, jobs, metrics, running, taught.total)


class TrainingRoom(Room):
    """Retrain, data set, this computer, run, evaluation, models."""

    key, title = "training", texts.TRAINING

    def __init__(self, master: Any, panel: Panel) -> None:
        super().__init__(master, panel)
        self._pace = PollingPace(READ_SECONDS)
        self.view: TrainingView | None = None
        self._previous = ""
        self._ended: frozenset[int] = frozenset()

    def build(self) -> Iterator[None]:
        """Called once, before the room is first shown; each `yield` lets the window breathe."""
        page, gap, panel = self.page, self.theme.px(M), self.panel
        self.when = Choice(self.tools, list(texts.RETRAIN_WHEN), self._plan, labels=dict(texts.RETRAIN_WHEN), width=236)
        self.when.grid(row=0, column=0)
        spread(page, 2, group="half")
        self.retrain = PipelineCard(page, panel)
        self.retrain.grid(row=0, column=0, columnspan=2, sticky="ew", pady=(0, gap))
        self.jobs = JobList(page, panel)
        self.jobs.grid(row=1, column=0, columnspan=2, sticky="ew", pady=(0, gap))
        self.jobs.grid_remove()
        yield
        self.dataset = FactsCard(
            page,
            texts.DATASET,
            (
                (texts.PREPARE, lambda: panel.start_job(JobKind.PREPARE), "secondary"),
                (texts.OPEN_REPORT, lambda: self._open(self.view.dataset_report if self.view else ""), "quiet"),
            ),
        )
        self.dataset.grid(row=2, column=0, sticky="nsew", padx=(0, gap // 2), pady=(0, gap))
        yield
        self.computer = FactsCard(
            page,
            texts.COMPUTER,
            (
                (texts.COMPUTER_CHECK, lambda: panel.start_job(JobKind.PREFLIGHT, ["--preflight"]), "secondary"),
                (texts.COLAB, self._colab, "quiet"),
            ),
        )
        self.computer.grid(row=2, column=1, sticky="nsew", padx=(gap // 2, 0), pady=(0, gap))
        yield
        run = Card(page, texts.RUN)
        run.grid(row=3, column=0, sticky="nsew", padx=(0, gap // 2), pady=(0, gap))
        self._make_run(run.body)
        yield
        self.evaluation = FactsCard(
            page,
            texts.EVALUATION,
            (
                (texts.EVALUATION_START, lambda: panel.start_job(JobKind.EVALUATE), "secondary"),
                (texts.OPEN_REPORT, lambda: self._open(self.view.evaluation_report if self.view else ""), "quiet"),
                (texts.BLIND_BUTTON, lambda: panel.go("blind_test"), "quiet"),
            ),
        )
        self.evaluation.grid(row=3, column=1, sticky="nsew", padx=(gap // 2, 0), pady=(0, gap))
        yield
        models = Card(page, texts.MODELS)
        models.grid(row=4, column=0, columnspan=2, sticky="ew", pady=(0, self.theme.px(24)))
        models.body.grid_columnconfigure(0, weight=1)
        self.models = ModelList(models.body, cast(ModelPanel, panel), self._pace.soon)
        self.models.grid(row=0, column=0, sticky="ew")
        row = RowFrame(models.body)
        row.grid(row=1, column=0, sticky="w", pady=(S, 0))
        self.add = Button(row, texts.MODEL_ADD, self._choose_model, icon="upload")
        self.add.grid(row=0, column=0, padx=(0, S))
        self.rollback = Button(row, texts.MODEL_ROLLBACK, self._ask_rollback, icon="restart")
        self.rollback.grid(row=0, column=1, padx=(0, S))
        self.from_colab = Button(row, texts.COLAB_BACK, self._take_back, icon="download")
        self.from_colab.grid(row=0, column=2)
        yield

    def _make_run(self, body: Any) -> None:
        body.grid_columnconfigure(0, weight=1)
        body.grid_rowconfigure(0, weight=1)
        self.curve = CurveChart(body, height=130)
        self.curve.grid(row=0, column=0, sticky="nsew")
        self.run_note = Text(body, "", role="small", colour="bad", wrap=True)
        self.run_note.grid(row=1, column=0, sticky="ew")
        row = RowFrame(body)
        row.grid(row=2, column=0, sticky="w", pady=(S, 0))
        panel = self.panel
        self.start = Button(row, texts.RUN_START, lambda: panel.start_job(JobKind.TRAIN))
        self.resume = Button(row, texts.RUN_RESUME, lambda: panel.start_job(JobKind.TRAIN, ["--resume"]), kind="quiet")
        self.cancel = Button(row, texts.RUN_CANCEL, self._cancel, kind="quiet")
        for column, button in enumerate((self.start, self.resume, self.cancel)):
            button.grid(row=0, column=column, padx=(0, XS))

    # ---- reading ---------------------------------------------------------------------------------

    def shown(self) -> None:
        """Called each time the owner comes here."""
        self._pace.soon()

    def show_round(self, view: PipelineView) -> None:
        """The round under way: its steps, one bar, one Cancel."""
        self.retrain.show_round(view)

    def beat(self, pulse: Pulse) -> None:
        """Called with each new reading of the databases while the room is in front."""
        running = {job.kind for job in pulse.jobs}
        self.dataset.buttons[0].set_enabled(JobKind.PREPARE not in running)
        self.computer.buttons[0].set_enabled(JobKind.PREFLIGHT not in running)
        self.evaluation.buttons[0].set_enabled(JobKind.EVALUATE not in running)
        ended = frozenset(job.id for job in pulse.finished)
        if ended != self._ended:  # a job that ended changes what the cards say
            self._ended = ended
            self._pace.soon()
        if self._pace.is_due():
            self.panel.ask(
                lambda: (
                    training_view(read_training(self.panel.store), now=time.time()),
                    read_models(self.panel.store),
                    planned_tonight(self.panel.store, now=time.time()),
                ),
                lambda found: self._show(*found),
                failed=self._failed,
                slow=True,
            )

    def show_jobs(self, views: tuple[JobView, ...]) -> None:
        """What runs is seen where it was started."""
        others = tuple(view for view in views if view.kind != JobKind.RETRAIN)
        self.jobs.show(others)
        (self.jobs.grid if others else self.jobs.grid_remove)()

    def _failed(self, _: Exception) -> None:
        self._pace.done()

    def _show(self, view: TrainingView, models: ModelsView, planned: float) -> None:
        self._pace.done()
        if self.panel.pulse is not None:
            self._show_when(planned, self.panel.pulse.settings)
        self.view, self._previous = view, models.previous
        self.retrain.show(view.retrain, view.can_retrain)
        self.dataset.show(view.dataset, view.dataset_note)
        self.dataset.buttons[1].set_enabled(bool(view.dataset_report))
        self.computer.show(view.computer, view.computer_note)
        self.computer.buttons[1].set_enabled(view.offers_colab)
        self.curve.show(view.curve)
        self.run_note.show(view.run_note, colour="bad" if view.is_run_failed else "muted")
        self.start.set_enabled(view.can_start)
        self.resume.set_enabled(view.can_resume)
        self.cancel.set_enabled(view.can_cancel)
        self.evaluation.show(view.evaluation, view.evaluation_note)
        self.evaluation.buttons[1].set_enabled(bool(view.evaluation_report))
        self.models.show(models.rows)
        self.rollback.set_enabled(bool(models.previous))

    # ---- hands -----------------------------------------------------------------------------------

    def _plan(self, when: str) -> None:
        """When the next round begins by itself."""
        store = self.panel.store
        self.panel.set_setting(RETRAIN_AT_NIGHT, when == "night")
        if when == "tonight":
            self.panel.ask(
                lambda: plan_tonight(store, now=time.time()), lambda _: self.panel.toast(texts.RETRAIN_TONIGHT)
            )
        else:
            self.panel.ask(lambda: forget_tonight(store))

    def _show_when(self, planned: float, settings: Settings) -> None:
        every = texts.RETRAIN_EVERY.format(count=words.whole(settings[RETRAIN_REMINDER]))
        self.when.set_values(list(texts.RETRAIN_WHEN), texts.RETRAIN_WHEN | {"night": every})
        shown = "tonight" if planned else "night" if settings[RETRAIN_AT_NIGHT] else "hand"
        self.when.set_value(shown)
        self.when.show((texts.RETRAIN_WHEN | {"night": every})[shown])

    def _cancel(self) -> None:
        pulse = self.panel.pulse
        for job in pulse.jobs if pulse is not None else ():
            if job.kind in ("train", "retrain"):
                self.panel.cancel_job(job.id, job.kind)

    def _open(self, path: str) -> None:
        if path:
            self.panel.open_folder(Path(path))  # type: ignore[attr-defined]

    def _colab(self) -> None:
        self.panel.confirm(
            texts.COLAB,
            f"{texts.COLAB_TEXT}\n\n{texts.COLAB_PRIVATE}",
            [
                (texts.CANCEL, "quiet", None),
                (texts.COLAB_OPEN, "secondary", lambda: self.panel.open_folder(COLAB_NOTEBOOK)),  # type: ignore[attr-defined]
                (texts.COLAB_PACK, "secondary", self._pack),
            ],
        )

    def _pack(self) -> None:
        chosen = filedialog.askdirectory(parent=self.panel.root, title=texts.COLAB_PACK, mustexist=True)
        if chosen:
            workspace = self.panel.workspace
            self.panel.ask(
                lambda: pack_for_colab(workspace, Path(chosen)),
                lambda made: self.panel.toast(texts.COLAB_PACKED.format(folder=made.project.parent), tone="good"),
                slow=True,
            )

    def _take_back(self) -> None:
        name = filedialog.askopenfilename(
            parent=self.panel.root, title=texts.COLAB_BACK, filetypes=[("GGUF", "*.gguf"), ("*", "*")]
        )
        if name:
            workspace = self.panel.workspace
            self.panel.ask(
                lambda: take_back(workspace, Path(name)),
                lambda made: (
                    self.panel.toast(texts.COLAB_TAKEN.format(name=made.stem), tone="good"),
                    self._pace.soon(),
                ),
                slow=True,
            )

    def _choose_model(self) -> None:
        folder = self.panel.workspace.base_models.parent  # training runs leave theirs below it
        name = filedialog.askopenfilename(
            parent=self.panel.root,
            title=texts.BROWSE_MODEL,
            initialdir=str(folder),
            filetypes=[("GGUF", "*.gguf"), ("*", "*")],
        )
        if name:
            self.panel.start_job(JobKind.DEPLOY, ["--model", name])

    def _ask_rollback(self) -> None:
        if self._previous:
            self.panel.confirm(
                texts.MODEL_ROLLBACK_TITLE.format(name=self._previous),
                texts.MODEL_ROLLBACK_TEXT,
                [
                    (texts.CANCEL, "secondary", None),
                    (texts.MODEL_ROLLBACK, "primary", lambda: self.panel.start_job(JobKind.DEPLOY, ["--rollback"])),
                ],
            )


class FactsCard(Card):
    """Names with figures, a sentence, and buttons."""

    def __init__(self, master: Any, title: str, actions: tuple[tuple[str, Callable[[], Any], str], ...]) -> None:
        super().__init__(master, title)
        body = self.body
        body.grid_columnconfigure(0, weight=1)
        body.grid_rowconfigure(1, weight=1)
        self._facts = RowFrame(body)
        self._facts.grid(row=0, column=0, sticky="ew")
        self._facts.grid_columnconfigure(1, weight=1)
        self._lines: list[tuple[Text, Text]] = []
        self.note = Text(body, "", role="small", colour="muted", wrap=True, anchor="nw")
        self.note.grid(row=1, column=0, sticky="new", pady=(S, 0))
        row = RowFrame(body)
        row.grid(row=2, column=0, sticky="w", pady=(M, 0))
        self.buttons = [Button(row, words, command, kind=kind) for words, command, kind in actions]
        for column, button in enumerate(self.buttons):
            button.grid(row=0, column=column, padx=(0, XS))

    def show(self, facts: tuple[Fact, ...], note: str) -> None:
        while len(self._lines) < len(facts):
            row = len(self._lines)
            label, value = Text(self._facts, role="small", colour="muted"), Text(self._facts, role="strong")
            label.grid(row=row, column=0, sticky="w", pady=2)
            value.grid(row=row, column=1, sticky="e", pady=2)
            self._lines.append((label, value))
        for index, (label, value) in enumerate(self._lines):
            if index < len(facts):
                label.show(facts[index].label)
                value.show(facts[index].value, colour=facts[index].tone)
                label.grid()
                value.grid()
            else:
                label.grid_remove()
                value.grid_remove()
        self.note.show(note)


__all__ = ["TrainingRoom", "read_training"]
