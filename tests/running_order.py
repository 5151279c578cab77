"""A pytest plugin for parallel runs: the files that took longest come first, so that no worker ends alone with one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping

import pytest

_KEY = "discord-personality-bot/seconds_by_file"
# Where a file has not run yet: seconds, by its tier.
_GUESSES = {"model": 60.0, "panel": 45.0, "install": 30.0, "integration": 10.0}

_seconds: defaultdict[str, float] = defaultdict(float)


def longest_first(files: Iterable[str], known: Mapping[str, float]) -> list[str]:
    """The files by the seconds they took last time, those that never ran by a guess; the same order on every worker."""
    return sorted(files, key=lambda file: (-known.get(file, _guess(file)), file))


def _guess(file: str) -> float:
    tiers = file.split("/")[1:2]
    return _GUESSES.get(tiers[0], 1.0) if tiers else 1.0


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Called once everything is collected, on each worker alike; the tests of a file keep their order."""
    known = config.cache.get(_KEY, {}) if config.cache is not None else {}
    files = longest_first({_file(item.nodeid) for item in items}, known)
    places = {file: place for place, file in enumerate(files)}
    items.sort(key=lambda item: places[_file(item.nodeid)])


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Called for each phase of each test, on the process that started the workers too."""
    _seconds[_file(report.nodeid)] += report.duration


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Remember the seconds for the next run."""
    cache = session.config.cache
    if cache is not None and _seconds and not hasattr(session.config, "workerinput"):
        cache.set(_KEY, cache.get(_KEY, {}) | {file: round(seconds, 1) for file, seconds in _seconds.items()})


def _file(nodeid: str) -> str:
    return nodeid.partition("::")[0]
