"""The first run as a checklist: what is done, what is next, and what a check found."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from gui import texts
from gui.presenters import format as words
from gui.presenters.plain import plain
from storage import policy
from storage.environment import Environment
from storage.jobs.kinds import JobKind, job_label
from storage.jobs.results import DoctorResult, FindingResult
from storage.records import Job, JobState

_MARKS = {"good": ("✓", "good"), "note": ("•", "busy"), "bad": ("✕", "bad")}


# Steps of each way, in their order. The first that is not done is open; those behind it wait for it.
WAYS: dict[str, tuple[str, ...]] = {
    "discord": (
        *("token", "server", "invite", "intent", "rule", "channels", "model", "search", "fetch", "train", "start"),
        "hello",
    ),
    "import": ("import", "channels", "model", "search", "train", "start", "hello"),
}
SKIPPABLE = frozenset({"search", "train"})
# Which job does a step, so that its failure is told in the step's own row.
STEP_JOBS = {
    "import": "import",
    "model": "download",
    "search": "download",
    "channels": "fetch",
    "fetch": "fetch",
    "train": "retrain",
}


@dataclass(frozen=True)
class Situation:
    """What the checklist is made from. model_name: '' while no model file is here. way: '' while nobody chose.

    jobs: the newest of each kind, for what failed. start_problem: why the bot does not come up.
    """

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
    way: str = ""
    skipped: frozenset[str] = frozenset()
    search_model: str = ""
    is_search_model_here: bool = False
    trained: int = 0
    has_replied: bool = False
    jobs: Mapping[str, Job] = field(default_factory=dict)
    start_problem: str = ""
    large_server: policy.OpenQuestion | None = None


@dataclass(frozen=True, slots=True)
class FirstRunStep:
    """One line of the list. state: done, skipped, next, bad (open, and something went wrong) or locked."""

    key: str
    title: str
    text: str
    state: str

    @property
    def is_open(self) -> bool:
        """Whether the owner can do it now."""
        return self.state in ("next", "bad")

    @property
    def is_done(self) -> bool:
        """Whether nothing is left to do, also where it was skipped."""
        return self.state in ("done", "skipped")


@dataclass(frozen=True, slots=True)
class FindingRow:
    """One finding of the check-up. action: words of the button that cures it, '' where none does; it starts `job_kind`,
    or leads to `place`."""

    mark: str
    tone: str
    name: str
    words: str
    cure: str
    action: str
    job_kind: str
    arguments: tuple[str, ...]
    place: str


@dataclass(frozen=True, slots=True)
class FirstRunView:
    """The list, how far it is, the invite link, and the last check-up."""

    steps: tuple[FirstRunStep, ...]
    progress: str
    invite_url: str
    checkup: tuple[FindingRow, ...]
    is_finished: bool
    way: str
    large_server: policy.OpenQuestion | None = None

    def step(self, key: str) -> FirstRunStep:
        """The step with this key."""
        return next(step for step in self.steps if step.key == key)


def first_run_view(situation: Situation) -> FirstRunView:
    """One step is open at a time, the first that is not done; those behind it are locked and say why."""
    way = way_of(situation)
    steps: list[FirstRunStep] = []
    waits_for = ""
    for key in WAYS[way]:
        step = _STEPS[key](situation)
        if step.is_done:
            pass
        elif waits_for:
            step = replace(step, state="locked", text=texts.STEP_LOCKED.format(first=waits_for))
        else:
            waits_for = step.title
            step = _opened(step, situation)
        steps.append(step)
    done = sum(step.is_done for step in steps)
    is_finished = done == len(steps)
    progress = texts.FIRST_FINISHED if is_finished else texts.FIRST_DONE.format(done=done, all=len(steps))
    return FirstRunView(
        tuple(steps),
        progress,
        _invite_url(situation.checkup),
        _checkup(situation.checkup),
        is_finished,
        way,
        situation.large_server,
    )


def way_of(situation: Situation) -> str:
    """What the owner chose; else what they began: messages without a token came from an export."""
    if situation.way:
        return situation.way
    return "import" if situation.messages and not situation.environment.token else "discord"


def _opened(step: FirstRunStep, situation: Situation) -> FirstRunStep:
    """Nothing is open but this; what its last try said comes with it."""
    if step.state == "bad":
        return step
    if step.key in SKIPPABLE and step.key in situation.skipped:
        return replace(step, state="skipped")
    job = situation.jobs.get(STEP_JOBS.get(step.key, ""))
    if job is not None and job.state in (JobState.FAILED, JobState.LOST):
        said = plain(job.error) or texts.JOB_LOST.format(name=job_label(job.kind))
        return replace(step, state="bad", text=f"{said} {texts.STEP_TRY_AGAIN}")
    return replace(step, state="next")


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
    said = plain(f"{finding.words}. {finding.cure}")
    return FirstRunStep(key, title, said or text, "bad")


def _token(situation: Situation) -> FirstRunStep:
    if not situation.environment.token:
        return FirstRunStep("token", texts.STEP_TOKEN, texts.STEP_TOKEN_TEXT, "open")
    return _judged(situation, "token", texts.STEP_TOKEN, texts.STEP_TOKEN_SET, "Discord")


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
        is_import = way_of(situation) == "import"
        text = texts.STEP_CHANNELS_TEXT_IMPORT if is_import else texts.STEP_CHANNELS_TEXT
        return FirstRunStep("channels", texts.STEP_CHANNELS, text, "open")
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
    if situation.is_running or situation.has_replied:
        text = texts.STEP_START_DONE if situation.is_running else texts.STEP_START_RAN
        return FirstRunStep("start", texts.STEP_START, text, "done")
    if situation.start_problem:
        return FirstRunStep("start", texts.STEP_START, situation.start_problem, "bad")
    return FirstRunStep("start", texts.STEP_START, texts.STEP_START_TEXT, "open")


def _import(situation: Situation) -> FirstRunStep:
    if not situation.messages:
        return FirstRunStep("import", texts.STEP_IMPORT, texts.STEP_IMPORT_TEXT, "open")
    text = texts.STEP_FETCH_DONE.format(count=words.plural(situation.messages, "message"))
    return FirstRunStep("import", texts.STEP_IMPORT, text, "done")


def _search(situation: Situation) -> FirstRunStep:
    if situation.is_search_model_here:
        return FirstRunStep(
            "search", texts.STEP_SEARCH, texts.STEP_MODEL_DONE.format(name=situation.search_model), "done"
        )
    if "search" in situation.skipped:
        return FirstRunStep("search", texts.STEP_SEARCH, texts.STEP_SEARCH_SKIPPED, "skipped")
    return FirstRunStep("search", texts.STEP_SEARCH, texts.STEP_SEARCH_TEXT.format(name=situation.search_model), "open")


def _train(situation: Situation) -> FirstRunStep:
    if situation.trained:
        count = words.plural(situation.trained, "trained model")
        return FirstRunStep("train", texts.STEP_TRAIN, texts.STEP_TRAIN_DONE.format(count=count), "done")
    if "train" in situation.skipped:
        return FirstRunStep("train", texts.STEP_TRAIN, texts.STEP_TRAIN_SKIPPED, "skipped")
    return FirstRunStep("train", texts.STEP_TRAIN, texts.STEP_TRAIN_TEXT, "open")


def _hello(situation: Situation) -> FirstRunStep:
    if situation.has_replied:
        return FirstRunStep("hello", texts.STEP_HELLO, texts.STEP_HELLO_DONE, "done")
    return FirstRunStep("hello", texts.STEP_HELLO, texts.STEP_HELLO_TEXT, "open")


def _checkup(job: Job | None) -> tuple[FindingRow, ...]:
    if job is None or job.state is not JobState.DONE:
        return ()
    rows = []
    for finding in DoctorResult.of(job).findings:
        mark, tone = _MARKS.get(finding.verdict, ("•", "muted"))
        label, job_kind, arguments, place = _CURES.get(finding.name, ("", "", (), ""))
        if not label and (named := re.search(r"Settings > (\w+)", finding.cure)) is not None:
            label, place = texts.BUTTON_SETTINGS, f"settings/{named[1]}"
        if finding.verdict == "good" or not finding.cure:
            label = ""
        rows.append(
            FindingRow(
                mark, tone, finding.name, plain(finding.words), plain(finding.cure), label, job_kind, arguments, place
            )
        )
    return tuple(rows)


# What cures a finding: (words of the button, a job with its arguments, or a place of the panel).
_CURES: dict[str, tuple[str, str, tuple[str, ...], str]] = {
    "Token": (texts.BUTTON_TOKEN, "", (), "settings/Discord"),
    "Discord": (texts.BUTTON_TOKEN, "", (), "settings/Discord"),
    "Messages": (texts.STEP_FETCH_GO, "fetch", (), ""),
    "Last fetch": (texts.STEP_FETCH_GO, "fetch", (), ""),
    "Missing messages": (texts.PEOPLE, "", (), "people"),
    "Absent messages": (texts.PEOPLE, "", (), "people"),
    "Opened channels": (texts.PEOPLE, "", (), "people"),
    "Channels": (texts.PEOPLE, "", (), "people"),
    "Search index": (texts.INDEX_BUTTON, "index", ("--rebuild-index",), ""),
    "Chat model": (texts.STEP_MODEL_GO, "download", (), ""),
    "Scheduled fetch": (texts.BUTTON_SETTINGS, "", (), "settings/Data"),
    "Start at login": (texts.BUTTON_SETTINGS, "", (), "settings/Startup"),
    "Bot": (texts.HOME, "", (), "home"),
}

_STEPS: dict[str, Callable[[Situation], FirstRunStep]] = {
    "token": _token,
    "server": _server,
    "invite": _invite,
    "intent": _intent,
    "rule": _rule,
    "import": _import,
    "channels": _channels,
    "model": _model,
    "search": _search,
    "fetch": _fetch,
    "train": _train,
    "start": _start,
    "hello": _hello,
}
