"""One word, one thing: a public class name stands for one class in the whole product."""

from __future__ import annotations

import ast
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("bot", "data", "gui", "model", "scripts", "storage")
# A module a benchmark or an asset's script has to itself names its own things.
TOOLS = "scripts/dev/"


def public_classes() -> dict[str, list[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    for path in [
        ROOT / "launcher.py",
        ROOT / "bot_controller.py",
        *(p for room in ROOMS for p in (ROOT / room).rglob("*.py")),
    ]:
        where = path.relative_to(ROOT).as_posix()
        if where.startswith(TOOLS):
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                found[node.name].append(where)
    return found


def test_no_public_class_name_is_defined_twice() -> None:
    classes = public_classes()
    assert len(classes) > 300
    twice = {name: places for name, places in classes.items() if len(places) > 1}
    assert not twice, f"one of them needs another name (docs/GLOSSARY.md): {twice}"
