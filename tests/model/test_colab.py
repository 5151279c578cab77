"""The Colab notebook, executed cell by cell in one Python, with the processor in the place of the graphics card."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from model.catalog import offline_chat_model
from model.files.gguf_files import write_model
from model.training.base_model import BaseModel
from storage.paths import PROJECT_ROOT
from tests.support.training_data import write_prepared_folder, write_tiny_base, write_tiny_gguf

NOTEBOOK = PROJECT_ROOT / "docs" / "train_on_colab.ipynb"
# Colab's own module, whose files come from the browser and go back to it.
COLAB = """
import shutil
from pathlib import Path
HOME = Path({home!r})
def upload():
    for path in (HOME / "browser").glob("*.zip"):
        shutil.copy(path, path.name)
def download(path):
    shutil.copy(path, HOME / "downloads")
"""
SHORT = (
    "--recipe cpu-smoke --method sft --gguf F16 --name voice --set sft.max_steps=2 sft.max_rows=8 sft.max_length=160 "
    "lora.r=4 evaluate_every=99 validation_rows=2"
)


def zipped_project(folder: Path) -> None:
    """The project as `git archive` packs it, and nothing of this checkout's environment."""
    copy = folder / "to pack" / "the project"
    for name in ("bot", "data", "model", "scripts", "storage"):
        shutil.copytree(PROJECT_ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    for path in PROJECT_ROOT.glob("requirements*.txt"):
        shutil.copy(path, copy)
    shutil.make_archive(str(folder / "browser" / "project"), "zip", copy.parent)


def test_the_notebook_trains_and_brings_a_model_home_from_one_environment(
    packaged_base: BaseModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nbclient = pytest.importorskip("nbclient", reason="nbclient and ipykernel run the notebook")
    nbformat = pytest.importorskip("nbformat")
    pytest.importorskip("ipykernel")
    home, content = tmp_path / "home", tmp_path / "content"
    for folder in (home / "browser", home / "downloads", home / "google" / "colab", content):
        folder.mkdir(parents=True)
    (home / "google" / "colab" / "__init__.py").write_text("")
    (home / "google" / "colab" / "files.py").write_text(COLAB.format(home=str(home)), encoding="utf-8")
    zipped_project(home)
    write_prepared_folder(home / "data" / "prepared", rows=12, validation=2, pairs=2)
    shutil.make_archive(str(home / "browser" / "prepared"), "zip", home / "data")
    base = write_tiny_base(tmp_path / "tiny", packaged_base.folder)
    write_model(base, write_tiny_gguf(tmp_path / "stub.gguf", offline_chat_model()), base / "tiny.gguf", name="tiny")

    notebook = nbformat.read(NOTEBOOK, as_version=4)
    settings = notebook.cells[1]
    for name, value in (("BASE", str(base)), ("OPTIONS", SHORT)):
        before = next(line for line in settings.source.splitlines() if line.startswith(f"{name} = "))
        settings.source = settings.source.replace(before, f"{name} = {value!r}")
    # `!python` must be the notebook's own Python, as it is on Colab.
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(home), *filter(None, [os.environ.get("PYTHONPATH")])]))
    nbclient.NotebookClient(
        notebook, timeout=400, kernel_name="python3", resources={"metadata": {"path": str(content)}}
    ).execute()
    told = "".join(output.get("text", "") for cell in notebook.cells for output in cell.get("outputs", ()))
    brought = {path.name for path in (home / "downloads").iterdir()}
    assert {"voice-F16.gguf", "voice-F16.manifest.json", "training.json"} <= brought, told
    assert not list(content.rglob(".venv")), "one environment, the notebook's own"
    manifest = json.loads((home / "downloads" / "voice-F16.manifest.json").read_text(encoding="utf-8"))
    assert manifest["checks"]["F16"]["kl"] < 0.01


def test_the_notebook_is_kept_without_what_a_run_left_in_it() -> None:
    code = [cell for cell in json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"] if cell["cell_type"] == "code"]
    assert code
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)


def test_the_notebooks_environment_holds_every_group_that_training_asks_for() -> None:
    """What cell 3 installs is what 3_train_model.py looks for: else a second environment would be made."""
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    (install,) = ["".join(cell["source"]) for cell in cells if "bootstrap.py" in "".join(cell["source"])]
    script = (PROJECT_ROOT / "scripts" / "3_train_model.py").read_text(encoding="utf-8")
    assert install.split("--here ")[1].split() == ["runtime", "offline", "train"]
    assert 'groups=("runtime", "offline", "train")' in script


def test_installing_into_the_running_python_does_nothing_where_everything_is_there() -> None:
    done = subprocess.run(
        [sys.executable, "scripts/bootstrap.py", "--here", "runtime", "offline", "train"],
        cwd=PROJECT_ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "Everything is installed.\n"), done.stderr
