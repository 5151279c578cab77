"""In which order the files of a parallel run begin."""

from __future__ import annotations

import random

from tests.__main__ import worker_count
from tests.running_order import longest_first

FILES = ["tests/unit/test_a.py", "tests/model/test_new.py", "tests/integration/test_b.py", "tests/model/test_c.py"]


def test_what_took_longest_begins_first_and_a_new_file_where_its_tier_usually_stands() -> None:
    known = {"tests/model/test_c.py": 200.0, "tests/integration/test_b.py": 80.0, "tests/unit/test_a.py": 0.4}
    expected = ["tests/model/test_c.py", "tests/integration/test_b.py", "tests/model/test_new.py"]
    assert longest_first(FILES, known) == [*expected, "tests/unit/test_a.py"]


def test_every_worker_finds_the_same_order() -> None:
    """xdist refuses workers that collected differently."""
    mixed = random.Random(4).sample(FILES, len(FILES))
    assert longest_first(FILES, {}) == longest_first(mixed, {})


def test_tests_that_wait_are_overlapped_where_memory_allows() -> None:
    gigabyte = 1 << 30
    assert worker_count(2, 16 * gigabyte) == 3
    assert worker_count(16, 64 * gigabyte) == 4
    assert worker_count(8, 8 * gigabyte) == 2
    assert worker_count(1, 2 * gigabyte) == 1
