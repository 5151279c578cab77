"""Inputs of real owners that went wrong once: what should have been masked, and what should not."""

from __future__ import annotations

from pathlib import Path

import pytest

from data.privacy import mask

CASE = Path(__file__).resolve().parents[1] / "cases" / "64-phone-numbers-not-masked"


def lines(name: str) -> list[str]:
    return (CASE / name).read_text(encoding="utf-8").splitlines()


@pytest.mark.parametrize("line", lines("lines.txt"))
def test_each_number_is_replaced_before_training(line: str) -> None:
    """Fault 88."""
    masked, found = mask(line)
    assert sum(found.values()) == 1
    assert not any(sign.isdigit() for sign in masked)


@pytest.mark.parametrize("line", lines("not-phones.txt"))
def test_what_only_looks_like_a_number_stays(line: str) -> None:
    """Fault 88."""
    assert mask(line) == (line, {})
