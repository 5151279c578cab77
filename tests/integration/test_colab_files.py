"""Training on a rented computer: what is given away, and how its result comes home."""

from __future__ import annotations

import hashlib
import json
import zipfile
from pathlib import Path

import pytest

from storage.colab import pack_for_colab, take_back
from storage.errors import KnownError
from storage.paths import PROJECT_ROOT
from storage.store import Store
from storage.trained_models import all_models
from tests.support.training_data import write_prepared_folder


def brought(folder: Path, *, name: str = "voice-Q4_K_M", saved_as: str = "") -> Path:
    """What the notebook's last cell downloads."""
    folder.mkdir(parents=True, exist_ok=True)
    model = folder / f"{saved_as or name}.gguf"
    model.write_bytes(b"GGUF" + name.encode() * 100)
    digest = hashlib.sha256(model.read_bytes()).hexdigest()
    record = {
        "base": "Qwen/Qwen3-4B-Instruct-2507",
        "recipe": {"name": "full"},
        "files": {f"{name}.gguf": {"sha256": digest}},
    }
    (folder / f"{name}.manifest.json").write_text(json.dumps(record), encoding="utf-8")
    (folder / "training.json").write_text("{}", encoding="utf-8")
    return model


def test_the_two_files_hold_the_program_and_the_newest_data_and_nothing_else(store: Store, tmp_path: Path) -> None:
    with pytest.raises(KnownError, match="no prepared data set"):
        pack_for_colab(store.workspace, tmp_path)
    write_prepared_folder(store.workspace.message_files / "prepared", rows=4)
    store.workspace.env_file.write_text("DISCORD_TOKEN=secret\n", encoding="utf-8")
    made = pack_for_colab(store.workspace, tmp_path)
    assert sorted(path.name for path in tmp_path.glob("*.zip*")) == ["prepared.zip", "project.zip"]
    with zipfile.ZipFile(made.project) as project:
        names = set(project.namelist())
    for needed in (
        "scripts/3_train_model.py",
        "scripts/bootstrap.py",
        "model/training/run.py",
        "requirements-train.txt",
    ):
        assert f"project/{needed}" in names
    assert not [
        name for name in names if ".env" in name or ".git/" in name or "__pycache__" in name or "/tests/" in name
    ]
    with zipfile.ZipFile(made.prepared) as prepared:
        assert "prepared/manifest.json" in prepared.namelist()
        assert "prepared/train.jsonl" in prepared.namelist()
    # The notebook looks for exactly these.
    cells = json.loads((PROJECT_ROOT / "docs" / "train_on_colab.ipynb").read_text(encoding="utf-8"))["cells"]
    assert "project.zip and prepared.zip" in "".join(cells[1]["source"])


@pytest.mark.parametrize("saved_as", ["", "voice-Q4_K_M (1)"])
def test_a_voice_comes_home_into_the_list_of_models(store: Store, tmp_path: Path, saved_as: str) -> None:
    model = brought(tmp_path / "Downloads", saved_as=saved_as)
    place = take_back(store.workspace, model, now=0.0)
    assert place.name == "voice-Q4_K_M.gguf"
    (listed,) = all_models(store)
    assert listed.file == place
    assert listed.recipe == "full"
    assert place.with_suffix(".manifest.json").is_file()
    assert (place.parent / "training.json").is_file()


def test_what_is_not_that_file_or_comes_alone_is_refused_and_nothing_stays(store: Store, tmp_path: Path) -> None:
    model = brought(tmp_path / "Downloads")
    model.write_bytes(model.read_bytes()[:-1])
    with pytest.raises(KnownError, match="arrived damaged"):
        take_back(store.workspace, model)
    next(model.parent.glob("*.manifest.json")).unlink()
    with pytest.raises(KnownError, match="does not lie beside it"):
        take_back(store.workspace, model)
    record = {"files": {"../../../evil.gguf": {"sha256": hashlib.sha256(model.read_bytes()).hexdigest()}}}
    model.with_suffix(".manifest.json").write_text(json.dumps(record), encoding="utf-8")
    with pytest.raises(KnownError):
        take_back(store.workspace, model)
    assert all_models(store) == ()
    assert not list((store.workspace.root / "models" / "training").glob("*"))
