"""Reports of evaluations as the panel needs them: which file was measured, how it did, some replies side by side."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from storage.artefacts import read_object
from storage.paths import Workspace


@dataclass(frozen=True, slots=True)
class ReplyPair:
    """One place of the talk with the reply of the model in use (or, without one, a person's) and the new one's."""

    line: str
    before: str
    now: str


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What a report says about one model file. before_*: the model in use at the time; None where it was not measured.

    auc: how well a classifier tells it from people, 0.5-1 (0.5: not at all).
    pairs: empty where an erasure took the quotations away.
    """

    sha256: str
    report: Path
    match_percent: float | None
    before_name: str = ""
    before_percent: float | None = None
    is_quick: bool = False
    auc: float | None = None
    pairs: tuple[ReplyPair, ...] = ()


def all_evaluations(workspace: Workspace) -> dict[str, Evaluation]:
    """The newest report of each model file, by the file's SHA-256. A report is parsed again only when it changed."""
    found: dict[str, Evaluation] = {}
    reports = (workspace.data / "evaluation").glob("*/report.json")
    for changed_at, path in sorted((path.stat().st_mtime_ns, path) for path in reports if path.is_file()):
        evaluation = _read(path, changed_at)
        if evaluation is not None:
            found[evaluation.sha256] = evaluation
    return found


@lru_cache(maxsize=64)
def _read(path: Path, _changed_at: int) -> Evaluation | None:
    record = read_object(path)
    writers = record.get("writers") if record else None
    if record is None or not isinstance(writers, list):
        return None
    by_role = {str(each.get("role")): each for each in writers if isinstance(each, dict)}
    model, other = by_role.get("model"), by_role.get("against")
    measured = model.get("model") if model else None
    digest = measured.get("sha256") if isinstance(measured, dict) else None
    if model is None or not digest:
        return None
    return Evaluation(
        str(digest),
        path,
        _percent(model),
        str(other.get("name") or "") if other else "",
        _percent(other) if other else None,
        bool(record.get("is_quick")),
        _auc(model),
        tuple(_pairs(record.get("samples"), "against" if other else "people")),
    )


def _percent(writer: dict[str, Any]) -> float | None:
    match = writer.get("match")
    percent = match.get("percent") if isinstance(match, dict) else None
    return float(percent) if isinstance(percent, int | float) else None


def _auc(writer: dict[str, Any]) -> float | None:
    figures = writer.get("figures")
    found = figures.get("auc") if isinstance(figures, dict) else None
    value = found.get("value") if isinstance(found, dict) else None
    return float(value) if isinstance(value, int | float) else None


def _pairs(samples: object, role: str) -> list[ReplyPair]:
    pairs = []
    for sample in samples if isinstance(samples, list) else ():
        replies = sample.get("replies") if isinstance(sample, dict) else None
        context = sample.get("context") if isinstance(sample, dict) else None
        if not isinstance(replies, dict) or not isinstance(context, list) or not context:
            continue
        last = context[-1]
        if replies.get(role) and replies.get("model") and isinstance(last, list) and len(last) == 2:
            pairs.append(ReplyPair(f"{last[0]}: {last[1]}", str(replies[role]), str(replies["model"])))
    return pairs
