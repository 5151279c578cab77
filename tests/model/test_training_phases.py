"""The optimiser on a tiny random model: every method, crash and resume, cancel, memory, ties, the export's checks."""

from __future__ import annotations

import importlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from data.chat.rows import VALIDATION
from model.catalog import offline_chat_model
from model.files import gguf_files
from model.files.gguf_files import ExportError
from model.files.weights import FolderWeights
from model.training import on_processor
from model.training.base_model import BaseModel, chat_template, encoder, load_base, load_tokenizer, resolve_base
from model.training.checkpoints import checkpoints, is_complete, last_complete
from model.training.export import ExportPlan, export
from model.training.export_check import (
    ExportCheckError,
    agreement,
    probes,
    require_merge_agreement,
)
from model.training.loaders import Runtime, find_runtime, shrink_frozen_embedding
from model.training.merging import LoraAdapter, MergedWeights, save_folder
from model.training.on_processor import has_plain_head, quicken, reply_loss_of
from model.training.phases import PhaseRows, PhaseSetup, build_trainer, scalable_adapter
from model.training.progress import SilentReporter, mean_loss, seconds_before
from model.training.recipes import CPU_SMOKE, LINEAR_LAYERS, LoraRecipe, Method, Recipe, lora_targets
from model.training.rows import IGNORED, Example, PreparedFolder, Renderer, Skipped, examples
from model.training.run import RunRequest, settle
from model.training.shared_prefix import (
    alike,
    collate,
    feature_of,
    pack,
    packed_together,
    padded,
    reply_loss,
    shared_length,
    together,
)
from model.training.streamed import reply_distributions
from model.training.trainer import ADAPTER, TrainingError, TrainingPlan, TrainingResult, measured_loss, train
from storage.errors import CancelledError, ConfigurationError
from storage.paths import PROJECT_ROOT, Workspace
from storage.settings import CHAT, TRANSCRIPT
from tests.support.training_data import (
    SYSTEM_PROMPT,
    torch_distributions,
    write_prepared_folder,
    write_tiny_base,
    write_tiny_gguf,
)


@dataclass(frozen=True)
class World:
    """What the tests of this file share: built once."""

    folder: Path
    base: BaseModel
    data: PreparedFolder
    tokenizer: Any

    @property
    def renderer(self) -> Renderer:
        return Renderer(encoder(self.tokenizer), chat_template(self.tokenizer), SYSTEM_PROMPT, 480)


@pytest.fixture(scope="module")
def world(packaged_base: BaseModel, tmp_path_factory: pytest.TempPathFactory) -> World:
    folder = tmp_path_factory.mktemp("tiny")
    weights = write_tiny_base(folder / "base", packaged_base.folder)
    gguf_files.write_model(
        weights, write_tiny_gguf(folder / "stub.gguf", offline_chat_model()), folder / "tiny.gguf", name="tiny"
    )
    base = BaseModel("tiny", weights, folder / "tiny.gguf")
    data = PreparedFolder.open(write_prepared_folder(folder / "data"))
    return World(folder, base, data, load_tokenizer(base))


def recipe(steps: int = 3, **changes: Any) -> Recipe:
    """cpu-smoke with r=8, few steps and short rows."""
    made = replace(
        CPU_SMOKE, lora=LoraRecipe(r=8, alpha=16, dropout=0.0), log_every=1, save_every=2, evaluate_every=50, **changes
    )
    for name in ("sft", "dpo", "orpo", "kto"):
        made = made.with_phase(
            name, max_steps=steps, max_length=160, batch_size=2, accumulation=1, epochs=10, learning_rate=1e-3
        )
    return made


def run(
    world: World,
    out: Path,
    used: Recipe,
    method: Method = Method.SFT,
    *,
    resumed: bool = False,
    reporter: Any = None,
    callbacks: Any = (),
) -> TrainingResult:
    plan = TrainingPlan(world.data, world.base, out, used, method, is_resumed=resumed)
    return train(plan, reporter, callbacks=callbacks)


@pytest.mark.parametrize("method", [Method.SFT_DPO, Method.ORPO, Method.SFT_KTO])
def test_every_method_trains_and_leaves_an_adapter(world: World, tmp_path: Path, method: Method) -> None:
    result = run(world, tmp_path / "run", recipe(), method)
    assert [phase.name for phase in result.phases] == list(method.phases)
    assert is_complete(result.adapter)
    assert (result.adapter / "adapter_model.safetensors").is_file()
    assert all(phase.steps == 3 and phase.loss is not None for phase in result.phases)
    first, last = result.phases[0], result.phases[-1]
    assert first.validation_before is not None
    assert first.validation_after is not None
    assert first.validation_after < first.validation_before
    assert last.preferred_after is not None
    described = json.loads((tmp_path / "run" / "run.json").read_text(encoding="utf-8"))
    assert described["data"]["hash"] == world.data.data_hash
    assert described["recipe"]["lora"]["r"] == 8
    assert "torch" in described["versions"]


def test_a_transcript_is_learnt_from_whole_conversations_and_the_run_says_so(world: World, tmp_path: Path) -> None:
    data = PreparedFolder.open(write_prepared_folder(tmp_path / "data", sessions=12))
    plan = TrainingPlan(data, world.base, tmp_path / "run", recipe(6), Method.SFT_DPO, layout=TRANSCRIPT)
    result = train(plan)
    first = result.phases[0]
    assert first.rows == 12
    assert first.validation_before is not None
    assert first.validation_after is not None
    assert first.validation_after < first.validation_before
    assert json.loads((tmp_path / "run" / "run.json").read_text(encoding="utf-8"))["prompt_layout"] == TRANSCRIPT
    with pytest.raises(ConfigurationError, match="prompt layout"):
        train(replace(plan, layout=CHAT, is_resumed=True))


def test_rows_that_are_learnt_in_parts_lose_packed_what_they_lose_alone(world: World) -> None:
    model = load_base(world.base, dtype="float32")
    rows = [
        Example([5, 6, 7], [8, 9, 10, 11], (True, False, True, True)),
        Example([5, 6, 12], [13, 14], (False, True)),
    ]
    assert [label != IGNORED for row in rows for label in row.labels] == [True, False, True, True, False, True]
    assert reply_loss(model, rows, at_once=2) == pytest.approx(reply_loss(model, rows, at_once=1), abs=1e-5)
    batch = collate([{"input_ids": row.prompt + row.reply, "labels": [IGNORED] * 3 + row.labels} for row in rows])
    assert (batch["labels"] == together(rows)["labels"]).all()
    assert (together(rows)["labels"] == padded(rows)["labels"]).all(), "little is shared, so they stand side by side"
    assert reply_loss(model, rows, at_once=2) == pytest.approx(reply_loss_of(model, padded(rows)).item(), abs=1e-5)
    assert reply_loss(model, rows, at_once=2) == pytest.approx(reply_loss_of(model, pack(rows)).item(), abs=1e-5)


def test_transcripts_of_similar_length_are_computed_together_and_none_is_lost() -> None:
    rows = [Example([number] * length, [9]) for number, length in enumerate((3, 30, 4, 29, 3, 90))]
    groups = alike(rows, most_tokens=64)
    assert [[row.prompt[0] for row in group] for group in groups] == [[0, 4, 2], [3, 1], [5]]
    assert collate([feature_of(groups[0])])["input_ids"].shape == (3, 5)
    assert (collate([feature_of(groups[1])])["labels"] == padded(groups[1])["labels"]).all()


def test_what_is_quicker_on_a_processor_is_the_same_to_the_last_digit_that_counts(world: World) -> None:
    from peft import LoraConfig, get_peft_model

    rows = examples(world.data, VALIDATION, world.renderer, Skipped())[:3]
    plain = get_peft_model(
        load_base(world.base, dtype="float32"),
        LoraConfig(r=4, lora_alpha=8, task_type="CAUSAL_LM", target_modules=list(LINEAR_LAYERS)),
    )
    for name, weight in plain.named_parameters():
        if "lora_B" in name:
            weight.data.normal_(std=0.05)
    batch = padded(rows)
    loss = plain(input_ids=batch["input_ids"], labels=batch["labels"]).loss
    loss.backward()
    gradients = {name: weight.grad.clone() for name, weight in plain.named_parameters() if weight.grad is not None}
    plain.zero_grad()
    layers = len(gradients) // 2
    assert quicken(plain) > layers, "every layer with an adapter, and the norms"
    assert has_plain_head(plain)
    quick = reply_loss_of(plain, batch)
    quick.backward()
    assert quick.item() == pytest.approx(loss.item(), abs=1e-5)
    for name, weight in plain.named_parameters():
        if weight.grad is not None:
            assert weight.grad.numpy() == pytest.approx(gradients[name].numpy(), abs=2e-5), name
    with plain.disable_adapter():
        untrained = reply_loss_of(plain, batch).item()
    assert untrained == pytest.approx(float(reply_loss(load_base(world.base, dtype="float32"), rows)), abs=1e-4)


@pytest.mark.parametrize(
    ("trial", "is_used"),
    [
        (lambda: 4.0, True),
        (lambda: 1.2, False),
        (lambda: os.kill(os.getpid(), 9), False),
        (lambda: "?", False),
        (lambda: 1 / 0, False),
    ],
)
@pytest.mark.parametrize("forks", [True, False])
def test_sixteen_bit_products_are_used_only_where_a_trial_shows_that_they_work(
    monkeypatch: pytest.MonkeyPatch, trial: Callable[[], Any], is_used: bool, forks: bool
) -> None:
    """On some machines the instructions are announced and end the process."""
    import torch

    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: True, raising=False)
    monkeypatch.setattr(on_processor, "times_faster", trial)
    if not forks:
        monkeypatch.delattr(os, "fork", raising=False)
        monkeypatch.setattr(on_processor, "_TRIAL_PROGRAM", "print(4.0)" if is_used else "import os; os.abort()")
    assert on_processor.is_bfloat16_faster.__wrapped__() == is_used
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False)
    assert not on_processor.is_bfloat16_faster.__wrapped__(), "not even tried"


def test_packed_rows_lose_exactly_what_they_lose_alone(world: World) -> None:
    model = load_base(world.base, dtype="float32")
    rows = examples(world.data, VALIDATION, world.renderer, Skipped())
    assert shared_length([row.prompt for row in rows]) > 5
    assert reply_loss(model, rows, at_once=4) == pytest.approx(reply_loss(model, rows, at_once=1), abs=1e-5)


def refusing(model: Any, is_refused: Callable[[dict[str, Any]], bool], error: Exception) -> Any:
    """The model with a forward that fails on some calls, as another library's or a full card's does."""

    def check(_module: Any, _inputs: Any, kwargs: dict[str, Any]) -> None:
        if is_refused(kwargs):
            raise error

    model.register_forward_pre_hook(check, with_kwargs=True)
    return model


def test_a_row_alone_is_measured_without_a_mask_of_ours(world: World) -> None:
    """Unsloth's attention takes none of booleans, and its forward no list of positions."""
    rows = examples(world.data, VALIDATION, world.renderer, Skipped())
    as_ever = reply_loss(load_base(world.base, dtype="float32"), rows)
    strict = refusing(
        load_base(world.base, dtype="float32"),
        lambda kwargs: kwargs.keys() != {"input_ids", "use_cache"},
        TypeError("attention_mask"),
    )
    assert measured_loss(strict, rows, loader="unsloth") == pytest.approx(as_ever, abs=1e-5)
    with pytest.raises(TypeError):
        measured_loss(strict, rows, loader="peft")


def test_measuring_takes_fewer_rows_at_once_where_memory_runs_out(world: World) -> None:
    rows = examples(world.data, VALIDATION, world.renderer, Skipped())
    as_ever = reply_loss(load_base(world.base, dtype="float32"), rows)
    longest = max(len(row.prompt) + len(row.reply) for row in rows)
    small = refusing(
        load_base(world.base, dtype="float32"),
        lambda kwargs: kwargs["input_ids"].shape[1] > longest,
        RuntimeError("CUDA out of memory"),
    )
    assert measured_loss(small, rows, loader="peft") == pytest.approx(as_ever, abs=1e-5)


def test_rows_are_packed_by_their_tokens_and_not_by_their_number_alone() -> None:
    rows = [Example([1] * length, [2]) for length in (9, 9, 9, 49, 9, 9)]
    groups = [len(group) for group in packed_together(rows, at_once=3, most_tokens=20)]
    assert groups == [2, 1, 1, 2]
    assert sum(groups) == len(rows)
    assert [len(group) for group in packed_together(rows, at_once=2, most_tokens=999)] == [2, 2, 2]


@pytest.mark.parametrize(("loader", "loss"), [("peft", "chunked_nll"), ("unsloth", "nll")])
def test_unsloths_own_loss_is_not_bypassed(world: World, tmp_path: Path, loader: str, loss: str) -> None:
    rows = examples(world.data, VALIDATION, world.renderer, Skipped())
    setup = PhaseSetup("sft", recipe().sft, recipe(), Runtime("cpu", "float32", loader), tmp_path)
    model = _disturbed(world, target_modules=list(LINEAR_LAYERS))
    assert build_trainer(setup, model, world.tokenizer, PhaseRows(rows, ()), ()).args.loss_type == loss


@pytest.mark.parametrize(("capability", "dtype"), [((7, 5), "float16"), ((8, 0), "bfloat16"), ((8, 6), "bfloat16")])
def test_bf16_is_used_where_the_card_has_it_and_not_where_torch_emulates_it(
    monkeypatch: pytest.MonkeyPatch, capability: tuple[int, int], dtype: str
) -> None:
    """A T4 (7.5) computes in 16-bit floats; torch would say that bf16 is supported."""
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda *_: True)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda *_: capability)
    assert find_runtime(replace(recipe(), lora=LoraRecipe(8, 16, train_embeddings=True))).dtype == dtype


def test_a_frozen_embedding_costs_no_more_than_its_sixteen_bits(world: World) -> None:
    """What PEFT's preparation for 4 bit does to the rest of a model, on a card of 8 GB 0.6 GB too many."""
    import torch
    from peft import LoraConfig, get_peft_model, prepare_model_for_kbit_training

    model = prepare_model_for_kbit_training(load_base(world.base, dtype="bfloat16"))
    assert model.get_input_embeddings().weight.dtype == torch.float32
    shrink_frozen_embedding(model, "bfloat16")
    assert model.get_input_embeddings().weight.dtype == torch.bfloat16
    assert model.lm_head.weight is model.model.embed_tokens.weight, "tied stays tied"
    adapted = get_peft_model(model, LoraConfig(r=4, task_type="CAUSAL_LM", target_modules=list(LINEAR_LAYERS)))
    ids = torch.tensor([[5, 6, 7, 8]])
    with torch.autocast("cpu", torch.bfloat16):
        adapted(input_ids=ids, labels=ids).loss.backward()
    trained = [weight.grad for name, weight in adapted.named_parameters() if "lora_B" in name]
    assert trained
    assert all(grad is not None and bool(grad.abs().sum() > 0) for grad in trained)


def test_sixteen_bit_training_has_its_trained_weights_in_thirty_two(world: World) -> None:
    import torch

    model = _disturbed(world, target_modules=list(LINEAR_LAYERS)).to(torch.bfloat16)
    scalable_adapter(model)
    kinds = {weight.requires_grad: weight.dtype for weight in model.parameters()}
    assert kinds == {True: torch.float32, False: torch.bfloat16}


class CancelIn(SilentReporter):
    """An owner who presses Cancel in a phase, once a step of it is done."""

    def __init__(self, phase: str, step: int) -> None:
        self.phase, self.step = phase, step

    def report(self, fraction: float, step: str = "", *, done: int | None = None, unit: str = "") -> None:
        if step.startswith(self.phase) and done is not None and done >= self.step:
            raise CancelledError("Cancelled by the owner.")


def test_cancel_saves_a_checkpoint_and_resume_ends_as_if_nothing_had_happened(world: World, tmp_path: Path) -> None:
    """Cancelled in the middle of SFT, then of DPO, whose checkpoint must not be mistaken for its reference."""
    whole = run(world, tmp_path / "whole", recipe(4), Method.SFT_DPO)
    out = tmp_path / "cut"
    with pytest.raises(CancelledError, match="checkpoint was saved"):
        run(world, out, recipe(4), Method.SFT_DPO, reporter=CancelIn("SFT", 3))
    found = last_complete(out / "sft")
    assert found is not None
    assert found.name == "checkpoint-3"
    with pytest.raises(ConfigurationError, match="--resume"):
        run(world, out, recipe(4), Method.SFT_DPO)
    with pytest.raises(ConfigurationError, match="another method"):
        run(world, out, recipe(4), Method.SFT, resumed=True)
    with pytest.raises(CancelledError):
        run(world, out, recipe(4), Method.SFT_DPO, resumed=True, reporter=CancelIn("DPO", 2))
    assert is_complete(out / "sft" / ADAPTER)
    assert last_complete(out / "dpo") is not None
    resumed = run(world, out, recipe(4), Method.SFT_DPO, resumed=True)
    assert _weights(resumed.adapter) == _weights(whole.adapter)
    losses = [[phase.loss for phase in result.phases] for result in (resumed, whole)]
    assert losses[0] == pytest.approx(losses[1], abs=1e-3), "over all of it, not over what was left"
    assert resumed.phases[1].seconds > seconds_before(last_complete(out / "dpo")) > 0
    assert resumed.seconds == sum(phase.seconds for phase in resumed.phases)


def test_the_loss_of_a_run_is_the_mean_of_its_steps_whenever_it_was_logged() -> None:
    log = [{"step": 1, "loss": 4.0}, {"step": 1, "eval_loss": 9.0}, {"step": 3, "loss": 1.0}, {"train_loss": 7.0}]
    assert mean_loss(log) == pytest.approx(2.0)
    assert mean_loss([]) is None
    assert mean_loss([{"step": 2, "loss": float("nan")}]) is None


@pytest.mark.parametrize("asked", ["packaged", "Qwen/Qwen2.5-3B-Instruct"])
def test_a_run_from_a_base_that_was_unpacked_or_fetched_is_gone_on_with(
    world: World, workspace: Workspace, tmp_path: Path, asked: str
) -> None:
    """Such a base lies in a folder with another name than its own."""
    is_packaged = asked == "packaged"
    folder = workspace.base_models / ("SmolLM2-135M-Instruct-f16" if is_packaged else asked.replace("/", "--"))
    shutil.copytree(world.base.folder, folder)
    gguf = offline_chat_model() if is_packaged else folder.parent / "qwen2.5-3b-instruct-q4_k_m.gguf"
    if not is_packaged:
        gguf.touch()
    origin = {"gguf": str(gguf), "bytes": gguf.stat().st_size} if is_packaged else {"repo": asked, "gguf": ""}
    (folder / "base.json").write_text(json.dumps(origin), encoding="utf-8")
    base = resolve_base(asked, workspace.base_models)
    plan = TrainingPlan(world.data, base, tmp_path / "run", recipe(1), base_asked=asked)
    train(plan)
    again = settle(RunRequest(out=plan.out, is_resumed=True), workspace)
    found = resolve_base(again.base_name, workspace.base_models)
    assert (found.name, found.gguf) == (base.name, gguf)
    train(replace(plan, base=found, is_resumed=True))
    workspace.base_models.rename(tmp_path / "elsewhere")
    assert settle(RunRequest(out=plan.out, is_resumed=True), workspace).base_name == asked


def _weights(adapter: Path) -> bytes:
    return (adapter / "adapter_model.safetensors").read_bytes()


def test_a_killed_run_resumes_from_the_last_complete_checkpoint(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A crash in the middle: kill -9 of the real script, and a damaged newest checkpoint on top."""
    out, workspace = tmp_path / "run", tmp_path / "workspace"
    command = [
        sys.executable,
        str(PROJECT_ROOT / "scripts" / "3_train_model.py"),
        "--workspace",
        str(workspace),
        "--data",
        str(world.data.path),
        "--out",
        str(out),
        "--base",
        str(world.base.folder),
        "--recipe",
        "cpu-smoke",
        "--method",
        "sft",
        "--no-export",
        "--set",
        "sft.max_steps=12",
        "sft.epochs=9",
        "sft.batch_size=2",
        "lora.r=8",
        "save_every=2",
        "log_every=1",
    ]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while last_complete(out / "sft") is None or len(checkpoints(out / "sft")) < 2:
        assert process.poll() is None
        assert time.monotonic() < deadline, "the run ended before it could be killed"
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL if os.name != "nt" else signal.SIGTERM)
    process.wait(30)
    newest = checkpoints(out / "sft")[-1]
    (newest / "optimizer.pt").write_bytes(b"")
    importlib.import_module("scripts.3_train_model").main([*command[2:4], "--out", str(out), "--resume", "--no-export"])
    printed = capsys.readouterr()
    assert "12 steps" in printed.out
    assert "going on at step" in printed.err


def test_memory_running_out_halves_the_batch_and_goes_on(world: World, tmp_path: Path) -> None:
    """Fault 55: training out of memory, raised at step 2."""
    result = run(world, tmp_path / "run", recipe(4), callbacks=[_failing(times=1)])
    assert result.phases[0].batch_size == 1
    assert result.phases[0].steps == 4


def test_memory_that_never_suffices_is_an_error_and_not_a_loop(world: World, tmp_path: Path) -> None:
    """Fault 55: bounded."""
    with pytest.raises(TrainingError, match="does not fit into memory"):
        run(world, tmp_path / "run", recipe(4), callbacks=[_failing(times=99)])


def _failing(*, times: int) -> Any:
    import torch
    from transformers import TrainerCallback

    class Failing(TrainerCallback):
        """Memory runs out at the beginning of step 2."""

        def __init__(self) -> None:
            self.left = times

        def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            if state.global_step == 1 and self.left:
                self.left -= 1
                raise torch.OutOfMemoryError("CUDA out of memory (injected)")

    return Failing()


# ---- ties -------------------------------------------------------------------------------------------------


def _disturbed(world: World, **lora: Any) -> Any:
    """Base + adapter with every trained weight away from its start, as after training."""
    import torch
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(7)
    model = get_peft_model(
        load_base(world.base, dtype="float32"), LoraConfig(r=8, lora_alpha=16, task_type="CAUSAL_LM", **lora)
    )
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if weight.requires_grad:
                weight.add_(torch.randn_like(weight) * (0.05 if "lora" in name else 0.02))
    return model


def _merge_agreement(world: World, model: Any, folder: Path) -> Any:
    """What the loaded base + adapter say, against the two merged from disk."""
    wanted = probes(world.renderer)
    apart = torch_distributions(model, wanted)
    model.save_pretrained(folder)
    merged = MergedWeights(FolderWeights(world.base.folder), LoraAdapter(folder))
    return agreement(apart, reply_distributions(merged, world.base.folder, wanted), wanted)


def test_nine_modules_on_a_tied_base_are_not_merged(world: World, tmp_path: Path) -> None:
    """The specification's modules: the trap that must not come back. Both changes cannot go into one matrix."""
    nine = _disturbed(world, target_modules=[*LINEAR_LAYERS, "embed_tokens", "lm_head"])
    with pytest.raises(ExportError, match="no matrix of its own"):
        _merge_agreement(world, nine, tmp_path / "adapter")
    embedding = _disturbed(world, target_modules=[*LINEAR_LAYERS, "embed_tokens"])
    with pytest.raises(ExportCheckError, match="does not say what base"):
        require_merge_agreement(_merge_agreement(world, embedding, tmp_path / "tied"))


@pytest.mark.parametrize("with_embeddings", [False, True])
def test_what_we_train_on_a_tied_base_merges_exactly_and_stays_tied(
    world: World, tmp_path: Path, with_embeddings: bool
) -> None:
    targets = lora_targets(LoraRecipe(r=8, alpha=16, train_embeddings=with_embeddings), is_tied=True)
    model = _disturbed(
        world,
        target_modules=list(targets.target_modules),
        modules_to_save=list(targets.modules_to_save) or None,
        ensure_weight_tying=targets.ensure_weight_tying,
    )
    found = _merge_agreement(world, model, tmp_path / "adapter")
    require_merge_agreement(found)
    assert found.kl < 1e-3
    merged = MergedWeights(FolderWeights(world.base.folder), LoraAdapter(tmp_path / "adapter"))
    save_folder(merged, world.base.folder, tmp_path / "merged")
    kept = load_base(BaseModel("merged", tmp_path / "merged", None), dtype="float32")
    assert kept.config.tie_word_embeddings is True
    assert kept.lm_head.weight is kept.model.embed_tokens.weight
    wanted = probes(world.renderer)
    streamed = reply_distributions(merged, world.base.folder, wanted)
    assert agreement(streamed, torch_distributions(kept, wanted), wanted).kl < 1e-5


@pytest.mark.parametrize("arch", ["llama", "qwen2", "qwen3", "mistral"])
@pytest.mark.parametrize("is_tied", [True, False])
def test_a_model_computed_from_disk_says_what_the_loaded_one_says(
    packaged_base: BaseModel, world: World, tmp_path: Path, arch: str, is_tied: bool
) -> None:
    """Base + adapter with one matrix in memory at a time, against PEFT's own; on an untied base all nine modules."""
    base = BaseModel(arch, write_tiny_base(tmp_path / "b", packaged_base.folder, is_tied=is_tied, arch=arch), None)
    modules = [*LINEAR_LAYERS] if is_tied else [*LINEAR_LAYERS, "embed_tokens", "lm_head"]
    model = _disturbed(replace(world, base=base), target_modules=modules)
    model.save_pretrained(tmp_path / "adapter")
    wanted, adapter = probes(world.renderer), LoraAdapter(tmp_path / "adapter")
    apart = reply_distributions(FolderWeights(base.folder), base.folder, wanted, adapter=adapter)
    assert agreement(torch_distributions(model, wanted), apart, wanted).kl < 1e-6
    together = reply_distributions(MergedWeights(FolderWeights(base.folder), adapter), base.folder, wanted)
    found = agreement(apart, together, wanted)
    assert found.kl < 1e-3
    assert found.top1 > 0.97


@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak from /proc")
def test_a_merge_needs_a_part_of_the_memory_that_the_model_would(packaged_base: BaseModel, tmp_path: Path) -> None:
    """In a process of its own, on a base of 120 million weights: compared, merged, written."""
    base = write_tiny_base(tmp_path / "base", packaged_base.folder, layers=1)
    stub = write_tiny_gguf(tmp_path / "stub.gguf", offline_chat_model(), layers=6, hidden=1024)
    for step in ("make", "merge"):
        done = subprocess.run(
            [sys.executable, "-m", "tests.support.large_merge", step, base, stub, tmp_path],
            cwd=PROJECT_ROOT,
            capture_output=True,
            text=True,
            check=True,
        )
    grown, stored = map(int, done.stdout.split()[-2:])
    # Reading a vocabulary takes some, whatever the model; the weights alone would take twice the disk's in 32 bit.
    assert stored > 220 << 20, f"{grown >> 20} MiB for {stored >> 20} MiB on disk"
    assert 0 < grown < 2 * stored, f"{grown >> 20} MiB for {stored >> 20} MiB on disk"


def test_dpo_starts_from_the_reference_with_trained_embeddings_too(world: World, tmp_path: Path) -> None:
    """At learning rate 0 the loss must be ln 2: else policy and reference differ from the start."""
    used = replace(recipe(2), lora=LoraRecipe(r=8, alpha=16, dropout=0.0, train_embeddings=True))
    used = used.with_phase("dpo", learning_rate=0.0)
    result = run(world, tmp_path / "run", used, Method.SFT_DPO)
    assert result.phases[1].loss == pytest.approx(0.6931, abs=1e-3)


# ---- export -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def trained(world: World, tmp_path_factory: pytest.TempPathFactory) -> TrainingResult:
    return run(world, tmp_path_factory.mktemp("trained") / "run", recipe(8))


def _export_plan(world: World, trained: TrainingResult, out: Path, **changes: Any) -> ExportPlan:
    rows = examples(world.data, VALIDATION, world.renderer, Skipped())
    return ExportPlan(
        world.base,
        trained.adapter,
        out,
        "tiny",
        SYSTEM_PROMPT,
        {"method": "sft"},
        quantisation="F16",
        **({"validation": rows} | changes),
    )


def test_an_export_is_checked_and_described(world: World, trained: TrainingResult, tmp_path: Path) -> None:
    result = export(_export_plan(world, trained, tmp_path))
    assert result.gguf is not None
    assert result.gguf.is_file()
    assert result.adapter_gguf is not None
    assert result.loss_tuned == pytest.approx(trained.phases[0].validation_after, abs=0.02)
    assert result.checks["merge"]["kl"] < 1e-3
    assert result.checks["F16"]["kl"] < 1e-3
    manifest = json.loads(result.manifest.read_text(encoding="utf-8"))
    assert manifest["method"] == "sft"
    assert manifest["files"]["tiny-F16.gguf"]["bytes"] == result.gguf.stat().st_size
    kept = sorted(path.name for path in tmp_path.iterdir())
    assert kept == ["adapter.gguf", "tiny-F16.gguf", "tiny-F16.manifest.json"]


def test_a_merge_whose_rows_are_in_the_wrong_order_is_not_kept(
    world: World, trained: TrainingResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A deliberately broken export: heads rotated as Hugging Face has them, which llama.cpp reads wrongly."""
    monkeypatch.setattr(gguf_files, "_permuted", lambda weight, heads: weight)
    with pytest.raises(ExportCheckError, match="does not say what the merged model says"):
        export(_export_plan(world, trained, tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_a_merge_that_lost_the_adapter_is_not_kept(
    world: World, trained: TrainingResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lost(self: MergedWeights, name: str, start: int, stop: int) -> Any:
        found = self.base.rows(name, start, stop)
        return found * 1.1 if ".q_proj." in name else found

    monkeypatch.setattr(MergedWeights, "rows", lost)
    with pytest.raises(ExportCheckError, match="does not say what base"):
        export(_export_plan(world, trained, tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_a_gguf_of_another_model_is_refused(world: World, trained: TrainingResult, tmp_path: Path) -> None:
    foreign = replace(world.base, gguf=offline_chat_model())
    with pytest.raises(ExportError, match="GGUF of another model"):
        export(replace(_export_plan(world, trained, tmp_path), base=foreign))


def test_a_base_without_a_gguf_is_a_clear_error(world: World, trained: TrainingResult, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="no GGUF of tiny"):
        export(replace(_export_plan(world, trained, tmp_path), base=replace(world.base, gguf=None)))


def test_pickled_weights_are_refused(tmp_path: Path) -> None:
    """Fault 51: `.bin` pickle."""
    from model.training.base_model import BaseModelError, resolve_base

    (tmp_path / "base").mkdir()
    (tmp_path / "base" / "config.json").write_text("{}", encoding="utf-8")
    (tmp_path / "base" / "pytorch_model.bin").write_bytes(b"\x80\x04.")
    with pytest.raises(BaseModelError, match="safetensors"):
        resolve_base(str(tmp_path / "base"), tmp_path)
