"""Moving the bot to another model and back: the pointer together with what the owner had chosen in the settings.

A switch is *open* from before the pointer moves until the bot answered with the new model. It is written down, so that
a model the bot cannot load is taken back even when the process that deployed it was killed in between: by the bot
itself, or by whoever deploys next. Once the bot has loaded the model, or the owner has chosen another one, there is
nothing left to take back.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, TypeVar

from model.publishing.deployment import read_pointer, write_pointer
from storage.artefacts import Pointer
from storage.errors import KnownError
from storage.settings import ADAPTER_PATH, MODEL_PATH
from storage.store import Store
from storage.system.processes import ProcessMark

log = logging.getLogger(__name__)
T = TypeVar("T")

# What the owner can choose by hand, and where it is kept while a deployed model speaks.
MODEL_CHOICE = (MODEL_PATH, ADAPTER_PATH)
# A bot may be stopped while it loads; a model that ended two of them is at fault.
MOST_ATTEMPTS = 2
_CHOSEN_BEFORE = "model_chosen_before_deployment"
_OPEN_SWITCH = "open_switch_of_models"


@dataclass(frozen=True, slots=True)
class OpenSwitch:
    """How it was before a switch and (once it has moved) after it, and whose it is.

    attempts: bots that began to load the new model and neither did nor said why, counted once `owner` is gone.
    """

    owner: ProcessMark
    before: Pointer | None
    chosen_before: Mapping[str, str]
    has_moved: bool = False
    after: Pointer | None = None
    chosen_after: Mapping[str, str] | None = None
    attempts: int = 0
    is_loaded: bool = False

    @property
    def is_abandoned(self) -> bool:
        """True when nobody is left to take it back: its process is gone."""
        return not self.owner.is_alive

    def is_in_force(self, store: Store) -> bool:
        """False once another model was chosen since, or where the pointer never moved."""
        pointer = read_pointer(store.workspace)
        if not self.has_moved:  # killed in the middle of it
            return pointer != self.before
        return pointer == self.after and chosen_models(store) == self.chosen_after


def open_switch(store: Store) -> OpenSwitch:
    """Write down how it is now, before the pointer moves."""
    opened = OpenSwitch(ProcessMark.of(), read_pointer(store.workspace), chosen_models(store))
    _write(store, opened)
    return opened


def note_moved(store: Store, opened: OpenSwitch) -> OpenSwitch:
    """Write down how it is after the pointer has moved and choices were put aside."""
    opened = replace(opened, has_moved=True, after=read_pointer(store.workspace), chosen_after=chosen_models(store))
    _write(store, opened)
    return opened


def close_switch(store: Store) -> None:
    """The bot answered with the new model, or it was taken back, or no bot runs."""
    store.facts.set(_OPEN_SWITCH, None)


def take_back(store: Store, opened: OpenSwitch, *, asked_by: str) -> None:
    """Everything as it was before the switch. The pointer comes first: a kill in between is repeated by the next."""
    write_pointer(store.workspace, opened.before)
    store.settings.reset(*MODEL_CHOICE)
    choose_models(store, opened.chosen_before, asked_by=asked_by)
    close_switch(store)


def unsettled_switch(store: Store) -> OpenSwitch | None:
    """The open switch if its model is in use and no bot has loaded it yet; None where there is none."""
    record = store.facts.get(_OPEN_SWITCH)
    if not isinstance(record, dict):
        return None
    try:
        opened = OpenSwitch(
            **record
            | {
                "owner": ProcessMark(**record["owner"]),
                "before": _pointer(record["before"]),
                "after": _pointer(record["after"]),
            }
        )
    except (KeyError, TypeError):
        return None
    return None if opened.is_loaded or not opened.is_in_force(store) else opened


def load_or_take_back(store: Store, load: Callable[[], T]) -> T:
    """The bot's loading: the model in use, or the one before where a killed deployment left one that does not load.

    While the deploying process lives, it decides; afterwards a KnownError of `load` takes the model back, and so do two
    bots that ended in the middle of loading it.
    """
    opened = unsettled_switch(store)
    if opened is None:
        return load()
    if not opened.is_abandoned:
        model = load()
        _write(store, replace(opened, is_loaded=True))
        return model
    if opened.attempts >= MOST_ATTEMPTS:
        return _load_the_one_before(store, opened, f"{opened.attempts} bots ended while they loaded it", load)
    _write(store, replace(opened, attempts=opened.attempts + 1))
    try:
        model = load()
    except KnownError as error:
        return _load_the_one_before(store, opened, error.text(), load)
    close_switch(store)
    return model


def chosen_models(store: Store) -> dict[str, str]:
    """Model and adapter as the settings have them, by key."""
    settings = store.settings.read()
    return {setting.key: settings[setting] for setting in MODEL_CHOICE}


def choose_models(store: Store, values: Mapping[str, str], *, asked_by: str) -> None:
    """Write what is not empty into the settings."""
    for setting in MODEL_CHOICE:
        if values.get(setting.key):
            store.settings.set(setting, values[setting.key], changed_by=asked_by)


def put_aside(store: Store, chosen: Mapping[str, str]) -> list[str]:
    """A model chosen in the settings would hide the deployed one, an adapter would change it; returns what to say."""
    store.facts.set(_CHOSEN_BEFORE, dict(chosen))
    store.settings.reset(*MODEL_CHOICE)
    return [
        f"The {setting.label.lower()} chosen in the settings ({chosen[setting.key]}) gave way to the deployed "
        "model; a rollback to before the first deployment brings it back."
        for setting in MODEL_CHOICE
        if chosen[setting.key]
    ]


def bring_back(store: Store, *, asked_by: str) -> None:
    """What was put aside at the first deployment, after a rollback to before it."""
    choose_models(store, store.facts.get(_CHOSEN_BEFORE, {}), asked_by=asked_by)


def _load_the_one_before(store: Store, opened: OpenSwitch, why: str, load: Callable[[], T]) -> T:
    log.error("A deployment was cut short and its model cannot be used (%s); the one from before is used again.", why)
    take_back(store, opened, asked_by="bot")
    return load()


def _pointer(record: dict[str, Any] | None) -> Pointer | None:
    return Pointer(**record) if record else None


def _write(store: Store, opened: OpenSwitch) -> None:
    store.facts.set(_OPEN_SWITCH, asdict(opened))
