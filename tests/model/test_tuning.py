"""Choices from measurements, manners on somebody's laptop, and the benchmark model."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from data.chat.conversation import Typist
from model.catalog import check_gguf
from model.chat.chat_model import ChatModel
from model.chat.host_load import Lookout, Surroundings, threads_for
from model.chat.requests import GenerationOptions, ReplyRequest
from model.chat.tuning import Trial, Tuning, choose, choose_parallel, probe, thread_candidates, tuning_for, tuning_key
from model.llama_cpp_api import ContextOptions
from scripts.dev.make_benchmark_model import TINY, main, write_model
from storage.records import Conversation, Turn
from storage.settings import FREE_MEMORY, Settings
from storage.store import Store

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tiny") / "tiny.gguf"
    write_model(path, TINY)
    return path


def test_the_quickest_setting_wins_and_a_leaner_one_among_equals() -> None:
    trials = [Trial(False, 2, 0.02, 0.08), Trial(True, 2, 0.015, 0.08), Trial(True, 4, 0.01, 0.05)]
    assert choose(trials) == trials[2]
    equal = [Trial(True, 4, 0.010, 0.050), Trial(False, 4, 0.0105, 0.050), Trial(False, 2, 0.0107, 0.051)]
    assert choose(equal) == equal[2]


def test_replies_are_decoded_together_only_where_the_mean_latency_gains() -> None:
    assert choose_parallel({2: 1.4, 4: 2.8}) == 1
    assert choose_parallel({2: 1.1, 4: 2.8}) == 2
    assert choose_parallel({2: 1.05, 4: 1.2}) == 4


@pytest.mark.parametrize(("processors", "counts"), [(1, [1]), (2, [1, 2]), (8, [4, 7, 8]), (64, [8, 15, 16])])
def test_thread_counts_worth_trying(processors: int, counts: list[int]) -> None:
    assert thread_candidates(processors) == counts


@pytest.mark.parametrize(("busy", "threads"), [(0.0, 8), (0.3, 8), (1.0, 7), (4.2, 4), (9.0, 1)])
def test_threads_give_way_while_the_machine_is_busy(busy: float, threads: int) -> None:
    assert threads_for(8, busy, 8) == threads


def test_a_probe_measures_stores_and_is_used_again(tiny: Path, store: Store) -> None:
    tuning = probe(tiny)
    assert tuning.decode_per_second > 0
    assert set(tuning.batch_cost) == {"2", "4"}
    assert 1 <= tuning.threads <= (os.cpu_count() or 1)
    store.facts.set(tuning_key(tiny), tuning.as_dict())
    assert tuning_for(store.facts, tiny) == tuning
    options = tuning.applied_to(ContextOptions())
    assert (options.threads, options.repack, options.ubatch) == (tuning.threads, tuning.repack, tuning.ubatch)
    assert tuning.applied_to(ContextOptions(threads=3)).threads == 3


def test_the_first_start_of_a_large_model_leaves_no_threads_behind(
    tiny: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """OpenMP's idle teams count as busy processors, and everybody else would wait by sleeping."""
    import psutil

    from model.chat import tuning as module

    monkeypatch.setattr(module, "_WORTH_PROBING", 0)
    before = psutil.Process().num_threads()
    found = tuning_for(store.facts, tiny)
    assert found is not None
    assert any(trial["threads"] > 1 for trial in found.trials) == ((os.cpu_count() or 1) > 1)
    assert psutil.Process().num_threads() == before


def test_a_probe_without_time_measures_one_setting_and_is_content(tiny: Path) -> None:
    tuning = probe(tiny, budget_seconds=0)
    assert len(tuning.trials) == 1
    assert tuning.decode_per_second > 0
    assert (tuning.repack, tuning.ubatch, tuning.flash_attention, tuning.parallel) == (False, 64, True, 1)


def test_a_probe_whose_time_is_over_keeps_the_best_it_found(tiny: Path) -> None:
    readings = itertools.count()
    for budget in (60, 120, 240):
        tuning = probe(tiny, budget_seconds=budget, clock=lambda: float(next(readings)))
        chosen = {"repack": tuning.repack, "threads": tuning.threads}
        assert tuning.trials
        assert any(chosen.items() <= trial.items() for trial in tuning.trials)


def test_a_result_of_another_version_is_not_used(tiny: Path, store: Store) -> None:
    store.facts.set(tuning_key(tiny), {"version": 1, "threads": 9})
    assert tuning_for(store.facts, tiny) is None
    assert Tuning.from_dict({"version": 2}) is None


def test_the_lookout_looks_seldom() -> None:
    now = [0.0]
    lookout = Lookout(clock=lambda: now[0])
    first = lookout.look()
    assert lookout.look() is first
    now[0] = 11.0
    assert lookout.look() is not first
    assert Surroundings(is_on_battery=True).is_quiet_time
    assert not Surroundings(busy_processors=3).is_quiet_time


class OnBattery(Lookout):
    """A laptop that is not plugged in."""

    def look(self) -> Surroundings:
        return Surroundings(is_on_battery=True)


@pytest.fixture
def model(tiny: Path) -> Iterator[ChatModel]:
    loaded = ChatModel(tiny, ContextOptions(cells=512, threads=1), n_ctx=512, lookout=OnBattery())
    yield loaded
    loaded.close()


def test_the_prompt_of_a_reply_that_is_due_is_computed_on_battery_too(model: ChatModel) -> None:
    model.prepare(ReplyRequest(Conversation((Turn("a", "hello"),)), GenerationOptions(max_tokens=3, seed=1), "s", 2))
    assert model.wait_until_idle(timeout_seconds=60)
    assert model._loaded.engine.computed_tokens > 0


def test_nothing_is_read_along_on_battery(model: ChatModel) -> None:
    model.listen(1, Conversation((Turn("a", "hello"),)), "be brief")
    assert model._loaded.engine.computed_tokens == 0


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="priorities belong to threads on Linux only")
def test_only_the_computing_thread_gives_way_to_other_programs(tiny: Path) -> None:
    def priority() -> int:
        return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())

    before = priority()
    model = ChatModel(tiny, ContextOptions(threads=1, cells=256), n_ctx=256, is_polite=True)
    try:
        assert model.ask(priority) == max(before, 5)
        assert priority() == before
    finally:
        model.close()


def test_memory_can_be_given_back_and_the_next_request_loads_again(model: ChatModel) -> None:
    request = ReplyRequest(
        Conversation((Turn("a", "hello"),)), GenerationOptions(max_tokens=3, seed=1, may_end=False), "s", 1
    )
    assert model.generate(request).reply_tokens
    model.release().result(60)
    model.listen(1, request.conversation, "s")
    model.forget_channel(1)
    assert model.count_tokens("hello there") > 0
    model.release().result(60)
    assert model.generate(request).reply_tokens
    assert not model.is_released


def test_memory_is_given_back_behind_the_reply_that_is_being_written(model: ChatModel) -> None:
    endless = GenerationOptions(max_tokens=300, stop=(), temperature=1.0, seed=1, may_end=False)
    # A name no model writes: its line would end the reply.
    talk = Conversation((Turn("\ue000\ue001\ue002", "hello"),))
    reply = model.submit(ReplyRequest(talk, endless, "s", 1))
    while not model._worker.running:
        assert not reply.done()
        time.sleep(0.001)
    released = model.release()
    assert reply.result(60).stop_reason != "cancelled"
    released.result(60)
    assert model.is_released


def test_reading_along_does_not_load_a_model_whose_memory_was_given_back_but_a_due_reply_does(model: ChatModel) -> None:
    talk = Conversation((Turn("a", "hello"),))
    model.release().result(60)
    model.listen(1, talk, "s", typist=Typist("b"))
    assert model.wait_until_idle(timeout_seconds=60)
    assert model.is_released
    model.prepare(ReplyRequest(talk, GenerationOptions(max_tokens=3, seed=1, may_end=False), "s", 1))
    assert model.wait_until_idle(timeout_seconds=60)
    assert not model.is_released


@pytest.mark.parametrize(
    ("when", "is_given_back"), [("never", False), ("full screen", False), ("full screen or battery", True)]
)
def test_memory_is_given_back_by_itself_where_the_owner_chose_it(
    model: ChatModel, when: str, is_given_back: bool
) -> None:
    """On battery, as this fixture is."""
    model.follow(Settings().with_values({FREE_MEMORY.key: when}))
    model.ask(model._worker._tidy)
    assert model.is_released is is_given_back
    request = ReplyRequest(
        Conversation((Turn("a", "hello"),)), GenerationOptions(max_tokens=3, seed=1, may_end=False), "s", 1
    )
    assert model.generate(request).reply_tokens
    assert not model.is_released
    assert Surroundings(is_full_screen=True).wants_memory(when) is (when != "never")
    assert not Surroundings().wants_memory(when)


def test_the_benchmark_model_script_works_without_a_vocabulary(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "random.gguf"
    main([str(path), "--tiny"])
    header = check_gguf(path)
    assert header.architecture == "qwen2"
    assert "GB" in capsys.readouterr().out


def test_the_process_environment_is_set_before_openmp_and_spares_the_owners_choice() -> None:
    code = (
        "import sys, os; from model.process import prepare_process_environment; prepare_process_environment(); "
        "print(os.environ['GOMP_SPINCOUNT'], sorted(set(sys.modules) & {'numpy', 'torch', 'llama_cpp'}))"
    )
    plain = {key: value for key, value in os.environ.items() if key != "GOMP_SPINCOUNT"}
    for given, expected in (({}, "1000 []"), ({"GOMP_SPINCOUNT": "7"}, "7 []")):
        result = subprocess.run(
            [sys.executable, "-c", code], cwd=ROOT, env=plain | given, capture_output=True, text=True, check=True
        )
        assert result.stdout.strip() == expected


def test_the_engine_benchmark_gives_ratios_and_a_table(
    tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from scripts.benchmark import main as benchmark

    target = tmp_path / "figures.json"
    assert (
        benchmark(
            ["engine", "--model", str(tiny), "--parts", "tokens,cancel", "--token-replies", "2", "--json", str(target)]
        )
        == 0
    )
    figures = json.loads(target.read_text(encoding="utf-8"))
    assert figures["tokens"]["3 channels, with retrieval"]["of p50"] < 0.5
    assert figures["cancel"]["decode"] > 0
    table = capsys.readouterr().out
    assert "goal" in table
    assert "of p50" in table
