"""The documents say what the program does: commands, options, buttons, models and links are checked against it."""

from __future__ import annotations

import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from gui import texts
from model.catalog import EMBEDDING_MODELS, MODELS
from storage.paths import PROJECT_ROOT
from storage.settings import REGISTRY

DOCUMENTS = sorted(
    path
    for path in (
        *(PROJECT_ROOT / "docs").glob("*.md"),
        PROJECT_ROOT / "README.md",
        PROJECT_ROOT / "data" / "demo" / "README.md",
    )
    if path.exists()
)
_COMMAND = re.compile(r"python (launcher\.py|scripts/[\w/]+\.py)([^`|\n]*)")
_LINK = re.compile(r"\]\((?!https?:|#|mailto:)([^)#\s]+)[^)]*\)")
_SETTING = re.compile(r"Settings > ([A-Z][\w& ]*?) > \**([A-Z][\w ]*[\w]…?)")


def _name(path: Path) -> str:
    return path.relative_to(PROJECT_ROOT).as_posix()


@cache
def _help(script: str) -> str:
    done = subprocess.run(
        [sys.executable, str(PROJECT_ROOT / script), "--help"],
        capture_output=True,
        text=True,
        cwd=PROJECT_ROOT,
        timeout=60,
    )
    assert done.returncode == 0, f"{script} --help: {done.stderr[-500:]}"
    return done.stdout


@pytest.mark.parametrize("document", DOCUMENTS, ids=_name)
def test_every_command_and_option_in_a_document_exists(document: Path) -> None:
    for script, rest in _COMMAND.findall(document.read_text(encoding="utf-8")):
        assert (PROJECT_ROOT / script).exists(), f"{_name(document)} names {script}"
        options = re.findall(r"(?<!\S)(--[a-z][\w-]*)", rest)
        for option in options:
            known = "--help" if script.endswith("/benchmark.py") else option
            # Options of one benchmark are listed by its own help only.
            assert re.search(rf"{re.escape(known)}\b", _help(script)), f"{_name(document)}: {script} {option}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=_name)
def test_every_link_in_a_document_leads_somewhere(document: Path) -> None:
    for target in _LINK.findall(document.read_text(encoding="utf-8")):
        assert (document.parent / target).exists(), f"{_name(document)} links to {target}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=_name)
def test_every_setting_a_document_points_at_is_in_the_panel(document: Path) -> None:
    labels = {setting.label for setting in REGISTRY.values()}
    labels |= {value for name, value in vars(texts).items() if name.isupper() and isinstance(value, str)}
    for group, label in _SETTING.findall(document.read_text(encoding="utf-8")):
        assert group in texts.SETTINGS_GROUPS.values(), f"{_name(document)}: Settings > {group}"
        assert any(label.startswith(known) or known.startswith(label) for known in labels), (
            f"{_name(document)}: Settings > {group} > {label}"
        )


def test_the_list_of_models_is_the_catalogue() -> None:
    text = (PROJECT_ROOT / "docs" / "MODELS.md").read_text(encoding="utf-8")
    rows = {re.findall(r"`([^`]+)`", line)[0]: line for line in text.splitlines() if line.startswith("| `")}
    for model in MODELS:
        cells = [cell.strip() for cell in rows.pop(model.key).strip("|").split("|")]
        assert cells[1:] == [
            model.title,
            f"{model.size_bytes / 1e9:.1f} GB",
            model.licence,
            "yes" if model.is_free else "no",
            model.template,
            str(model.sort),
        ]
    for embedding in EMBEDDING_MODELS:
        cells = [cell.strip() for cell in rows.pop(embedding.name).strip("|").split("|")]
        assert cells[1:3] == [embedding.licence, f"{embedding.max_tokens} tokens"]
    assert not rows
