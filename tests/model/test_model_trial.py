"""A new file is tried in a process of its own: whatever it does there, the bot and its good model are untouched."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bot.live_status import LiveStatus
from bot.model_slot import ModelSlot
from model.catalog import offline_chat_model
from model.chat import trial
from model.chat.trial import TrialError, TrialLimits, require_usable, run_trial
from scripts import check_model
from storage.errors import ModelFileError
from storage.jobs.frame import exit_code_of
from storage.records import ModelState
from storage.settings import CHAT
from storage.store import Store
from tests.support.model_files import split_model, with_metadata, write_header

CHATML = (
    "{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
LOOPING = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}" + CHATML
GREEDY = "{% set x = 'a' * 9999999999 %}" + CHATML


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return Path(shutil.copy(offline_chat_model(), tmp_path / "mine.gguf"))


@pytest.fixture
def trials(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Every file that a process is started for."""
    seen: list[Path] = []
    real = run_trial

    def counted(path: Path, *arguments: Any, **options: Any) -> None:
        seen.append(path)
        real(path, *arguments, **options)

    monkeypatch.setattr(trial, "run_trial", counted)
    return seen


def test_a_good_file_is_tried_once_and_again_when_it_has_changed(store: Store, copy: Path, trials: list[Path]) -> None:
    """Fault 84."""
    for _ in range(2):
        require_usable(copy, None, store.facts)
    assert trials == [copy]
    require_usable(split_model(copy.parent / "split"), None, store.facts)
    shutil.copy(with_metadata(copy.parent / "other.gguf", tokenizer__chat_template=CHATML), copy)
    require_usable(copy, None, store.facts)
    assert trials.count(copy) == 2
    require_usable(offline_chat_model(), None, store.facts)
    assert offline_chat_model() not in trials, "it came with the program"


def test_a_template_that_never_ends_is_ended_and_remembered_by_its_content(
    store: Store, tmp_path: Path, trials: list[Path]
) -> None:
    """Fault 84: the bot would have been 'loading' for ever."""
    path = with_metadata(tmp_path / "loop.gguf", tokenizer__chat_template=LOOPING)
    limits = TrialLimits(template_seconds=2.0)
    with pytest.raises(TrialError, match="chat template did not come to an end"):
        require_usable(path, None, store.facts, limits=limits, chat_template=CHAT)
    renamed = path.rename(tmp_path / "innocent.gguf")
    with pytest.raises(TrialError, match="did not come to an end") as caught:
        require_usable(renamed, None, store.facts, limits=limits, chat_template=CHAT)
    assert trials == [path]
    assert "model in use stays" in caught.value.cure
    with pytest.raises(TrialError):
        require_usable(renamed, None, store.facts, limits=limits, chat_template=CHAT, is_again=True)
    assert trials == [path, renamed]


def test_a_template_that_asks_for_all_memory_gets_none_of_it(tmp_path: Path) -> None:
    """Fault 84."""
    path = with_metadata(tmp_path / "greedy.gguf", tokenizer__chat_template=GREEDY)
    with pytest.raises(ModelFileError, match=r"memory|MemoryError"):
        run_trial(path, chat_template=CHAT)


def test_a_template_that_cannot_be_read_is_told_before_the_file_replaces_anything(tmp_path: Path) -> None:
    """Faults 84 and 86."""
    path = with_metadata(tmp_path / "odd.gguf", tokenizer__chat_template="{% nonsense %}")
    with pytest.raises(ModelFileError, match=r"chat template inside odd.gguf cannot be read"):
        run_trial(path, chat_template=CHAT)
    run_trial(path)  # as a transcript, which needs no template


def test_a_process_that_ends_without_a_word_is_told_with_its_signal(
    store: Store, copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fault 84: as llama.cpp ends it on an assertion."""
    monkeypatch.setattr(trial, "_MODULE", "tests.support.aborting")
    with pytest.raises(TrialError, match=r"ended that process by SIGABRT.*GGML_ASSERT"):
        require_usable(copy, None, store.facts)
    monkeypatch.undo()
    with pytest.raises(TrialError, match="SIGABRT"):
        require_usable(copy, None, store.facts)
    require_usable(copy, None, store.facts, is_again=True)
    require_usable(copy, None, store.facts)


def test_a_process_that_takes_too_much_memory_or_time_is_ended(copy: Path) -> None:
    """Fault 84."""
    with pytest.raises(TrialError, match="was not done after"):
        run_trial(copy, limits=TrialLimits(0.0, 0.3, 1e12))
    with pytest.raises(ModelFileError):
        run_trial(copy, limits=TrialLimits(memory_bytes=-100 << 20))


def test_the_check_tells_what_is_wrong_in_one_sentence(
    store: Store, copy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Faults 82, 83 and 84: what the panel asks when a file is chosen."""
    where = ["--workspace", str(store.workspace.root)]
    assert exit_code_of(lambda: check_model.main([f'"{copy}"', *where])) == 0
    assert "mine.gguf can be used." in capsys.readouterr().out
    bge = write_header(tmp_path / "bge.gguf", "bert")
    assert exit_code_of(lambda: check_model.main([str(bge), *where])) == 1
    assert "embedding model" in capsys.readouterr().err
    assert exit_code_of(lambda: check_model.main([str(copy), "--adapter", str(bge), *where])) == 1
    assert "not a LoRA adapter" in capsys.readouterr().err


class Good:
    """A model in use."""

    path, adapter, name, size_bytes = Path("good.gguf"), None, "good", 1


@pytest.mark.parametrize("error", [RecursionError("deep"), MemoryError(), ModelFileError("odd", "cure")])
def test_cases_a_bad_file_chosen_never_ends_the_bot_or_loses_the_good_model(error: Exception) -> None:
    """Fault 84: whatever checking or loading it raises."""
    is_bad = False

    def check(_changes: Any) -> tuple[Path, None]:
        if is_bad:
            raise error
        return Good.path, None

    def load(_changes: Any) -> Any:
        check(_changes)
        return Good()

    async def scene() -> None:
        nonlocal is_bad
        status = LiveStatus(mode="offline")
        slot = ModelSlot(check=check, load=load, unload=lambda: None, status=status, retry_seconds=60)
        task = asyncio.create_task(slot.run())
        assert await slot.wait_until_settled()
        is_bad = True
        await slot.follow()
        assert slot.model is not None
        assert not task.done()
        assert status.snapshot().last_error
        slot.reload()
        assert not await slot.wait_until_settled()
        assert status.snapshot().model_state is ModelState.FAILED
        assert not task.done()
        task.cancel()

    asyncio.run(scene())


def test_memory_that_was_only_set_aside_is_not_held_against_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fault 159: Windows counts it as the process's own; the demo's model was refused for it."""
    counted = SimpleNamespace(rss=300 << 20, private=3 << 30)
    monkeypatch.setattr("psutil.Process", lambda pid: SimpleNamespace(memory_info=lambda: counted))
    assert trial._own_memory(1) == 300 << 20
    counted.rss = 4 << 30
    assert trial._own_memory(1) == 3 << 30
