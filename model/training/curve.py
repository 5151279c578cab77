"""The loss curve as a picture."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from model.training.trainer import ADAPTER, TrainingResult

log = logging.getLogger(__name__)

PICTURE = "loss.png"


def draw_curve(out: Path, result: TrainingResult) -> Path | None:
    """Draw OUT/loss.png, one panel a phase; None when matplotlib is not installed."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        log.info("matplotlib is not installed: no picture of the loss curve (the figures are in log.json).")
        return None
    names = [phase.name for phase in result.phases]
    figure = Figure(figsize=(5.5 * len(names), 3.8), layout="constrained")
    FigureCanvasAgg(figure)
    for axes, name in zip(figure.subplots(1, len(names), squeeze=False)[0], names, strict=True):
        entries = json.loads((out / name / ADAPTER / "log.json").read_text(encoding="utf-8"))
        _panel(axes, name, entries)
    target = out / PICTURE
    figure.savefig(target, dpi=110)
    return target


def _panel(axes: Any, name: str, entries: Sequence[dict[str, Any]]) -> None:
    for key, label in (("loss", "training"), ("eval_loss", "validation")):
        points = [(entry["step"], entry[key]) for entry in entries if key in entry]
        if points:
            axes.plot(*zip(*points, strict=True), label=label, marker="o" if key == "eval_loss" else "")
    axes.set_title(f"{name.upper()} loss")
    axes.set_xlabel("step")
    axes.set_ylabel("nats per reply token" if name == "sft" else "loss")
    axes.grid(alpha=0.3)
    if axes.lines:
        axes.legend()
