"""How a run speaks and listens while the optimiser works: progress, curve, cancel, complete checkpoints."""

from __future__ import annotations

import json
import math
import signal
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from model.training.checkpoints import mark_complete
from storage.errors import CancelledError

_LISTEN_EVERY_SECONDS = 0.5
_SPENT = "spent.json"
# What of a trainer's log belongs on the curve, and what it is called there.
_CURVES = {
    "loss": "loss",
    "eval_loss": "eval_loss",
    "rewards/accuracies": "accuracy",
    "eval_rewards/accuracies": "eval_accuracy",
    "learning_rate": "learning_rate",
}


class Reporter(Protocol):
    """Where progress goes: storage.jobs.terminal.TerminalProgress is one."""

    def report(self, fraction: float, step: str = "", *, done: int | None = None, unit: str = "") -> None:
        """Progress 0-1 of the whole run; raises CancelledError when the owner asked to stop."""

    def metric(self, name: str, step: int, value: float) -> None:
        """A point of the curve."""

    def is_cancel_requested(self) -> bool:
        """True once the owner asked to stop."""


class SilentReporter:
    """For callers that want no news."""

    def report(self, fraction: float, step: str = "", *, done: int | None = None, unit: str = "") -> None:
        """Nothing."""

    def metric(self, name: str, step: int, value: float) -> None:
        """Nothing."""

    def is_cancel_requested(self) -> bool:
        """Never."""
        return False


@dataclass
class TrainingStop:
    """Whether the run shall stop after the present step, and who asked."""

    by_signal: bool = False
    by_owner: bool = False

    @property
    def is_set(self) -> bool:
        """Whether anybody asked for the end: a signal, or the owner in the panel."""
        return self.by_signal or self.by_owner

    def raise_if_set(self) -> None:
        """After the checkpoint was saved: leave as the script's conventions want it."""
        if self.by_signal:
            raise KeyboardInterrupt
        if self.by_owner:
            raise CancelledError("Training was cancelled; a checkpoint was saved.", "Start it with --resume to go on.")


@contextmanager
def stopping_on_signals(stop: TrainingStop) -> Iterator[None]:
    """Ctrl+C (or SIGTERM) asks for a checkpoint and a clean end; a second one interrupts at once."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def ask(_number: int, _frame: Any) -> None:
        if stop.by_signal:
            raise KeyboardInterrupt
        stop.by_signal = True

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@dataclass
class PhaseNews:
    """One phase's part of the whole run, and the latest figures for the progress line."""

    reporter: Reporter
    stop: TrainingStop
    title: str
    metric_prefix: str
    start: float
    end: float
    figures: dict[str, float] = field(default_factory=dict)
    tokens: int = 0

    def on_step(self, step: int, total: int) -> None:
        """After each optimiser step."""
        fraction = self.start + (self.end - self.start) * step / max(total, 1)
        try:
            self.reporter.report(fraction, self._text(), done=step, unit=f"of {total} steps")
        except CancelledError:
            self.stop.by_owner = True

    def on_log(self, step: int, logs: dict[str, float]) -> None:
        """After each line of the trainer's log."""
        for name, curve in _CURVES.items():
            if isinstance(logs.get(name), (int, float)):
                self.figures[curve] = float(logs[name])
                self.reporter.metric(self.metric_prefix + curve, step, float(logs[name]))

    def _text(self) -> str:
        parts = [self.title]
        if "loss" in self.figures:
            parts.append(f"loss {self.figures['loss']:.3f}")
        if "eval_loss" in self.figures:
            parts.append(f"validation {self.figures['eval_loss']:.3f}")
        return ", ".join(parts)


@dataclass(frozen=True)
class SpentTime:
    """Seconds a phase took: since `started_at` (monotonic), and before its checkpoint in earlier processes."""

    started_at: float
    before: float = 0.0

    @property
    def seconds(self) -> float:
        """So far."""
        return self.before + time.monotonic() - self.started_at

    def write(self, checkpoint: Path) -> None:
        """Leave it in a checkpoint, for whoever continues from there."""
        (checkpoint / _SPENT).write_text(json.dumps({"seconds": self.seconds}), encoding="utf-8")


def seconds_before(checkpoint: Path | None) -> float:
    """What the phase had taken when a checkpoint was saved; 0 without one, and where an earlier version saved it."""
    try:
        return float(json.loads((checkpoint / _SPENT).read_text(encoding="utf-8"))["seconds"]) if checkpoint else 0.0
    except (OSError, ValueError, KeyError, TypeError):
        return 0.0


def mean_loss(log: Sequence[Mapping[str, Any]]) -> float | None:
    """The training loss over all steps of a trainer's log, which a checkpoint carries along: each entry is the mean
    since the one before. None where there is none, or it is not a number."""
    total, done = 0.0, 0
    for entry in log:
        loss, step = entry.get("loss"), entry.get("step")
        if isinstance(loss, (int, float)) and isinstance(step, int) and step > done:
            total, done = total + float(loss) * (step - done), step
    return total / done if done and math.isfinite(total) else None


def news_callback(news: PhaseNews, spent: SpentTime) -> Any:
    """The transformers callback that tells the news, listens for cancel, and marks checkpoints complete."""
    from transformers import TrainerCallback

    class NewsCallback(TrainerCallback):
        """Bound to one phase; see PhaseNews."""

        def __init__(self) -> None:
            self._listened_at = float("-inf")

        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> Any:
            if state.is_world_process_zero:
                news.on_step(state.global_step, state.max_steps)
                self._listen()
            if _any_process(news.stop.is_set):
                control.should_save = True
                control.should_evaluate = False
                control.should_training_stop = True
            # What was not logged yet is not in the checkpoint, and its loss would be lost to whoever goes on.
            control.should_log = control.should_log or control.should_save
            return control

        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
            if state.is_world_process_zero:
                news.on_log(state.global_step, logs or {})

        def on_prediction_step(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            if state.is_world_process_zero:
                news.on_step(state.global_step, state.max_steps)

        def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            if state.is_world_process_zero:
                checkpoint = Path(args.output_dir) / f"checkpoint-{state.global_step}"
                spent.write(checkpoint)
                mark_complete(checkpoint)

        def _listen(self) -> None:
            now = time.monotonic()
            if now - self._listened_at < _LISTEN_EVERY_SECONDS:
                return
            self._listened_at = now
            news.stop.by_owner = news.stop.by_owner or news.reporter.is_cancel_requested()

    return NewsCallback()


def _any_process(wants_to_stop: bool) -> bool:
    """With several GPUs all processes must stop at the same step, or the others wait for ever."""
    import torch

    distributed = torch.distributed
    if not (distributed.is_available() and distributed.is_initialized()):
        return wants_to_stop
    device = "cuda" if torch.cuda.is_available() else "cpu"
    flag = torch.tensor([int(wants_to_stop)], device=device)
    distributed.all_reduce(flag, op=distributed.ReduceOp.MAX)
    return bool(flag.item())
