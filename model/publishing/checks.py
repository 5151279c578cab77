"""May this model be published? It must load and speak, must not be worse than the one in use, must not leak."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from model.evaluation.report import Contender, EvaluationReport
from model.evaluation.verdict import context_objections
from model.origin import ModelOrigin
from model.provenance import manifest_levels
from model.publishing.deployment import DeployedModel, DeploymentError
from storage.records import Conversation, Turn
from storage.split_files import model_bytes

# An AUC that is off by 0.04, about half an interval with a few hundred places, moves the match by this much.
MATCH_ALLOWANCE = 3.0
PROBES = ("hey", "anyone around tonight?", "lol what happened here")
# Below this share of the weights in use a new model is another class of model, not another edition.
SMALLER_SHARE = 0.6
_MEMORY_FACTOR = 1.3
_MEMORY_SPARE = 512 << 20


@dataclass(frozen=True, slots=True)
class Objections:
    """Why not. `final` cannot be forced; `forceable` can. `remarks` are worth knowing and stop nothing."""

    final: tuple[str, ...] = ()
    forceable: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()


def examine(
    report: EvaluationReport | None,
    *,
    sha256: str,
    manifest: dict[str, Any],
    in_use: DeployedModel | None,
    in_use_report: EvaluationReport | None,
    layout: int | None = None,
    origin: ModelOrigin | None = None,
    origin_in_use: ModelOrigin | None = None,
) -> Objections:
    """Everything that speaks against publishing, from the new model's report and manifest.

    origin, origin_in_use: what the new model and the one the bot speaks with were made from, where that is known.
    """
    final: list[str] = []
    forceable: list[str] = []
    remarks: list[str] = []
    if manifest_has_canaries(manifest) or (report is not None and report.has_canaries):
        final.append(
            "It was trained on a folder with planted canaries, which is for measuring only. Prepare the data "
            "without --canaries and train again."
        )
    if report is None:
        forceable.append(
            "It has not been evaluated, as far as this workspace knows. Run scripts/4_evaluate_personality.py first; a "
            "report that lies elsewhere is given with --report FILE."
        )
    else:
        forceable += _evaluated(report, sha256, in_use, in_use_report, remarks)
    trained_layout = manifest_layout(manifest)
    if layout is not None and trained_layout is not None and trained_layout != layout:
        forceable.append(
            f"It was trained with prompt layout {trained_layout}; the bot speaks layout {layout}. "
            "Prepare the data and train again."
        )
    if origin is not None and origin_in_use is not None:
        forceable += _replaces_another(origin, origin_in_use)
    return Objections(tuple(final), tuple(forceable), tuple(remarks))


def _replaces_another(new: ModelOrigin, old: ModelOrigin) -> list[str]:
    """A practice model is no successor of a real one, and nobody gets another licence by a click."""
    if new.weights and old.weights and new.weights < old.weights * SMALLER_SHARE:
        return [
            f"It is a much smaller model ({_billions(new.weights)} weights) than the one in use, {old.title} "
            f"({_billions(old.weights)}): good for practice, but the bot would speak worse. "
            "To follow the model in use, retrain without a practice recipe."
        ]
    if not new.base or not old.base or new.base.lower() == old.base.lower():
        return []
    licence = " Its licence forbids commercial use." if old.is_free and new.is_free is False else ""
    return [f"It was trained from {new.base}; the model in use, {old.title}, comes from {old.base}.{licence}"]


def _billions(weights: int) -> str:
    return f"{weights / 1e9:.1f} billion" if weights >= 1e9 else f"{weights / 1e6:.0f} million"


def _evaluated(
    report: EvaluationReport,
    sha256: str,
    in_use: DeployedModel | None,
    in_use_report: EvaluationReport | None,
    remarks: list[str],
) -> list[str]:
    measured = report.model.model
    if measured is not None and measured.sha256 != sha256:
        return ["The report measured another file. Evaluate this one."]
    found = [f"It recites: {objection}" for objection in report.objections]
    people = report.writer("people")
    found += context_objections(report.model.figures, people.figures) if people else ()
    if report.is_quick:
        remarks.append("Its evaluation was a quick one; the comparison is rough.")
    if in_use is None or in_use.sha256 == sha256:
        return found
    other = _same_measurement(report, in_use) or (in_use_report.model if in_use_report else None)
    if other is None:
        remarks.append(f"There is no report of the model in use ({in_use.name}); evaluate with --against to compare.")
        return found
    is_separate = _same_measurement(report, in_use) is None and in_use_report is not None
    if is_separate and in_use_report is not None and in_use_report.is_quick != report.is_quick:
        # Fewer places give detectors less to learn from, so a quick evaluation always looks better than a whole one.
        return [
            *found,
            f"A {_kind(report)} evaluation cannot be compared with the {_kind(in_use_report)} one of the "
            "model in use. Evaluate with --against current.",
        ]
    if is_separate and in_use_report is not None and in_use_report.data_hash != report.data_hash:
        remarks.append("The two reports used different data; evaluate with --against for a fair comparison.")
    return found + _worse(report.model, other)


def _kind(report: EvaluationReport) -> str:
    return "quick" if report.is_quick else "whole"


def _same_measurement(report: EvaluationReport, in_use: DeployedModel) -> Contender | None:
    """The model in use, when it was measured in the same run."""
    other = report.writer("against")
    return other if other and other.model and other.model.sha256 == in_use.sha256 else None


def _worse(new: Contender, old: Contender) -> list[str]:
    found = []
    if new.match and old.match:
        ours, theirs = new.match.percents_beside(old.match)
        if ours < theirs - MATCH_ALLOWANCE:
            found.append(f"Its personality match is {ours:.0f} %, that of the model in use {theirs:.0f} %.")
    a, b = new.figures.get("auc"), old.figures.get("auc")
    if a and b and a.low is not None and b.high is not None and a.low > b.high:
        found.append(f"It is recognised more easily: detector AUC {a.value:.2f} against {b.value:.2f}.")
    return found


def manifest_has_canaries(manifest: dict[str, Any]) -> bool:
    """True when the manifest, or the data set's manifest inside it, says that canaries were planted."""
    return any(bool(each.get("canaries") or each.get("has_canaries")) for each in manifest_levels(manifest))


def manifest_layout(manifest: dict[str, Any]) -> int | None:
    """The prompt layout the model was trained with, if it is said anywhere."""
    return next((each["layout"] for each in manifest_levels(manifest) if isinstance(each.get("layout"), int)), None)


def manifest_data_hash(manifest: dict[str, Any]) -> str:
    """The hash of the data set a model was trained on, '' when unknown; a stored version keeps it one level deeper."""
    data = [each["data"] for each in manifest_levels(manifest) if isinstance(each.get("data"), dict)]
    return str(next((each["hash"] for each in data if each.get("hash")), ""))


def manifest_recipe(manifest: dict[str, Any]) -> str:
    """The name of the recipe, '' when unknown."""
    recipe = next((each["recipe"] for each in manifest_levels(manifest) if each.get("recipe")), "")
    return str(recipe.get("name", "")) if isinstance(recipe, dict) else str(recipe)


def speaks(gguf: Path) -> float:
    """Load a model file and let it answer a few lines; returns the seconds it took to load.

    Raises ModelFileError when it does not load and DeploymentError when all it says is nothing.
    """
    from model.inference import GenerationOptions, ReplyRequest, close_model, get_model

    model = get_model(gguf)
    try:
        options = GenerationOptions(max_tokens=24, seed=1)
        replies = [
            model.generate(ReplyRequest(Conversation((Turn("mia", line),)), options, "", number)).text
            for number, line in enumerate(PROBES, start=1)
        ]
        if not any(reply.strip() for reply in replies):
            raise DeploymentError(f"{gguf.name} loads but says nothing.", "Check the training and the export.")
        return float(model.load_seconds)
    finally:
        close_model()


def has_memory_for(gguf: Path, *, available_bytes: Callable[[], int] | None = None) -> bool:
    """True when another copy of the model fits beside what runs now, with some room to spare."""
    if available_bytes is None:
        import psutil

        available = int(psutil.virtual_memory().available)
    else:
        available = available_bytes()
    return available > model_bytes(gguf) * _MEMORY_FACTOR + _MEMORY_SPARE
