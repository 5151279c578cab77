"""Keep the tests' column of docs/RELIABILITY.md in step with the tests.

    python scripts/dev/fault_table.py            rewrite the column
    python scripts/dev/fault_table.py --check    only say whether it is in step (exit code 1 when not)
    python scripts/dev/fault_table.py --run 1/3  run the first third of the tests of the table (1/1: all of them)

A test belongs to a row when its docstring names it: "Fault 24." or "Faults 31 and 48: ...".
"""

from __future__ import annotations

import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import ast
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence

from storage.jobs.arguments import plain_parser
from storage.paths import PROJECT_ROOT
from tests.__main__ import MOST_WORKERS, environment_for_tests

TABLE = PROJECT_ROOT / "docs" / "RELIABILITY.md"
TESTS = PROJECT_ROOT / "tests"
NO_TEST = "no test:"
_NAMED = re.compile(r"\bfaults?\s+((?:\d+)(?:(?:\s*,\s*|\s+and\s+)\d+)*)", re.IGNORECASE)
_ROW = re.compile(r"^\| (\d+) \|")
_TEST_COLUMN = 4


def tests_by_row(folder: Path) -> dict[int, list[tuple[str, str]]]:
    """Row number -> (file name, test name) of every test whose docstring names it."""
    found: dict[int, list[tuple[str, str]]] = {}
    for path in sorted(folder.rglob("test_*.py")):
        for name, words in _tests(path):
            for number in rows_named(words):
                found.setdefault(number, []).append((path.relative_to(folder).as_posix(), name))
    return found


def rows_named(words: str) -> list[int]:
    """The row numbers in a docstring, in order."""
    numbers = [int(number) for match in _NAMED.finditer(words) for number in re.findall(r"\d+", match[1])]
    return sorted(set(numbers))


def with_tests(text: str, tests: dict[int, list[tuple[str, str]]]) -> str:
    """The document with every row's test column rewritten; everything else stays as it is."""
    return "\n".join(_line(line, tests) for line in text.split("\n"))


def rows_without_a_test(text: str) -> list[int]:
    """Rows that name neither a test nor a reason why there is none."""
    return [
        number for number, cells in _rows(text) if not cells[_TEST_COLUMN] and NO_TEST not in cells[_TEST_COLUMN + 1]
    ]


def _rows(text: str) -> list[tuple[int, list[str]]]:
    """The table's rows in order. ValueError where a number stands twice: numbers are for good."""
    rows = [(int(match[1]), _cells(line)) for line in text.split("\n") if (match := _ROW.match(line))]
    numbers = [number for number, _ in rows]
    if len(set(numbers)) != len(numbers):
        raise ValueError(f"docs/RELIABILITY.md has a row number twice: {sorted(numbers)}")
    return rows


def main(arguments: Sequence[str] | None = None) -> int:
    """Rewrite or check the table; 1 when it is out of step (`--check`) or a row has no test."""
    parser = plain_parser(__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing; exit 1 when the column is out of step")
    parser.add_argument("--run", metavar="PART/PARTS", help="run the tests of the table, or a part of them")
    options = parser.parse_args(arguments)
    if options.run:
        return run_part(*(int(number) for number in options.run.split("/")))
    text = TABLE.read_text(encoding="utf-8")
    fresh = with_tests(text, tests_by_row(TESTS))
    if options.check:
        if fresh != text:
            print("docs/RELIABILITY.md is out of step: python scripts/dev/fault_table.py", file=sys.stderr)
        return int(fresh != text)
    if fresh != text:
        TABLE.write_text(fresh, encoding="utf-8", newline="\n")
    rows, missing = _rows(fresh), rows_without_a_test(fresh)
    print(
        f"{len(rows) - len(missing)} of {len(rows)} rows name a test"
        + (f"; without: {', '.join(map(str, missing))}" if missing else "")
    )
    return int(bool(missing))


def run_part(part: int, parts: int) -> int:
    """Run one of `parts` nearly equal shares of the table's tests; pytest's exit code."""
    named = sorted({(file, name) for tests in tests_by_row(TESTS).values() for file, name in tests})
    share = named[len(named) * (part - 1) // parts : len(named) * part // parts]
    ids = [f"tests/{file}::{name.replace('.', '::')}" for file, name in share]
    workers = ["-n", str(min(os.cpu_count() or 1, MOST_WORKERS)), "--dist", "loadfile"]
    env = environment_for_tests(os.environ)
    if shutil.which("Xvfb"):
        env.pop("DISPLAY", None)  # each worker makes a screen of its own (tests/conftest.py)
    return subprocess.run([sys.executable, "-m", "pytest", "-q", *workers, *ids], cwd=PROJECT_ROOT, env=env).returncode


def _tests(path: Path) -> Iterator[tuple[str, str]]:
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ClassDef):
            inner = [(f"{node.name}.{item.name}", item) for item in node.body if isinstance(item, _FUNCTIONS)]
        else:
            inner = [(node.name, node)] if isinstance(node, _FUNCTIONS) else []
        for name, item in inner:
            if item.name.startswith("test_"):
                yield name, ast.get_docstring(item) or ""


_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


def _line(line: str, tests: dict[int, list[tuple[str, str]]]) -> str:
    match = _ROW.match(line)
    if match is None:
        return line
    cells = _cells(line)
    by_file: dict[str, list[str]] = {}
    for file, name in tests.get(int(match[1]), []):
        by_file.setdefault(file.rpartition("/")[2], []).append(f"`{name}`")
    cells[_TEST_COLUMN] = "; ".join(f"{file}: {', '.join(names)}" for file, names in by_file.items())
    return "| " + " | ".join(cells[1:-1]) + " |"


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", line)]


if __name__ == "__main__":
    sys.exit(main())
