"""The blind test as the panel shows it: one reply at a time, a verdict, ratings if one likes. No toolkit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from gui import texts
from gui.presenters import format as words
from storage.blind_test import LEAST_ANSWERS, RATINGS, Quiz, QuizLine, QuizResult, RaterVerdict, certainty
from storage.jobs.results import ScoreResult
from storage.records import Job

SHOWN_REPLIES = 3


@dataclass(frozen=True)
class QuizRun:
    """A rater's way through a quiz. Every step returns a new one."""

    quiz: Quiz
    rater: str
    at: int = 0
    verdicts: Mapping[str, RaterVerdict] = field(default_factory=dict)

    @property
    def is_at_end(self) -> bool:
        """Whether the last question is behind."""
        return self.at >= len(self.quiz.items)

    @property
    def marked(self) -> int:
        """How many questions have an answer."""
        return len(self.verdicts)


@dataclass(frozen=True)
class QuizView:
    """What one reply looks like on the screen; nothing in it depends on who wrote the reply."""

    item_id: str
    count: str
    share: float
    lines: tuple[QuizLine, ...]
    reply: str
    is_bot: bool | None
    ratings: Mapping[str, int]
    can_go_back: bool
    can_go_on: bool
    next_text: str


def mark(run: QuizRun, is_bot: bool) -> QuizRun:
    """Call the reply in front the bot's or a person's; ratings given before stay."""
    if run.is_at_end:
        return run
    item = run.quiz.items[run.at].id
    known = run.verdicts.get(item)
    return replace(run, verdicts={**run.verdicts, item: RaterVerdict(item, is_bot, known.ratings if known else {})})


def rate(run: QuizRun, name: str, value: int) -> QuizRun:
    """Rate the reply in front; only after its verdict, which is what counts."""
    if run.is_at_end or (known := run.verdicts.get(run.quiz.items[run.at].id)) is None:
        return run
    rated = replace(known, ratings={**known.ratings, name: value})
    return replace(run, verdicts={**run.verdicts, known.item_id: rated})


def rate_next(run: QuizRun, value: int) -> QuizRun:
    """A digit rates the first dimension that has none yet."""
    given = view(run).ratings if not run.is_at_end else {}
    open_names = [name for name, _ in RATINGS if name not in given]
    return rate(run, open_names[0], value) if open_names else run


def forward(run: QuizRun) -> QuizRun:
    """To the next reply, once this one has its verdict; after the last, the end."""
    return replace(run, at=run.at + 1) if not run.is_at_end and view(run).can_go_on else run


def backward(run: QuizRun) -> QuizRun:
    """The run at the question before; the first one stays."""
    return replace(run, at=max(0, run.at - 1))


def result(run: QuizRun, *, now: float) -> QuizResult:
    """What is saved: the verdicts in the order of the quiz."""
    given = tuple(run.verdicts[item.id] for item in run.quiz.items if item.id in run.verdicts)
    return QuizResult(run.quiz.id, run.rater, given, now)


def view(run: QuizRun) -> QuizView:
    """The reply in front."""
    item, count = run.quiz.items[run.at], len(run.quiz.items)
    verdict = run.verdicts.get(item.id)
    return QuizView(
        item_id=item.id,
        count=texts.BLIND_COUNT.format(at=run.at + 1, count=count),
        share=run.marked / count,
        lines=item.context,
        reply=item.reply,
        is_bot=None if verdict is None else verdict.is_bot,
        ratings=verdict.ratings if verdict else {},
        can_go_back=run.at > 0,
        can_go_on=verdict is not None,
        next_text=texts.BLIND_FINISH if run.at == count - 1 else texts.BLIND_NEXT,
    )


@dataclass(frozen=True, slots=True)
class RevealView:
    """How somebody did, and which replies fooled them."""

    title: str
    lines: tuple[str, ...]


def reveal(result: QuizResult, quiz: Quiz, answers: Mapping[str, bool], *, by: str = "") -> RevealView:
    """Who it was. answers: item id -> True for the bot; by: a friend's name, '' for the one in front of the screen."""
    known = [verdict for verdict in result.verdicts if verdict.item_id in answers]
    right = sum(verdict.is_bot == answers[verdict.item_id] for verdict in known)
    replies = {item.id: item.reply for item in quiz.items}
    fooled = [v for v in known if answers[v.item_id] and not v.is_bot and v.item_id in replies]
    wronged = [v for v in known if not answers[v.item_id] and v.is_bot and v.item_id in replies]
    form = texts.BLIND_REVEAL_BY if by else texts.BLIND_REVEAL
    lines = [texts.BLIND_FOOLED.format(reply=_short(replies[v.item_id])) for v in fooled[:SHOWN_REPLIES]]
    lines += [texts.BLIND_WRONGED.format(reply=_short(replies[v.item_id])) for v in wronged[:SHOWN_REPLIES]]
    return RevealView(form.format(name=by, right=right, count=len(known)), tuple(lines))


def _short(reply: str) -> str:
    line = " ".join(reply.split())
    return line if len(line) <= 90 else line[:88] + "…"


def score_text(job: Job | None) -> str:
    """What a finished scoring says, '' when the job was no scoring."""
    score = ScoreResult.of(job)
    if not score.reading:
        return ""
    found, alarms = score.detected, score.false_alarms
    answers = found.count + alarms.count
    if answers < LEAST_ANSWERS:
        return texts.BLIND_TOO_FEW.format(answers=words.plural(answers, "answer"), least=LEAST_ANSWERS)
    parts = [
        texts.BLIND_SCORE.format(
            found=words.percent(found.value),
            sure=certainty(found.low, found.high),
            alarms=words.percent(alarms.value),
            answers=words.plural(answers, "answer"),
            raters=words.plural(len(score.raters), "person", "people"),
        )
    ]
    if score.rubric_mean is not None:
        parts.append(texts.BLIND_RUBRIC.format(mean=score.rubric_mean))
    reading = score.reading
    return " ".join([*parts, f"{reading[:1].upper()}{reading[1:]}."])
