"""Trained models as rows, and the question that waits until it is answered. No toolkit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from gui import texts
from gui.presenters import format as words
from storage.blind_test import LEAST_ANSWERS, certainty
from storage.evaluations import Evaluation, ReplyPair
from storage.jobs.results import ScoreResult
from storage.trained_models import TrainedModel, unanswered

SHOWN_PAIRS = 3
# A reply longer than this is cut: the card compares voices, it is no reading room.
PAIR_LENGTH = 160


@dataclass(frozen=True, slots=True)
class ModelRow:
    """One model with what can be done with it. use: arguments of the deployment script. verdict: the friends', ''
    where no blind test was scored."""

    key: str
    name: str
    text: str
    state: str
    tone: str
    file: Path
    use: tuple[str, ...]
    can_use: bool
    can_delete: bool
    warns_of_practice: bool
    verdict: str = ""


@dataclass(frozen=True, slots=True)
class ModelsView:
    """The list, and where a rollback leads ('' where it leads nowhere)."""

    rows: tuple[ModelRow, ...]
    previous: str


@dataclass(frozen=True, slots=True)
class ModelQuestion:
    """A trained model nobody has decided about. pairs: replies side by side, at most three."""

    row: ModelRow
    title: str
    text: str
    before_title: str
    pairs: tuple[ReplyPair, ...]


def models_view(
    models: Sequence[TrainedModel],
    evaluations: Mapping[str, Evaluation],
    *,
    is_busy: bool = False,
    scores: Sequence[ScoreResult] = (),
) -> ModelsView:
    """is_busy: a training, an evaluation or a deployment is under way, which may need any of the files. scores: of the
    blind tests, newest first."""
    in_use = next((model for model in models if model.is_in_use), None)
    verdicts = _verdicts(models, scores)
    rows = tuple(
        replace(_row(model, evaluations.get(model.key), in_use, is_busy=is_busy), verdict=verdicts.get(model.key, ""))
        for model in models
    )
    before_first = texts.MODEL_BEFORE_FIRST if any(model.is_current for model in models) else ""
    return ModelsView(rows, next((model.name for model in models if model.is_previous), before_first))


def _verdicts(models: Sequence[TrainedModel], scores: Sequence[ScoreResult]) -> dict[str, str]:
    """By the models' keys. A test names its model by the file's name, which is one model's only once it was used: the
    files of all trainings are called alike."""
    by_version = {model.version: model.key for model in models if model.version}
    found: dict[str, str] = {}
    for score in scores:
        if score.reading and score.model in by_version:
            found.setdefault(by_version[score.model], verdict_text(score))
    return found


def verdict_text(score: ScoreResult) -> str:
    """The friends' verdict in words; none below LEAST_ANSWERS. Even: the interval holds the share of real replies that
    were taken for the bot's."""
    answers = score.detected.count + score.false_alarms.count
    said = words.plural(answers, "answer")
    if answers < LEAST_ANSWERS:
        return texts.MODEL_FRIENDS_FEW.format(answers=said, least=LEAST_ANSWERS)
    found, alarms = score.detected, score.false_alarms
    reading = texts.MODEL_FRIENDS_MIXED
    if found.low <= alarms.value <= found.high:
        reading = texts.MODEL_FRIENDS_EVEN
    elif found.low > max(alarms.value, 0.5):
        reading = texts.MODEL_FRIENDS_ABOVE
    return texts.MODEL_FRIENDS.format(
        found=words.percent(found.value), sure=certainty(found.low, found.high), answers=said, reading=reading
    )


def model_question(
    models: Sequence[TrainedModel], evaluations: Mapping[str, Evaluation], answered: Sequence[str]
) -> ModelQuestion | None:
    """About the newest training's model, until it is used or declined; None while nothing waits."""
    model = unanswered(models, answered)
    if model is None:
        return None
    in_use = next((other for other in models if other.is_in_use), None)
    evaluation = evaluations.get(model.key)
    row = _row(model, evaluation, in_use, is_busy=False)
    has_before = evaluation is not None and bool(evaluation.before_name)
    return ModelQuestion(
        row,
        texts.NEW_MODEL_TITLE.format(name=model.name),
        _question_text(model, evaluation, in_use, evaluations),
        texts.NEW_MODEL_BEFORE if has_before else texts.NEW_MODEL_PEOPLE,
        tuple(_cut(pair) for pair in evaluation.pairs[:SHOWN_PAIRS]) if evaluation else (),
    )


def _question_text(
    model: TrainedModel,
    evaluation: Evaluation | None,
    in_use: TrainedModel | None,
    evaluations: Mapping[str, Evaluation],
) -> str:
    parts = [texts.NEW_MODEL_MADE.format(when=words.stamp(model.made_at))]
    if evaluation is None or evaluation.match_percent is None:
        parts.append(texts.NEW_MODEL_UNMEASURED)
    else:
        parts.append(texts.NEW_MODEL_MATCH.format(match=words.percent(evaluation.match_percent / 100)))
        before = evaluation.before_percent
        if before is None and in_use is not None:
            own = evaluations.get(in_use.key)
            before = own.match_percent if own else in_use.match_percent
        if before is not None:
            parts.append(texts.NEW_MODEL_MATCH_BEFORE.format(match=words.percent(before / 100)))
    if model.is_practice:
        parts.append(texts.NEW_MODEL_PRACTICE)
    parts.append(texts.NEW_MODEL_SAFE)
    return " ".join(parts)


def _cut(pair: ReplyPair) -> ReplyPair:
    return ReplyPair(*(_line(text) for text in (pair.line, pair.before, pair.now)))


def _line(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= PAIR_LENGTH else text[: PAIR_LENGTH - 1].rstrip() + "…"


def _row(model: TrainedModel, evaluation: Evaluation | None, in_use: TrainedModel | None, *, is_busy: bool) -> ModelRow:
    match = evaluation.match_percent if evaluation else model.match_percent
    parts = [
        (texts.MODEL_TRAINED if model.run else texts.MODEL_ADDED).format(when=words.stamp(model.made_at)),
        words.size(model.size_bytes),
        texts.MODEL_UNMEASURED if match is None else texts.MODEL_MATCHES.format(match=words.percent(match / 100)),
    ]
    if evaluation is not None and evaluation.auc is not None:
        parts.append(texts.MODEL_DETECTOR.format(auc=f"{evaluation.auc:.2f}"))
    if model.is_practice:
        parts.append(texts.MODEL_PRACTICE)
    state, tone = _state(model)
    return ModelRow(
        model.key,
        model.name,
        " · ".join(parts),
        state,
        tone,
        model.file,
        ("--use", model.version) if model.version else ("--model", str(model.file)),
        can_use=not model.is_in_use,
        can_delete=not model.is_in_use and not is_busy,
        warns_of_practice=model.is_practice and (in_use is None or not in_use.is_practice),
    )


def _state(model: TrainedModel) -> tuple[str, str]:
    if model.is_in_use:
        return texts.MODEL_IN_USE, "good"
    if model.is_previous:
        return texts.MODEL_BEFORE, "idle"
    return ("", "idle") if model.version else (texts.MODEL_UNUSED, "accent")
