"""The walls of the house (docs/ARCHITECTURE.md, section 2): who may import whom, and which toolkit lives where."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from storage import settings

ROOT = Path(__file__).resolve().parents[2]
ROOMS = {"storage", "model", "data", "bot", "gui", "scripts", "bot_controller", "launcher"}
# The rules that training and live share: below every room but storage.
CHAT = "data.chat"
MAY_IMPORT = {
    "storage": {"storage"},
    "model": {"model", CHAT, "storage"},
    "data": {"data", CHAT, "storage"},
    "bot": {"bot", "model", CHAT, "storage"},
    "bot_controller": {CHAT, "storage"},
    "gui": {"gui", "bot_controller", CHAT, "storage"},
    "scripts": {"scripts", "data", "model", CHAT, "storage"},
    # A developer's tool measures and drives whatever room it likes; nothing depends on it.
    "dev": {*ROOMS, CHAT},
    "launcher": {"gui", "bot_controller", "storage", "scripts"},
}
# Toolkits stay home: a prefix of the module path that may import them.
HOMES = {
    # The set-up has a window before there is a gui, and so has what goes wrong then.
    "tkinter": ("gui/", "launcher.py", "scripts/installation/window.py", "storage/system/message_box.py"),
    "customtkinter": ("gui/",),
    "pystray": ("gui/",),
    "discord": ("bot/", "data/fetcher"),
    "llama_cpp": ("model/", "scripts/dev/"),
    "torch": ("model/",),
    "trl": ("model/",),
    "peft": ("model/",),
    "unsloth": ("model/",),
    "sentence_transformers": ("model/",),
    "sqlite3": ("storage/",),
    "lancedb": ("storage/",),
}
# What differs by system is decided in storage/system, and here only for the reason given.
ASKS_THE_SYSTEM = {
    "storage/system/",
    "gui/components/icons.py",  # Tk takes an icon in another format on Windows
    "gui/components/system_tray.py",  # no tray on macOS
    "gui/components/theme.py",  # each system's own fonts
    "launcher.py",  # no screen on Linux
    "model/chat/host_load.py",  # a foreground window's program
    "model/llama_cpp_api.py",  # the C library's name
    "scripts/bootstrap.py",
    "scripts/installation/",  # standard library only, before anything is installed
    "scripts/doctor.py",  # file modes
    "scripts/dev/",
}


def modules() -> list[Path]:
    found = [ROOT / "launcher.py", ROOT / "bot_controller.py"]
    for room in sorted(ROOMS - {"launcher", "bot_controller"}):
        found += sorted((ROOT / room).rglob("*.py"))
    return [path for path in found if path.exists()]


def imported(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names.add(node.module)
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_a_room_imports_only_the_rooms_below_it(path: Path) -> None:
    relative = path.relative_to(ROOT)
    room = relative.parts[0].removesuffix(".py")
    if relative.parts[:2] == ("scripts", "dev"):
        room = "dev"
    # The rules in data.chat are for every room above storage.
    foreign = {_room(name) for name in imported(path)} & (ROOMS | {CHAT})
    allowed = {CHAT, "storage"} if relative.parts[:2] == ("data", "chat") else MAY_IMPORT[room]
    assert foreign <= allowed, f"{relative} imports {sorted(foreign - allowed)}"


def _room(name: str) -> str:
    """The room of an imported module; 'data' alone is how `from data.chat import rows` names its package."""
    return CHAT if f"{name}.".startswith(f"{CHAT}.") else name.split(".")[0]


def test_the_shared_rules_are_pure() -> None:
    """Standard library and values of storage: no toolkit, no database, nothing that a process would have to open."""
    paths = sorted((ROOT / "data" / "chat").glob("*.py"))
    assert paths
    for path in paths:
        used = {name for name in imported(path) if name.split(".")[0] not in sys.stdlib_module_names}
        allowed = ("storage.records", "storage.errors", "storage.text", CHAT)
        assert all(name == "storage" or name == "data" or name.startswith(allowed) for name in used), (path.name, used)


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_toolkits_stay_at_home(path: Path) -> None:
    relative = path.relative_to(ROOT).as_posix()
    for toolkit in {name.split(".")[0] for name in imported(path)} & set(HOMES):
        assert relative.startswith(HOMES[toolkit]), f"{relative} imports {toolkit}"


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_only_the_system_folder_asks_which_system_it_runs_on(path: Path) -> None:
    relative = path.relative_to(ROOT).as_posix()
    if not relative.startswith(tuple(ASKS_THE_SYSTEM)):
        asked = [
            ast.unparse(node)
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
            if isinstance(node, ast.Attribute) and ast.unparse(node) in ("sys.platform", "os.name", "platform.system")
        ]
        assert not asked, f"{relative} asks {asked[0]}: decide it in storage/system"


def test_every_setting_the_panel_offers_is_read_somewhere() -> None:
    names = {name for name, value in vars(settings).items() if isinstance(value, settings.Setting)}
    read = {
        name.rsplit(".", 1)[1] for path in modules() for name in imported(path) if name.startswith("storage.settings.")
    }
    assert len(names) == len(settings.REGISTRY), f"{sorted(names - read)} do nothing"
    assert names <= read, f"{sorted(names - read)} do nothing"


def test_the_launcher_takes_nothing_of_scripts_but_bootstrap() -> None:
    names = {name for name in imported(ROOT / "launcher.py") if name.startswith("scripts")}
    assert names <= {"scripts", "scripts.bootstrap"}


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_who_catches_everything_raises_it_again_or_says_why_and_to_whom(path: Path) -> None:
    """A broad except needs a comment with its reason, and must raise, log or hand on what it caught."""
    source = path.read_text(encoding="utf-8")
    lines = source.splitlines()
    for handler in (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.ExceptHandler)):
        if handler.type is not None and getattr(handler.type, "id", "") not in ("Exception", "BaseException"):
            continue
        if isinstance(handler.body[-1], ast.Raise):
            continue
        place = f"{path.relative_to(ROOT)}:{handler.lineno}"
        assert "#" in "".join(lines[handler.lineno - 1 : handler.lineno + 1]), f"{place} does not say why"
        is_named = handler.name is not None and any(
            isinstance(node, ast.Name) and node.id == handler.name for part in handler.body for node in ast.walk(part)
        )
        is_logged = any(
            isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "exception"
            for part in handler.body
            for node in ast.walk(part)
        )
        assert is_named or is_logged, f"{place} swallows it"


# Inside the model room: what each part of it may use of the other parts; the modules at its top serve them all.
PARTS = {
    "files": set(),
    "chat": {"files"},
    "training": {"files", "chat"},
    "evaluation": {"files", "chat"},
    "publishing": {"files", "chat", "evaluation"},
}


@pytest.mark.parametrize("part", PARTS)
def test_a_part_of_the_model_room_uses_only_the_parts_below_it(part: str) -> None:
    paths = sorted((ROOT / "model" / part).glob("*.py"))
    assert paths
    for path in paths:
        used = {name.split(".")[1] for name in imported(path) if name.startswith("model.")} & set(PARTS)
        assert used <= PARTS[part] | {part}, f"{path.relative_to(ROOT)} imports {sorted(used - PARTS[part] - {part})}"


# Both databases are opened by the store, which is built on them; the function's home is the owner's wish.
KNOWN_CIRCLE = ("storage.database", "storage.store")


def graph() -> dict[str, set[str]]:
    """Every module of ours and the modules it imports, anywhere in it: also inside functions and for types only."""
    names = {_name(path): path for path in modules()}
    found = {name: {each for each in imported(path) if each in names} - {name} for name, path in names.items()}
    found[KNOWN_CIRCLE[0]].discard(KNOWN_CIRCLE[1])
    return found


def _name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix().removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def reached(start: str, arrows: dict[str, set[str]]) -> set[str]:
    """Everything a module imports, and what that imports, and so on."""
    found, waiting = set(), [start]
    while waiting:
        for name in arrows[waiting.pop()] - found:
            found.add(name)
            waiting.append(name)
    return found


def test_no_module_imports_itself_over_others() -> None:
    arrows = graph()
    packages = {name for name in arrows if (ROOT / name.replace(".", "/")).is_dir()}
    # A package and its modules are one thing to whoever imports one of them.
    circles = sorted(name for name in arrows if name in reached(name, arrows) and name not in packages)
    assert not circles, f"import circle among {circles}"


def test_the_walls_hold_over_any_number_of_steps() -> None:
    """What a room may import may in turn import nothing that the room may not."""
    arrows = graph()
    for name in arrows:
        if name.startswith("scripts.dev"):
            continue
        room = "data.chat" if _room(name) == CHAT else name.split(".")[0]
        allowed = {CHAT, "storage"} if room == CHAT else MAY_IMPORT[room]
        beyond = {each for each in reached(name, arrows) if _room(each) not in allowed and each.split(".")[0] != room}
        if room == "launcher":  # through the panel it reaches the controller, through the set-up the installer
            continue
        assert not beyond, f"{name} reaches {sorted(beyond)[:5]}"


_MOVES = {"unlink", "rename", "rmdir", "rmtree", "remove", "removedirs", "move", "TemporaryDirectory"}
# A log's turn may keep the bot's event loop waiting for milliseconds, not for seconds.
_OWN_PATIENCE = {"storage/system/files.py", "storage/logs.py"}


def _moves(path: Path) -> Iterator[str]:
    """Calls that replace, rename or delete files by the standard library's own words."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
            continue
        name, of = node.func.attr, node.func.value
        is_files = isinstance(of, ast.Name) and of.id in ("os", "shutil", "tempfile")
        # Of everything that is called replace, only a path's has one argument.
        is_replace = name == "replace" and (is_files or (len(node.args) == 1 and not node.keywords))
        if is_replace or (name in _MOVES and (is_files or name in ("unlink", "rename", "rmdir"))):
            yield f"{path.relative_to(ROOT).as_posix()}:{node.lineno}: {ast.unparse(node.func)}"


def test_files_are_replaced_and_deleted_in_one_place_only() -> None:
    """Fault 152: what a virus scanner or an indexer holds on Windows is waited for there."""
    folders = ("bot", "data", "gui", "model", "storage", "scripts")
    files = [
        *ROOT.glob("*.py"),
        *(path for folder in folders for path in (ROOT / folder).rglob("*.py")),
    ]
    product = [path for path in files if "dev" not in path.parts]
    found = [move for path in product for move in _moves(path)]
    assert [move for move in found if move.split(":")[0] not in _OWN_PATIENCE] == []
    assert len(found) > 5, "the search finds what is there"
