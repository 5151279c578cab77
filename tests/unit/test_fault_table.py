"""docs/RELIABILITY.md says the truth about the tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts.dev import fault_table


@pytest.fixture
def document() -> str:
    return fault_table.TABLE.read_text(encoding="utf-8")


def test_the_column_of_tests_is_in_step_with_the_docstrings(document: str) -> None:
    assert fault_table.with_tests(document, fault_table.tests_by_row(fault_table.TESTS)) == document, (
        "run: python scripts/dev/fault_table.py"
    )


def test_every_row_has_a_test_or_says_why_not(document: str) -> None:
    assert fault_table.rows_without_a_test(document) == []


@pytest.mark.parametrize(
    ("words", "numbers"),
    [
        ("Fault 24.", [24]),
        ("Faults 31 and 48: backup.", [31, 48]),
        ("FAULTS 53 (fake)", [53]),
        ("Faults 5, 14 and 6.", [5, 6, 14]),
        ("Nothing at fault, 24 times.", []),
        ("Default 12.", []),
    ],
)
def test_a_docstring_names_its_rows(words: str, numbers: list[int]) -> None:
    assert fault_table.rows_named(words) == numbers


def test_tests_in_classes_are_found_too(tmp_path: Path) -> None:
    (tmp_path / "test_a.py").write_text(
        'class TestX:\n    def test_y(self):\n        """Fault 7."""\n'
        'async def test_z():\n    """Fault 7."""\ndef helper():\n    """Fault 7."""\n'
    )
    assert fault_table.tests_by_row(tmp_path) == {7: [("test_a.py", "TestX.test_y"), ("test_a.py", "test_z")]}


def test_only_the_column_of_tests_is_rewritten() -> None:
    line = "| 7 | a \\| b | c | old | keep me |"
    assert (
        fault_table.with_tests(f"x\n{line}\ny", {7: [("t.py", "test_n")]})
        == "x\n| 7 | a \\| b | c | t.py: `test_n` | keep me |\ny"
    )
