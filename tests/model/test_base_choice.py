"""The next voice is trained from the model the owner chose, and none of another class takes its place by a click."""

from __future__ import annotations

import importlib
import json
import shutil
from pathlib import Path

import pytest

from model.catalog import MODELS, OFFLINE_MODEL_KEY, PACKAGED, CatalogModel, find_model, offline_chat_model
from model.files.gguf_files import ARCHITECTURES, ExportError, write_model
from model.origin import origin_in_use, origin_of
from model.publishing import deployment
from model.publishing.release import ObjectionError, Release
from model.training.base_model import BaseModel
from model.training.progress import SilentReporter
from model.training.run import RunRequest, execute, settle
from model.training.shapes import KNOWN_BASES
from scripts import retrain
from storage.environment import Environment
from storage.jobs.frame import exit_code_of
from storage.paths import PROJECT_ROOT, Workspace
from storage.settings import MODEL_PATH
from storage.store import Store
from tests.support.model_files import write_header
from tests.support.training_data import write_prepared_folder, write_tiny_base, write_tiny_gguf

QWEN_3_4B = "Qwen/Qwen3-4B-Instruct-2507"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test here is about time, so the computer's speed is not measured for each."""
    monkeypatch.setattr("model.training.hardware._gflops", lambda _device: 50.0)


def base_in_use(store: Store) -> str | None:
    origin = origin_in_use(store.workspace, store.settings.read(), Environment({}))
    return origin.base if origin else None


def packaged_copy(folder: Path) -> Path:
    """A real, small model under another name."""
    return Path(shutil.copy(offline_chat_model(), folder / "voice.gguf"))


def script_preflight(store: Store, *arguments: str) -> dict:
    folder = write_prepared_folder(store.workspace.message_files / "prepared", rows=12)
    importlib.import_module("scripts.3_train_model").main(
        ["--workspace", str(store.workspace.root), "--data", str(folder), "--preflight", *arguments]
    )
    job = store.jobs.latest("preflight")
    assert job is not None
    return job.result


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.key)
def test_every_model_of_the_catalogue_knows_what_it_is_trained_from(model: CatalogModel, store: Store) -> None:
    store.settings.set(MODEL_PATH, model.key, changed_by="owner")
    assert base_in_use(store) == model.base
    assert model.base in KNOWN_BASES


def test_who_took_a_free_model_gets_a_free_one_back(store: Store) -> None:
    store.settings.set(MODEL_PATH, "qwen3-4b", changed_by="owner")
    assert script_preflight(store)["base"] == QWEN_3_4B


def test_a_download_nobody_chose_by_hand_is_followed_too(store: Store) -> None:
    write_header(store.workspace.base_models / find_model("qwen3-4b").file, "qwen3")
    assert base_in_use(store) == QWEN_3_4B
    assert script_preflight(store)["base"] == QWEN_3_4B


def test_a_deployed_voice_is_trained_again_from_what_it_was_trained_from(store: Store, tmp_path: Path) -> None:
    trained = packaged_copy(tmp_path)
    trained.with_suffix(".manifest.json").write_text(json.dumps({"base": QWEN_3_4B}), encoding="utf-8")
    assert origin_of(trained, store.workspace).base == QWEN_3_4B
    Release(store).deploy(trained, is_forced=True)
    assert base_in_use(store) == QWEN_3_4B


def test_a_voice_trained_from_a_folder_finds_it_again_and_never_takes_another(store: Store, tmp_path: Path) -> None:
    trained = write_header(tmp_path / "voice.gguf", "llama")
    trained.with_suffix(".manifest.json").write_text(json.dumps({"base": "my-base"}), encoding="utf-8")
    store.settings.set(MODEL_PATH, str(trained), changed_by="owner")
    assert base_in_use(store) == "my-base", "gone: a name that is refused before training"
    run = store.workspace.root / "models" / "training" / "1"
    run.mkdir(parents=True)
    (tmp_path / "bases" / "my-base").mkdir(parents=True)
    begun = {"base": "my-base", "base_folder": str(tmp_path / "bases" / "my-base")}
    (run / "run.json").write_text(json.dumps(begun), encoding="utf-8")
    assert base_in_use(store) == str(tmp_path / "bases" / "my-base")


def test_a_model_of_the_owners_own_is_its_own_base(store: Store, tmp_path: Path) -> None:
    own = write_header(tmp_path / "own.gguf", "llama")
    store.settings.set(MODEL_PATH, str(own), changed_by="owner")
    assert base_in_use(store) == str(own)


def test_the_packaged_model_stays_the_packaged_model(store: Store) -> None:
    assert base_in_use(store) is None
    store.settings.set(MODEL_PATH, OFFLINE_MODEL_KEY, changed_by="owner")
    assert base_in_use(store) == PACKAGED


def test_practice_is_what_was_asked_for_by_name_and_a_given_base_counts_most(workspace: Workspace) -> None:
    write_prepared_folder(workspace.message_files / "prepared", rows=12)

    def base(**asked: str) -> str:
        return settle(RunRequest(chosen_base=QWEN_3_4B, **asked), workspace).base_name

    assert base(recipe="cpu-smoke") == PACKAGED
    assert base(recipe="rtx3070") == QWEN_3_4B
    assert base() == QWEN_3_4B
    assert base(base="a/b") == "a/b"


def test_retrain_passes_a_base_on_and_names_none_by_itself(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[retrain.RoundStep] = []
    places = 20

    def stop_at_training(_store: Store, step: retrain.RoundStep, *_: object) -> None:
        asked.append(step)
        if step.kind == "prepare":
            prepared(step, places)
        if step.kind == "train":
            raise KeyboardInterrupt

    monkeypatch.setattr(retrain, "run_step", stop_at_training)
    for more in ((), ("--base", QWEN_3_4B)):
        with pytest.raises(KeyboardInterrupt):
            retrain.main(["--workspace", str(store.workspace.root), "--no-fetch", *more])
        assert ("--base" in asked[-1].arguments) is bool(more)


def prepared(step: retrain.RoundStep, places: int) -> None:
    """The folder a preparation was asked for, with so many places to judge by."""
    folder = Path(step.arguments[step.arguments.index("--out") + 1])
    folder.mkdir(parents=True)
    (folder / "test.jsonl").write_text("{}\n" * places, encoding="utf-8")


def test_a_round_whose_model_could_not_be_judged_ends_before_it_trains(
    store: Store, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Fault 165: a server with few messages was told after the hours."""
    begun: list[str] = []

    def only_prepare(_store: Store, step: retrain.RoundStep, *_: object) -> None:
        begun.append(step.kind)
        prepared(step, 12)

    monkeypatch.setattr(retrain, "run_step", only_prepare)
    code = exit_code_of(lambda: retrain.main(["--workspace", str(store.workspace.root), "--no-fetch"]))
    assert code == 1
    assert begun == ["prepare"]
    assert "holds only 12 places" in capsys.readouterr().err


def big_file(path: Path) -> Path:
    """A header that promises a model of 3 billion weights; sparse, so it takes no room."""
    import struct

    def text(words: str) -> bytes:
        return struct.pack("<Q", len(words)) + words.encode()

    head = b"GGUF" + struct.pack("<IQQ", 3, 1, 1) + text("general.architecture") + struct.pack("<I", 8) + text("qwen2")
    head += text("w") + struct.pack("<IQIQ", 1, 3_000_000_000, 14, 0)
    path.write_bytes(head)
    with open(path, "r+b") as file:
        file.truncate(2_700_000_000)
    return path


def test_a_practice_model_replaces_no_real_one_by_one_click(store: Store, tmp_path: Path) -> None:
    big_file(store.workspace.base_models / find_model("qwen2.5-3b").file)
    practice = packaged_copy(tmp_path)
    with pytest.raises(ObjectionError) as refused:
        Release(store).deploy(practice)
    assert "135 million weights" in str(refused.value)
    assert "Qwen2.5 3B Instruct (3.0 billion)" in str(refused.value)
    assert deployment.current(store.workspace) is None


def test_a_voice_from_another_base_is_objected_to_with_its_licence(store: Store, tmp_path: Path) -> None:
    write_header(store.workspace.base_models / find_model("qwen3-4b").file, "qwen3")
    trained = packaged_copy(tmp_path)
    trained.with_suffix(".manifest.json").write_text(json.dumps({"base": "Qwen/Qwen2.5-3B-Instruct"}), encoding="utf-8")
    with pytest.raises(ObjectionError, match=r"comes from Qwen/Qwen3-4B.*forbids commercial use"):
        Release(store).deploy(trained)
    trained.with_suffix(".manifest.json").write_text(json.dumps({"base": QWEN_3_4B}), encoding="utf-8")
    with pytest.raises(ObjectionError) as refused:
        Release(store).deploy(trained)
    assert "comes from" not in str(refused.value)


# ---- what an export needs, before the hours ---------------------------------------------------------------

UNWRITABLE = {"gemma-4-e2b", "ministral-3-3b", "qwen3.5-2b", "lfm2.5-1.2b"}


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.key)
def test_the_preflight_refuses_a_model_that_could_never_be_exported(model: CatalogModel, store: Store) -> None:
    store.settings.set(MODEL_PATH, model.key, changed_by="owner")
    found = script_preflight(store)
    refused = [problem for problem in found["problems"] if "can be talked to but not retrained" in problem]
    assert bool(refused) is (model.key in UNWRITABLE) is not model.can_be_retrained
    assert not (refused and found["can_run"])
    assert model.can_be_retrained is (KNOWN_BASES[model.base].model_type in ARCHITECTURES)


def test_the_documents_say_of_every_model_what_it_is_trained_from_and_whether_that_works() -> None:
    rows = (PROJECT_ROOT / "docs" / "MODELS.md").read_text(encoding="utf-8").splitlines()
    for model in MODELS:
        (row,) = [line for line in rows if line.startswith(f"| {model.title} | `{model.base}` |")]
        assert row.split("|")[3].strip().startswith("no" if model.key in UNWRITABLE else "yes"), row


def test_training_alone_asks_nothing_of_an_export(store: Store, tmp_path: Path) -> None:
    own = write_header(tmp_path / "own.gguf", "mamba", tokenizer__ggml__model="gpt2")
    found = script_preflight(store, "--base", str(own), "--no-export")
    assert not any("retrained" in problem for problem in found["problems"])


def test_a_base_without_a_gguf_is_refused_before_training(store: Store) -> None:
    assert "no GGUF of somebody/unknown" in " ".join(script_preflight(store, "--base", "somebody/unknown")["problems"])


def test_a_base_that_is_gone_is_refused_before_training(store: Store) -> None:
    assert "no base model at my-base" in " ".join(script_preflight(store, "--base", "my-base")["problems"])


def test_the_owners_own_gguf_of_another_kind_is_refused_before_training(store: Store, tmp_path: Path) -> None:
    own = write_header(tmp_path / "own.gguf", "mamba", tokenizer__ggml__model="gpt2")
    problems = " ".join(script_preflight(store, "--base", str(own))["problems"])
    assert "not retrained here: models of type 'mamba'" in problems


def folder_base(packaged: BaseModel, folder: Path) -> Path:
    """A tiny base with its GGUF beside it, as a download leaves it."""
    base = write_tiny_base(folder / "tiny", packaged.folder)
    stub = write_tiny_gguf(folder / "stub.gguf", offline_chat_model())
    write_model(base, stub, base / "tiny.gguf", name="tiny")
    return base


def test_a_base_that_fits_its_gguf_passes_and_every_difference_is_told_before_training(
    store: Store, packaged_base: BaseModel, tmp_path: Path
) -> None:
    base = folder_base(packaged_base, tmp_path)

    def problems(*more: str) -> str:
        return " ".join(script_preflight(store, "--base", str(base), "--recipe", "cpu-smoke", *more)["problems"])

    assert problems() == ""
    assert "GGUF of another model" in problems("--base-gguf", str(offline_chat_model()))
    template = base / "chat_template.jinja"
    template.write_text(template.read_text(encoding="utf-8") + "{# edited since #}", encoding="utf-8")
    assert "another chat template" in problems()
    (base / "tiny.gguf").unlink()
    assert "no GGUF of tiny" in problems()


def test_an_export_that_cannot_succeed_never_begins_to_train(
    store: Store, packaged_base: BaseModel, tmp_path: Path
) -> None:
    """Asked again with the base at hand: what was fetched may differ from what the catalogue knows."""
    base = folder_base(packaged_base, tmp_path)
    (base / "tiny.gguf").unlink()
    write_prepared_folder(store.workspace.message_files / "prepared", rows=12)
    request = RunRequest(base=str(base), recipe="cpu-smoke", out=tmp_path / "run")
    with pytest.raises(ExportError, match="no GGUF of tiny"):
        execute(settle(request, store.workspace), store.workspace, SilentReporter())
    assert not (tmp_path / "run").exists()
