"""Moving the bot to another model and back: the pointer together with what the owner had chosen in the settings.

A switch is *open* from the moment the pointer moves until the bot answered with the new model. It is written down, so
that a model the bot cannot load is taken back even when the process that deployed it was killed in between: by the bot
itself, or by whoever deploys next.
"""
from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

from model.publishing.deployment import Pointer, write_pointer
from storage.errors import ModelFileError
from storage.processes import is_alive
from storage.settings import ADAPTER_PATH, MODEL_PATH
from storage.store import Store

log = logging.getLogger(__name__)
T = TypeVar("T")

# What the owner can choose by hand, and where it is kept while a deployed model speaks.
MODEL_CHOICE = (MODEL_PATH, ADAPTER_PATH)
_CHOSEN_BEFORE = "model_chosen_before_deployment"
_OPEN_SWITCH = "open_switch_of_models"


@dataclass(frozen=True, slots=True)
class OpenSwitch:
    """How it was before a switch, who switches, and the bot that began to load the new model (0: none yet)."""

    pointer: Pointer | None
    chosen: Mapping[str, str]
    pid: int
    loaded_by: int = 0

    @property
    def is_abandoned(self) -> bool:
        """True when nobody is left to take it back: its process is gone."""
        return self.pid != os.getpid() and not is_alive(self.pid)


def open_switch(store: Store, pointer: Pointer | None) -> OpenSwitch:
    """Write down how it is now, before the pointer moves."""
    opened = OpenSwitch(pointer, chosen_models(store), os.getpid())
    _write(store, opened)
    return opened


def close_switch(store: Store) -> None:
    """The bot answered with the new model, or it was taken back, or no bot runs."""
    store.facts.set(_OPEN_SWITCH, None)


def take_back(store: Store, opened: OpenSwitch, *, asked_by: str) -> None:
    """Everything as it was before the switch. The pointer comes first: a kill in between is repeated by the next."""
    write_pointer(store.workspace, opened.pointer)
    store.settings.reset(*MODEL_CHOICE)
    choose_models(store, opened.chosen, asked_by=asked_by)
    close_switch(store)


def abandoned_switch(store: Store) -> OpenSwitch | None:
    """A switch whose process was killed before the bot had answered; None where there is none."""
    record = store.facts.get(_OPEN_SWITCH)
    if not isinstance(record, dict):
        return None
    try:
        pointer = Pointer(**record["pointer"]) if record["pointer"] else None
        found = OpenSwitch(pointer, dict(record["chosen"]), int(record["pid"]), int(record["loaded_by"]))
    except (KeyError, TypeError, ValueError):
        return None
    return found if found.is_abandoned else None


def load_or_take_back(store: Store, load: Callable[[], T]) -> T:
    """The bot's loading: the model in use, or the one before where a killed deployment left one that does not load.

    A model that ends the process that loads it is recognised by the bot that began to load it and is gone.
    """
    opened = abandoned_switch(store)
    if opened is None:
        return load()
    if opened.loaded_by and opened.loaded_by != os.getpid() and not is_alive(opened.loaded_by):
        return _load_the_one_before(store, opened, "the bot ended while it loaded it", load)
    _write(store, OpenSwitch(opened.pointer, opened.chosen, opened.pid, os.getpid()))
    try:
        model = load()
    except ModelFileError as error:
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
    return [f"The {setting.label.lower()} chosen in the settings ({chosen[setting.key]}) gave way to the deployed "
            "model; a rollback to before the first deployment brings it back."
            for setting in MODEL_CHOICE if chosen[setting.key]]


def bring_back(store: Store, *, asked_by: str) -> None:
    """What was put aside at the first deployment, after a rollback to before it."""
    choose_models(store, store.facts.get(_CHOSEN_BEFORE, {}), asked_by=asked_by)


def _load_the_one_before(store: Store, opened: OpenSwitch, why: str, load: Callable[[], T]) -> T:
    log.error("A deployment was cut short and its model cannot be used (%s); the one from before is used again.", why)
    take_back(store, opened, asked_by="bot")
    return load()


def _write(store: Store, opened: OpenSwitch) -> None:
    record: dict[str, Any] = asdict(opened)
    store.facts.set(_OPEN_SWITCH, record)
