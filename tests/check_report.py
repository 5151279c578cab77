"""A pytest plugin: repeats above pytest's own summary which checks failed before the tests."""

from __future__ import annotations

import os

import pytest


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Name the failed checks where nobody overlooks them."""
    failed = os.environ.get("FAILED_CHECKS")
    if failed:
        terminalreporter.write_line(f"Checks that failed (details above): {failed}", red=True)
