"""What is trained is what is spoken with, in every family the catalogue calls trainable: torch and llama.cpp agree."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from model.files.weights import FolderWeights
from model.training.base_model import BaseModel, chat_template, encoder, load_base, load_tokenizer
from model.training.export_check import agreement, gguf_distributions, probes, require_tokenizer
from model.training.export_readiness import require_exportable
from model.training.recipes import LoraRecipe, lora_targets
from model.training.rows import Renderer
from model.training.streamed import reply_distributions
from storage.settings import CHAT, TRANSCRIPT
from tests.support.tiny_models import FAMILIES, TinyModel, make_tiny_model
from tests.support.training_data import SYSTEM_PROMPT, torch_distributions


@pytest.fixture(scope="module", params=FAMILIES)
def tiny(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> TinyModel:
    return make_tiny_model(tmp_path_factory.mktemp(request.param), request.param)


def based(tiny: TinyModel) -> BaseModel:
    return BaseModel("tiny", tiny.folder, tiny.gguf)


def wanted(base: BaseModel, layout: str) -> list[Any]:
    tokenizer = load_tokenizer(base)
    template = chat_template(tokenizer, name="tiny", layout=layout)
    made = probes(Renderer(encoder(tokenizer), template, SYSTEM_PROMPT, 480))
    require_tokenizer(base.gguf, tokenizer, template, made)
    return made


@pytest.mark.parametrize("layout", [TRANSCRIPT, CHAT])
def test_a_file_of_the_family_says_what_torch_says(tiny: TinyModel, layout: str) -> None:
    """Fault 162: logits of the written GGUF through llama.cpp, of the streamed layers, and of the whole model."""
    base = based(tiny)
    require_exportable(base, system_prompt=SYSTEM_PROMPT, layout=layout)
    asked = wanted(base, layout)
    whole = torch_distributions(load_base(base, dtype="float32"), asked)
    spread = float(np.concatenate(whole).std())
    assert spread > 0.3, f"all words are about equally likely ({spread:.2f}): a mistake would go unseen"
    streamed = reply_distributions(FolderWeights(base.folder), base.folder, asked)
    assert agreement(whole, streamed, asked).kl < 1e-6
    written = agreement(whole, gguf_distributions(base.gguf, asked), asked)
    assert written.kl < 0.002, written
    assert written.top1 > 0.97, written


def test_every_linear_layer_of_the_family_gets_its_adapter(tiny: TinyModel) -> None:
    """Fault 162: of Phi's fused matrices two were left out without a word."""
    config = json.loads((tiny.folder / "config.json").read_text(encoding="utf-8"))
    targets = lora_targets(LoraRecipe(r=4, alpha=8), is_tied=True, model_type=config["model_type"]).target_modules
    layers = {name.split(".")[-2] for name in FolderWeights(tiny.folder).names() if "_proj.weight" in name}
    assert layers == set(targets)


def test_a_mistake_in_the_writing_is_seen(tiny: TinyModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The comparison above can fail: with the wrong order of rows, or Gemma's norms as they are, it does."""
    from model.files import gguf_files

    naming = gguf_files.Naming.of(json.loads((tiny.folder / "config.json").read_text(encoding="utf-8")))
    names = FolderWeights(tiny.folder).names()
    ones = np.arange(16 * 4, dtype=np.float32).reshape(16, 4)
    if not any((naming.as_written(name, ones) != ones).any() for name in names):
        pytest.skip("this family is written as it is")
    monkeypatch.setattr(gguf_files.Naming, "as_written", lambda _self, _name, weight: weight)
    wrong = tmp_path / "wrong.gguf"
    gguf_files.write_model(tiny.folder, tiny.gguf, wrong, name="wrong")
    asked = wanted(based(tiny), TRANSCRIPT)
    whole = torch_distributions(load_base(based(tiny), dtype="float32"), asked)
    assert agreement(whole, gguf_distributions(wrong, asked), asked).kl > 0.05


def test_the_name_of_an_export_changes_nothing_in_how_it_reads(tiny: TinyModel, tmp_path: Path) -> None:
    """Fault 163: llama.cpp splits a text at Phi 3's marks by the name in the file; a new name was found after hours."""
    from model.files.gguf_files import write_model

    for name in ("my friends", "phi-3 of ours"):
        made = tmp_path / f"{name}.gguf"
        write_model(tiny.folder, tiny.gguf, made, name=name)
        base = BaseModel("tiny", tiny.folder, made)
        wanted(base, CHAT)
        wanted(base, TRANSCRIPT)


def test_a_size_that_costs_a_small_model_too_much_gives_way_to_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fault 166: a night of training was thrown away because the smallest file size spoilt it."""
    from peft import LoraConfig, get_peft_model

    from model.training import export_check
    from model.training.export import ExportPlan, export

    base = based(make_tiny_model(tmp_path / "model", "qwen2"))
    layers = list(lora_targets(LoraRecipe(r=4, alpha=8), is_tied=True).target_modules)
    adapted = get_peft_model(
        load_base(base, dtype="float32"), LoraConfig(r=4, task_type="CAUSAL_LM", target_modules=layers)
    )
    adapted.save_pretrained(tmp_path / "adapter")
    impossible = dict.fromkeys(("Q4_K_M", "Q5_K_M"), (0.0, 1.0))
    monkeypatch.setattr(export_check, "_LIMITS", export_check._LIMITS | impossible)
    (tmp_path / "out").mkdir()
    plan = ExportPlan(base, tmp_path / "adapter", tmp_path / "out", "voice", SYSTEM_PROMPT, {})
    made = export(plan)
    assert made.gguf == tmp_path / "out" / "voice-Q8_0.gguf"
    assert json.loads(made.manifest.read_text(encoding="utf-8"))["quantisation"] == "Q8_0"
    assert len([note for note in made.notes if "too much" in note]) == 2
    assert not list((tmp_path / "out").glob("*Q4*"))
