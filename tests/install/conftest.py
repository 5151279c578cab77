"""Projects to be set up, one of them once for all tests of a session."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.support.projects import FirstStart, Project


@pytest.fixture(scope="session")
def first_start(tmp_path_factory: pytest.TempPathFactory) -> FirstStart:
    project = Project(tmp_path_factory.mktemp("first") / "my bot")
    return FirstStart(project, project.run("-X", "dev", str(project.launcher), "--demo", "two words", ""))


@pytest.fixture
def bare(tmp_path: Path) -> Project:
    """A project that was never started; its folder's name has a space, as people's folders do."""
    return Project(tmp_path / "my bot")


@pytest.fixture
def project(bare: Project, first_start: FirstStart) -> Project:
    """A project whose environment exists and is empty, which saves a test the time to make one."""
    made = first_start.project.folder / ".venv"
    no_packages = shutil.ignore_patterns("alpha*", "omega*")
    shutil.copytree(made, bare.folder / ".venv", symlinks=True, ignore=no_packages)
    return bare
