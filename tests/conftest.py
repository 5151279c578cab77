"""Fixtures every test may use: a fresh workspace and its open store."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from model.catalog import offline_chat_model
from model.process import prepare_process_environment
from model.training.base_model import BaseModel, dequantised
from storage.paths import Workspace
from storage.store import Store
from tests.support.screen import virtual_screen

# Before anything loads OpenMP: spinning threads make model tests ten times slower on a busy machine.
prepare_process_environment()


@pytest.fixture(scope="session")
def display() -> Iterator[str]:
    """An X display for windows: the one there is, or Xvfb for the session. Skips where there is neither."""
    with virtual_screen(os.environ):  # type: ignore[arg-type]
        if sys.platform.startswith("linux") and not os.environ.get("DISPLAY"):
            pytest.skip("no display and no Xvfb here")
        yield os.environ.get("DISPLAY", "")


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """A workspace of its own, with a name that trips careless path handling."""
    return Workspace.at(tmp_path / "Bót 😀 server").create()


@pytest.fixture(scope="session")
def packaged_base(tmp_path_factory: pytest.TempPathFactory) -> BaseModel:
    """SmolLM2 as a folder that can be trained, dequantised once for all tests of a session."""
    return dequantised(offline_chat_model(), tmp_path_factory.mktemp("base") / "SmolLM2-135M-Instruct-f16")


@pytest.fixture
def store(workspace: Workspace) -> Iterator[Store]:
    """The workspace's databases, open."""
    opened = Store.open(workspace)
    yield opened
    opened.close()
