"""Trained models: the list with Use, Compare and Delete, and the card that asks about a new one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from gui import texts
from gui.components.basics import Card, Hairline, RowFrame, Text
from gui.components.button import Button
from gui.components.notices import Pill
from gui.components.room import M, Panel, S, spread
from gui.components.theme import XS
from gui.presenters.models import ModelQuestion, ModelRow, ModelsView, model_question, models_view
from storage.evaluations import all_evaluations
from storage.jobs.kinds import JobKind
from storage.jobs.results import ScoreResult
from storage.records import JobState
from storage.store import Store
from storage.trained_models import all_models, answers, delete_model, note_answer

# Among so many jobs the blind tests' scores are looked for.
RECENT_JOBS = 300
_NEEDING_FILES = frozenset({JobKind.TRAIN, JobKind.RETRAIN, JobKind.EVALUATE, JobKind.DEPLOY})


class ModelPanel(Panel, Protocol):
    """The panel as the models' cards need it."""

    def compare_model(self, file: Path) -> None: ...


def read_models(store: Store) -> ModelsView:
    """Runs on the worker: reads folders."""
    is_busy = any(job.kind in _NEEDING_FILES for job in store.jobs.active())
    jobs = store.jobs.recent(limit=RECENT_JOBS)
    scores = [ScoreResult.of(job) for job in jobs if job.kind == JobKind.BLIND_TEST and job.state is JobState.DONE]
    return models_view(all_models(store), all_evaluations(store.workspace), is_busy=is_busy, scores=scores)


def read_question(store: Store) -> ModelQuestion | None:
    """Runs on the worker. While a training or a deployment is under way, nothing is asked."""
    if any(job.kind in _NEEDING_FILES for job in store.jobs.active()):
        return None
    return model_question(all_models(store), all_evaluations(store.workspace), answers(store))


def use_model(panel: Panel, row: ModelRow) -> None:
    """Let the bot use a model; one made for practice asks first, away from Enter."""

    def deploy() -> None:
        panel.start_job(JobKind.DEPLOY, list(row.use))

    if not row.warns_of_practice:
        deploy()
        return
    panel.confirm(
        texts.PRACTICE_TITLE,
        texts.PRACTICE_TEXT.format(name=row.name),
        [(texts.FORCE_NO, "secondary", None), (texts.FORCE_GO, "danger", deploy)],
    )


class ModelList(RowFrame):
    """Every model there is, one line each. `changed` is called after a deletion."""

    def __init__(self, master: Any, panel: ModelPanel, changed: Callable[[], Any]) -> None:
        super().__init__(master)
        self._panel, self._changed = panel, changed
        self.grid_columnconfigure(0, weight=1)
        self.lines: list[ModelLine] = []
        self.empty = Text(self, texts.MODELS_NONE, colour="muted", wrap=True)
        self.empty.grid(row=0, column=0, sticky="ew")

    def show(self, rows: tuple[ModelRow, ...]) -> None:
        """Show the models, in their order; lines are reused."""
        (self.empty.grid_remove if rows else self.empty.grid)()
        while len(self.lines) < len(rows):
            line = ModelLine(self, self._panel, self._changed, is_first=not self.lines)
            line.grid(row=len(self.lines) + 1, column=0, sticky="ew")
            self.lines.append(line)
        for line, row in zip(self.lines, rows, strict=False):
            line.show(row)
            line.grid()
        for line in self.lines[len(rows) :]:
            line.grid_remove()


class ModelLine(RowFrame):
    """One model."""

    def __init__(self, master: Any, panel: ModelPanel, changed: Callable[[], Any], *, is_first: bool) -> None:
        super().__init__(master)
        self._panel, self._changed = panel, changed
        self.row: ModelRow | None = None
        self.grid_columnconfigure(1, weight=1)
        if not is_first:
            Hairline(self).grid(row=0, column=0, columnspan=3, sticky="ew", pady=S)
        self.name = Text(self, "", role="strong")
        self.name.grid(row=1, column=0, sticky="w")
        self.state = Pill(self, "")
        self.state.grid(row=1, column=1, sticky="w", padx=S)
        self.text = Text(self, "", role="small", colour="muted", wrap=True)
        self.text.grid(row=2, column=0, columnspan=2, sticky="ew")
        self.verdict = Text(self, "", role="small", wrap=True)
        self.verdict.grid(row=3, column=0, columnspan=3, sticky="ew")
        tools = RowFrame(self)
        tools.grid(row=1, column=2, rowspan=2, sticky="e")
        self.use = Button(tools, texts.MODEL_USE_SHORT, self._use)
        self.compare = Button(tools, texts.CHAT_COMPARE, self._compare, kind="quiet")
        self.delete = Button(tools, texts.MODEL_DELETE, self._ask_delete, kind="quiet", icon="trash")
        for column, button in enumerate((self.use, self.compare, self.delete)):
            button.grid(row=0, column=column, padx=(XS, 0))

    def show(self, row: ModelRow) -> None:
        if row == self.row:
            return
        self.row = row
        self.name.show(row.name)
        self.text.show(row.text)
        self.verdict.show(row.verdict)
        (self.verdict.grid if row.verdict else self.verdict.grid_remove)()
        if row.state:
            self.state.show(row.state, row.tone)
            self.state.grid()
        else:
            self.state.grid_remove()
        self.use.set_enabled(row.can_use)
        self.compare.set_enabled(row.can_use)
        self.delete.set_enabled(row.can_delete)

    def _use(self) -> None:
        if self.row is not None:
            use_model(self._panel, self.row)

    def _compare(self) -> None:
        if self.row is not None:
            self._panel.compare_model(self.row.file)

    def _ask_delete(self) -> None:
        row = self.row
        if row is None:
            return
        self._panel.confirm(
            texts.MODEL_DELETE_TITLE.format(name=row.name),
            texts.MODEL_DELETE_TEXT,
            [
                (texts.CANCEL, "secondary", None),
                (texts.MODEL_DELETE_GO, "danger", lambda: self._delete(row.key)),
            ],
        )

    def _delete(self, key: str) -> None:
        store = self._panel.store
        self._panel.ask(lambda: delete_model(store, key), lambda _: self._changed(), slow=True)


class NewModelCard(Card):
    """A trained model waits for the owner's word: old and new figures, replies side by side, three answers."""

    def __init__(self, master: Any, panel: ModelPanel) -> None:
        super().__init__(master, pad=14)
        self._panel = panel
        self.question: ModelQuestion | None = None
        body = self.body
        body.grid_columnconfigure(0, weight=1)
        self.title = Text(body, "", role="heading")
        self.title.grid(row=0, column=0, sticky="w")
        self.text = Text(body, "", colour="muted", wrap=True)
        self.text.grid(row=1, column=0, sticky="ew", pady=(XS, S))
        self.pairs = RowFrame(body)
        self.pairs.grid(row=2, column=0, sticky="ew", pady=(0, S))
        spread(self.pairs, 2, group="pair")
        tools = RowFrame(body)
        tools.grid(row=3, column=0, sticky="w")
        self.use = Button(tools, texts.DEPLOY_GO, self._use, kind="primary")
        self.compare = Button(tools, texts.NEW_MODEL_TRY, self._compare)
        self.keep = Button(tools, texts.NEW_MODEL_KEEP, self._keep, kind="quiet")
        for column, button in enumerate((self.use, self.compare, self.keep)):
            button.grid(row=0, column=column, padx=(0, S))

    def show(self, question: ModelQuestion | None) -> None:
        """Appears with a question and goes with its answer."""
        if question is None:
            self.question = None
            self.grid_remove()
            return
        if question != self.question:
            self.question = question
            self.title.show(question.title)
            self.text.show(question.text)
            self._show_pairs(question)
        self.grid()

    def _show_pairs(self, question: ModelQuestion) -> None:
        for child in self.pairs.winfo_children():
            child.destroy()
        if not question.pairs:
            self.pairs.grid_remove()
            return
        for column, heading in enumerate((question.before_title, texts.NEW_MODEL_NOW)):
            Text(self.pairs, heading, role="caption_strong", colour="muted").grid(row=0, column=column, sticky="w")
        for number, pair in enumerate(question.pairs):
            Text(self.pairs, pair.line, role="small", colour="muted", wrap=True).grid(
                row=number * 2 + 1, column=0, columnspan=2, sticky="ew", pady=(S, 0)
            )
            for column, reply in enumerate((pair.before, pair.now)):
                Text(self.pairs, reply, wrap=True).grid(
                    row=number * 2 + 2, column=column, sticky="new", padx=(0, M if column == 0 else 0)
                )
        self.pairs.grid()

    def _use(self) -> None:
        if self.question is not None:
            use_model(self._panel, self.question.row)

    def _compare(self) -> None:
        if self.question is not None:
            self._panel.compare_model(self.question.row.file)

    def _keep(self) -> None:
        if self.question is not None:
            store, key = self._panel.store, self.question.row.key
            self.show(None)
            self._panel.ask(lambda: note_answer(store, key))


__all__ = ["ModelList", "NewModelCard", "read_models", "read_question"]
