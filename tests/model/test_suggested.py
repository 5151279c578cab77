"""What a sweep leaves: both layouts' figures, and settings that name the layout only where the other one wins."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any

import pytest

from model.evaluation.run import EvaluationConfig
from model.evaluation.sweep import Point
from model.files.parts import model_sha256
from model.publishing.suggested import SUGGESTED, read_suggestion, settle_settings
from storage.jobs.terminal import TerminalProgress
from storage.settings import CHAT, CHAT_TEMPLATE, TEMPERATURE, TRANSCRIPT, Settings
from storage.store import Store

evaluation = importlib.import_module("scripts.4_evaluate_personality")


@pytest.mark.parametrize(("other_score", "layout"), [(0.9, "auto"), (0.1, CHAT)])
def test_a_sweep_measures_both_layouts_and_suggests_the_better_one(
    store: Store, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], other_score: float, layout: str
) -> None:
    model = store.workspace.root / "untuned.gguf"
    model.write_bytes(b"weights")
    asked: list[tuple[str, Any]] = []

    def swept(plan: EvaluationConfig, _report: Any, *, points: Any = None) -> list[Point]:
        asked.append((plan.settings[CHAT_TEMPLATE], points))
        if points is None:
            return [Point(0.85, 0.05, auc=0.6, fit=0.8, score=0.3), Point(1.0, 0.1, auc=0.7, fit=0.7, score=0.5)]
        return [Point(0.7, top_p=0.9, auc=0.9, score=other_score)]

    monkeypatch.setattr(evaluation, "run_sweep", swept)
    out = store.workspace.data / "evaluation" / "sweep"
    plan = EvaluationConfig(Path("data"), out, (("model", model),), Settings())
    evaluation.run_the_sweep(plan, TerminalProgress(None))
    assert asked[0] == ("auto", None)
    assert asked[1][0] == CHAT, "what nobody trained here reads a transcript; the other one is its chat template"
    assert asked[1][1][0].temperature == 0.7, "asked as the specification has it"
    record = json.loads((out / SUGGESTED).read_text(encoding="utf-8"))
    assert record["model_sha256"] == model_sha256(model)
    assert record["layouts"].keys() == {TRANSCRIPT, CHAT}
    found = read_suggestion(out / SUGGESTED)
    assert found is not None
    assert found.settings.get(CHAT_TEMPLATE.key, "auto") == layout
    said = capsys.readouterr().out
    assert "transcript: detector AUC 0.60, fit to context 0.80; chat template: detector AUC 0.90" in said
    assert settle_settings(store, model, is_asked=False).startswith("It speaks with the settings found for it")
    assert store.settings.get(TEMPERATURE) == found.settings["temperature"]
