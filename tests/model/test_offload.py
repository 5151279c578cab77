"""Layers on a graphics card: as many as fit, fewer when a load fails, and never the same failure for ever.

The card is a stand-in for the memory figure and for a load that does not fit; models are loaded for real, without one.
"""

from __future__ import annotations

import multiprocessing
import os
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from model.catalog import offline_chat_model
from model.chat.offload import ALL, AUTO, Offload, layer_costs, layers_that_fit, ways_down, wish_of
from model.files.gguf_check import check_gguf
from model.llama_cpp_api import ContextOptions, NativeModel
from storage.errors import ModelFileError
from storage.paths import Workspace
from storage.store import Store

OPTIONS = ContextOptions(cells=512, sequences=2)
RESERVE = 700 << 20
PACKAGED_LAYERS = 30


@dataclass
class Card:
    """A card with so many bytes for a model. tells: what its driver says is free."""

    holds: int
    tells: int | None = None
    dies: bool = False
    tried: list[int] = field(default_factory=list)

    def open(self, path: Path, options: ContextOptions) -> NativeModel:
        self.tried.append(options.gpu_layers)
        costs = layer_costs(check_gguf(path), options)
        count = len(costs) if options.gpu_layers == ALL else options.gpu_layers
        if sum(costs[:count]) > self.holds:
            if self.dies:
                os._exit(134)
            raise ModelFileError("out of memory", "")
        return NativeModel(path, replace(options, gpu_layers=0))

    def offload(self, store: Store | None = None, *, wish: int = AUTO) -> Offload:
        facts = store.facts if store is not None else None
        return Offload(wish, facts, free_bytes=lambda: self.tells, is_possible=lambda: True, open_model=self.open)

    def load(self, store: Store | None = None, *, wish: int = AUTO) -> list[int]:
        """Load the packaged model once; what was tried for it."""
        self.tried.clear()
        self.offload(store, wish=wish).open(offline_chat_model(), OPTIONS).close()
        return list(self.tried)


def whole() -> int:
    return sum(layer_costs(check_gguf(offline_chat_model()), OPTIONS))


def test_costs_are_the_files_tensors_and_the_cache() -> None:
    header = check_gguf(offline_chat_model())
    costs = layer_costs(header, OPTIONS)
    assert len(costs) == PACKAGED_LAYERS + 1
    cache = 512 * 3 * (64 + 64) * 2
    assert sum(costs) == header.tensor_bytes + PACKAGED_LAYERS * cache
    assert header.tensor_bytes <= header.size_bytes
    assert layer_costs(header, replace(OPTIONS, kv_type="q8_0"))[1] < costs[1]


def test_as_many_layers_as_the_free_memory_holds() -> None:
    costs = [100, 50, 50, 50]
    assert layers_that_fit(costs, RESERVE + 250) == ALL
    assert layers_that_fit(costs, RESERVE + 249) == 3
    assert layers_that_fit(costs, RESERVE + 100) == 1
    assert layers_that_fit(costs, RESERVE + 99) == 0
    assert layers_that_fit(costs, 0) == 0


def test_a_failed_load_goes_down_in_a_few_steps_to_the_processor() -> None:
    assert list(ways_down(ALL, 36)) == [ALL, 27, 18, 9, 0]
    assert list(ways_down(1, 36)) == [1, 0]
    assert list(ways_down(0, 36)) == [0]
    assert [wish_of(text) for text in ("auto", "all", "0", "15")] == [AUTO, ALL, 0, 15]


def test_a_model_that_fits_goes_onto_the_card_whole_and_a_larger_one_in_part() -> None:
    """Fault 164."""
    assert Card(holds=whole(), tells=whole() + RESERVE).load() == [ALL]
    half = whole() // 2
    (tried,) = Card(holds=half, tells=half + RESERVE).load()
    assert 0 < tried < PACKAGED_LAYERS
    assert Card(holds=0, tells=100 << 20).load() == [0]


def test_memory_that_was_free_and_is_not_costs_layers_and_no_reply(store: Store) -> None:
    """Fault 164: another program took it between the question and the load, or nobody could say."""
    card = Card(holds=whole() // 2, tells=whole() + RESERVE)
    assert card.load(store) == [ALL, 23, 15, 7]
    assert card.load(store) == [7], "what failed is not tried again"
    card.tells = 2 * card.tells
    assert card.load(store)[0] == ALL, "unless there is clearly more room"
    unknown = Card(holds=whole() // 2, tells=None)
    assert unknown.load() == [ALL, 23, 15, 7]


def test_an_owners_own_number_goes_down_too() -> None:
    """Fault 164."""
    tried = Card(holds=whole() // 2, tells=None).load(wish=20)
    assert tried == [20, 15, 10, 5][: len(tried)]
    assert len(tried) > 1
    assert Card(holds=whole(), tells=None).load(wish=0) == [0]


def test_a_file_that_loads_nowhere_says_why_after_the_processor_too(store: Store) -> None:
    card = Card(holds=-1, tells=whole() + RESERVE)
    with pytest.raises(ModelFileError, match="out of memory"):
        card.load(store)
    assert card.tried[-1] == 0


def _load_and_die(root: Path, holds: int, tells: int) -> None:
    with Store.open(Workspace.at(root)) as store:
        Card(holds, tells, dies=True).load(store)


def test_a_load_that_ends_the_process_is_one_step_lower_in_the_next(workspace: Workspace) -> None:
    """Fault 164: a graphics library may abort; the bot was started again into the same end, ten times and more."""
    half, told = whole() // 2, whole() + RESERVE
    ends = []
    for _ in range(4):
        child = multiprocessing.get_context("spawn").Process(target=_load_and_die, args=(workspace.root, half, told))
        child.start()
        child.join(120)
        ends.append(child.exitcode)
        if child.exitcode == 0:
            break
    assert ends == [134, 134, 134, 0]


def test_a_build_without_graphics_is_asked_nothing() -> None:
    asked: list[int] = []

    def open_model(path: Path, options: ContextOptions) -> NativeModel:
        asked.append(options.gpu_layers)
        return NativeModel(path, options)

    def free() -> int:
        raise AssertionError("there is no card to ask")

    Offload(AUTO, None, free, lambda: False, open_model).open(offline_chat_model(), OPTIONS).close()
    assert asked == [0]
