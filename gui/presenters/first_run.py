"""The first run as a checklist: what is done, what is next, and what a check found."""

from __future__ import annotations

import re
from dataclasses import dataclass

from gui import texts
from gui.presenters import format as words
from gui.presenters.table import Cell, Column, TableRow
from storage import policy
from storage.environment import Environment
from storage.jobs.kinds import JobKind
from storage.jobs.results import DoctorResult, FindingResult
from storage.records import Job, JobState

CHECKUP_COLUMNS = (
    Column("mark", texts.CHECKUP_COLUMNS[0], 30, align="centre"),
    Column("name", texts.CHECKUP_COLUMNS[1], 150, kind="strong"),
    Column("words", texts.CHECKUP_COLUMNS[2], stretch=1.4, kind="small"),
    Column("cure", texts.CHECKUP_COLUMNS[3], stretch=1.6, kind="small", tone="muted"),
)
_MARKS = {"good": ("✓", "good"), "note": ("•", "busy"), "bad": ("✕", "bad")}


@dataclass(frozen=True)
class Situation:
    """What the checklist is made from. model_name: '' while no model file is here."""

    environment: Environment
    consent: str
    channels: int
    learning: int
    speaking: int
    messages: int
    model_name: str
    is_running: bool
    checkup: Job | None
    is_demo: bool = False


@dataclass(frozen=True, slots=True)
class FirstRunStep:
    """One line of the list. state: done, next, open or bad."""

    key: str
    title: str
    text: str
    state: str


@dataclass(frozen=True, slots=True)
class FirstRunView:
    """The list, how far it is, the invite link, and the last check-up."""

    steps: tuple[FirstRunStep, ...]
    progress: str
    invite_url: str
    checkup: tuple[TableRow, ...]
    is_finished: bool

    def step(self, key: str) -> FirstRunStep:
        return next(step for step in self.steps if step.key == key)


def first_run_view(situation: Situation) -> FirstRunView:
    """The first step that is not done is 'next'."""
    steps = [
        _token(situation),
        _server(situation),
        _invite(situation),
        _intent(situation),
        _rule(situation),
        _channels(situation),
        _model(situation),
        _fetch(situation),
        _start(situation),
    ]
    marked, has_next = [], False
    for step in steps:
        if step.state == "open" and not has_next:
            step, has_next = FirstRunStep(step.key, step.title, step.text, "next"), True
        has_next = has_next or step.state == "bad"
        marked.append(step)
    done = sum(step.state == "done" for step in marked)
    is_finished = done == len(marked)
    progress = texts.FIRST_FINISHED if is_finished else texts.FIRST_DONE.format(done=done, all=len(marked))
    return FirstRunView(
        tuple(marked), progress, _invite_url(situation.checkup), _checkup(situation.checkup), is_finished
    )


def is_needed(environment: Environment, *, channels: int, is_demo: bool) -> bool:
    """True while this workspace is new: nobody gave a token and no message has come in."""
    return not is_demo and not environment.token and not channels


def _finding(job: Job | None, name: str) -> FindingResult | None:
    if job is None or job.state is not JobState.DONE:
        return None
    return next((found for found in DoctorResult.of(job).findings if found.name == name), None)


def _invite_url(job: Job | None) -> str:
    finding = _finding(job, "Server")
    found = re.search(r"https://\S+", finding.cure) if finding else None
    return found[0] if found else ""


def _judged(situation: Situation, key: str, title: str, text: str, name: str) -> FirstRunStep:
    finding = _finding(situation.checkup, name) if situation.environment.token else None
    if finding is None:
        return FirstRunStep(key, title, text, "open")
    if finding.verdict == "good":
        return FirstRunStep(key, title, finding.words, "done")
    return FirstRunStep(key, title, f"{finding.words}. {finding.cure}", "bad")


def _token(situation: Situation) -> FirstRunStep:
    if not situation.environment.token:
        return FirstRunStep("token", texts.STEP_TOKEN, texts.STEP_TOKEN_TEXT, "open")
    step = _judged(situation, "token", texts.STEP_TOKEN, texts.STEP_TOKEN_SET, "Discord")
    return step


def _server(situation: Situation) -> FirstRunStep:
    if situation.environment.server_id is None:
        return FirstRunStep("server", texts.STEP_SERVER, texts.STEP_SERVER_TEXT, "open")
    return FirstRunStep("server", texts.STEP_SERVER, str(situation.environment.server_id), "done")


def _invite(situation: Situation) -> FirstRunStep:
    return _judged(situation, "invite", texts.STEP_INVITE, texts.STEP_INVITE_TEXT, "Server")


def _intent(situation: Situation) -> FirstRunStep:
    return _judged(situation, "intent", texts.STEP_INTENT, texts.STEP_INTENT_TEXT, "Message content intent")


def _rule(situation: Situation) -> FirstRunStep:
    if situation.consent == policy.YES:
        return FirstRunStep("rule", texts.STEP_RULE, texts.STEP_RULE_ACCEPTED, "done")
    text = texts.STEP_RULE_DECLINED if situation.consent == policy.NO else texts.STEP_RULE_TEXT
    return FirstRunStep("rule", texts.STEP_RULE, text, "open")


def _channels(situation: Situation) -> FirstRunStep:
    if not situation.learning and not situation.speaking:
        return FirstRunStep("channels", texts.STEP_CHANNELS, texts.STEP_CHANNELS_TEXT, "open")
    text = texts.STEP_CHANNELS_DONE.format(learn=situation.learning, speak=situation.speaking)
    return FirstRunStep("channels", texts.STEP_CHANNELS, text, "done")


def _model(situation: Situation) -> FirstRunStep:
    if not situation.model_name:
        return FirstRunStep("model", texts.STEP_MODEL, texts.STEP_MODEL_TEXT, "open")
    return FirstRunStep("model", texts.STEP_MODEL, texts.STEP_MODEL_DONE.format(name=situation.model_name), "done")


def _fetch(situation: Situation) -> FirstRunStep:
    if not situation.messages:
        return FirstRunStep(JobKind.FETCH, texts.STEP_FETCH, texts.STEP_FETCH_TEXT, "open")
    text = texts.STEP_FETCH_DONE.format(count=words.plural(situation.messages, "message"))
    return FirstRunStep(JobKind.FETCH, texts.STEP_FETCH, text, "done")


def _start(situation: Situation) -> FirstRunStep:
    if situation.is_running:
        return FirstRunStep("start", texts.STEP_START, texts.STEP_START_DONE, "done")
    return FirstRunStep("start", texts.STEP_START, texts.STEP_START_TEXT, "open")


def _checkup(job: Job | None) -> tuple[TableRow, ...]:
    if job is None or job.state is not JobState.DONE:
        return ()
    rows = []
    for number, finding in enumerate(DoctorResult.of(job).findings):
        mark, tone = _MARKS.get(finding.verdict, ("•", "muted"))
        rows.append(
            TableRow(
                number,
                (
                    Cell(mark, tone),
                    Cell(finding.name),
                    Cell(finding.words),
                    Cell(finding.cure),
                ),
            )
        )
    return tuple(rows)
