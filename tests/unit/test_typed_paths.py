"""Paths as people paste them: what does not belong to the path goes, everywhere a path is typed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scripts import tune
from storage.environment import read_environment
from storage.paths import Workspace
from storage.settings import ADAPTER_PATH, MODEL_PATH
from storage.system.long_paths import too_deep
from storage.typed_paths import clean_path, typed_path

CASES = Path(__file__).parents[1] / "cases"
PASTED = json.loads((CASES / "61-model-path-pasted-with-quotes" / "values.json").read_text(encoding="utf-8"))
VARIABLES = {"HOME": "/home/x", "USERPROFILE": "C:\\Users\\x", "MODELS": "/srv/models"}
SISTERS = {
    "  /home/x/m.gguf \n": "/home/x/m.gguf",
    "“C:\\my models\\m.gguf”": "C:\\my models\\m.gguf",
    '\u202a"C:\\m.gguf"\u202c': "C:\\m.gguf",
    "'\"/home/x/m.gguf\"'": "/home/x/m.gguf",
    'C:\\folder"': "C:\\folder",
    "& 'C:\\my models\\m.gguf'": "C:\\my models\\m.gguf",
    "file:///C:/Users/x/my%20model.gguf": "C:/Users/x/my model.gguf",
    "file://localhost/home/x/m.gguf": "/home/x/m.gguf",
    "FILE:/home/x/m.gguf": "/home/x/m.gguf",
    "file://nas/models/m.gguf": "//nas/models/m.gguf",
    "~/models/m.gguf": "/home/x/models/m.gguf",
    "%USERPROFILE%\\m.gguf": "C:\\Users\\x\\m.gguf",
    "$HOME/m.gguf": "/home/x/m.gguf",
    "${MODELS}/m.gguf": "/srv/models/m.gguf",
    "/home/x/my\\ model\\ \\(1\\).gguf": "/home/x/my model (1).gguf",
    "/home/x/100%_cash$money.gguf": "/home/x/100%_cash$money.gguf",
    "C:\\it's mine\\m.gguf": "C:\\it's mine\\m.gguf",
    "smollm2-135m-instruct": "smollm2-135m-instruct",
    "": "",
}


@pytest.mark.parametrize(("typed", "meant"), [*PASTED.items(), *SISTERS.items()])
def test_cases_a_pasted_path_loses_what_pasting_added(typed: str, meant: str) -> None:
    """Fault 82."""
    assert clean_path(typed, environment=VARIABLES) == meant


@given(
    st.text()
    | st.sampled_from(["\"'“«<file://\u202a ", "\\ /home"]).flatmap(lambda start: st.text().map(start.__add__))
)
def test_a_clean_path_is_left_alone(typed: str) -> None:
    """Settings are read through the same rule each time."""
    once = clean_path(typed, environment={})
    assert clean_path(once, environment={}) == once


def test_cases_settings_environment_workspace_and_command_line_take_the_path_that_was_meant(tmp_path: Path) -> None:
    """Fault 82: wherever a path is typed."""
    assert MODEL_PATH.parse('\u202a"/models/my model.gguf" ') == "/models/my model.gguf"
    assert ADAPTER_PATH.parse("file:///models/a%20b.gguf") == "/models/a b.gguf"
    (tmp_path / ".env").write_text("MODEL_PATH='\"/models/mine.gguf\"'\n", encoding="utf-8")
    assert read_environment(tmp_path / ".env").model_path == "/models/mine.gguf"
    assert Workspace.at(f'"{tmp_path}"').root == tmp_path.resolve()
    assert typed_path(f"file://{tmp_path}/m.gguf") == tmp_path / "m.gguf"
    assert "typed_path" in vars(tune)


def test_a_workspace_too_deep_for_windows_is_told_so() -> None:
    """Fault 103: where long paths are not allowed, a backup of it could not be written."""
    deep = "C:\\Users\\Zoë\\" + "d" * 130
    assert "no backup" in too_deep(deep, are_long_allowed=False)
    assert not too_deep(deep, are_long_allowed=True)
    assert not too_deep("C:\\bot", are_long_allowed=False)
