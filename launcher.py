"""The program's front door: sets itself up, opens the workspace, supervises the bot, shows the panel.

python launcher.py                  the control panel (or, without a screen, supervision in the terminal)
python launcher.py --demo           a bundled sample server to talk to: no token, no download
python launcher.py --headless       supervise without a window; Ctrl+C stops the bot
python launcher.py --doctor         look for trouble and say what cures it
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from scripts import bootstrap
from storage.jobs.arguments import plain_parser


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = plain_parser("A bot with your server's own voice: control panel and supervisor.")
    made.add_argument("--workspace", type=Path, help="folder of the server (default: the project root)")
    made.add_argument("--demo", action="store_true", help="open the bundled sample server; no token, no download")
    made.add_argument("--headless", action="store_true", help="no window: supervise (or chat) in the terminal")
    made.add_argument("--chat", action="store_true", help="with --headless: talk to the bot in the terminal")
    made.add_argument("--doctor", action="store_true", help="look for trouble, say what cures it, and end")
    made.add_argument("--offline", action="store_true", help="start the bot without Discord (playground only)")
    made.add_argument(
        "--at-boot",
        choices=("on", "off", "status"),
        help="supervise from the start of the computer, before anybody logs in",
    )
    made.add_argument("--minimised", action="store_true", help="start in the tray")
    made.add_argument(
        bootstrap.WINDOWED,
        action="store_true",
        help="nobody sees the terminal: show the set-up, and what goes wrong, in a window",
    )
    return made


if __name__ == "__main__":
    bootstrap.ensure(parser, has_window=True)

import logging
import os
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from types import TracebackType

from bot_controller import BotController, JobRunner
from storage import demo
from storage.backup import Restored, read_backup
from storage.control import PANEL_WANTED, RESTORED
from storage.environment import read_environment
from storage.errors import AlreadyRunningError, KnownError, disk_error, is_disk_error
from storage.logs import configure_logging
from storage.paths import PROJECT_ROOT, Workspace, unsafe_folder
from storage.restoring import restore
from storage.settings import ADAPTER_PATH, EMBEDDING_MODEL, LOG_DAYS, LOG_LEVEL, MODEL_PATH, TEMPERATURE, Setting
from storage.store import Store
from storage.system.desktop import introduce_program
from storage.system.locks import FileLock
from storage.system.long_paths import too_deep
from storage.system.message_box import show_failure

log = logging.getLogger("launcher")
DEMO_TEMPERATURE = 0.8
DEMO_CHAT_MODEL = "smollm2-135m-instruct"
DEMO_EMBEDDING_MODEL = "all-MiniLM-L6-v2"
RESTORING = {
    "title": "Personality Bot: restoring",
    "headline": "Bringing a backup back",
    "sentence": "The panel opens again when it is done. What is here now is set aside.",
    "stopping": "Stopping. Everything stays as it was.",
    "failed": "The backup could not be brought back",
    "again": "Everything is as it was. Try again, or close this window: the panel opens again.",
}
# How long a launcher that is running may take to make room: it looks once a second.
ANSWER_SECONDS = 15.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program; returns its exit code."""
    options = parser().parse_args(arguments)
    if bootstrap.is_windowed():
        _say_the_unforeseen()
    workspace = Workspace.at(options.workspace or (PROJECT_ROOT / "demo_workspace" if options.demo else None))
    if options.doctor:
        return _doctor(workspace)
    trouble = unsafe_folder(str(workspace.root)) or too_deep(str(workspace.root))
    if trouble:
        tell(f"Warning: {trouble} Choose a local one: --workspace {Path.home() / 'discord-bot'}")
    try:
        workspace.create()
        if options.at_boot:
            return _at_boot(workspace, options.at_boot)
        with take_over(workspace, is_panel=not options.headless) as lock:
            if not lock.is_held:
                tell("The control panel is already open; its window comes to the front.")
                return 0
            with Store.open(workspace) as store:
                code, backup = _run(store, options)
        if backup is None:
            return code
        bring_back(workspace, backup)
        # It was asked for by somebody who was looking on.
        words = [word for word in sys.orig_argv[1:] if word != "--minimised"]
        bootstrap.restart(Path(sys.executable), words)
    except KnownError as error:
        return _failed(error)
    except OSError as error:
        if not is_disk_error(error):
            raise
        return _failed(disk_error(error))
    return 0


def _failed(error: KnownError) -> int:
    """Say why the program ends, where its owner sees it; returns the exit code."""
    tell(error.text())
    if bootstrap.is_windowed():
        show_failure("The program cannot be started", error.text())
    return 1


def _say_the_unforeseen() -> None:
    """Without a terminal a program that breaks off would just not be there: what broke it is shown, and kept."""
    usual = sys.excepthook

    def say(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        usual(kind, error, trace)
        log.critical("Stopped unexpectedly.", exc_info=(kind, error, trace))
        show_failure(
            "The control panel stopped unexpectedly",
            f"{kind.__name__}: {error}\n\nlogs/launcher.log in the workspace has the rest. A running bot stays up.",
        )

    sys.excepthook = say


def _run(store: Store, options: argparse.Namespace) -> tuple[int, Path | None]:
    """The exit code, and the backup that the panel closed for."""
    settings = store.settings.read()
    environment = read_environment(store.workspace.env_file)
    configure_logging(
        store.workspace.logs,
        "launcher",
        level=settings[LOG_LEVEL],
        keep_days=settings[LOG_DAYS],
        secrets=[environment.token],
    )
    if options.demo:
        choose_demo_models(store, is_new=not demo.has_been_opened(store))
    controller = BotController(store, offline=options.demo or options.offline)
    if not options.headless:
        introduce_program()
        trouble = display_trouble()
        if not trouble:
            return 0, _panel(store, controller, options)
        tell(f"{trouble} Going on without a window.")
    from gui import terminal

    if options.demo:
        prepare_demo(store)

    if options.demo or options.chat:
        return terminal.chat(store, controller, tell=tell), None
    return terminal.supervise(store, controller, tell=tell), None


def bring_back(workspace: Workspace, folder: Path) -> Restored | None:
    """Restore a backup in a window of its own; None where that was stopped or given up, and everything is as it was."""

    def work(tick: Callable[[str], None]) -> Restored:
        def report(fraction: float, step: str = "", *, done: int | None = None, unit: str = "") -> None:
            del fraction, done, unit
            tick(step)

        return restore(workspace, read_backup(folder), report=report)

    restored = bootstrap.in_window(
        work, activity=f"The backup {folder.name}", log=workspace.logs / "launcher.log", words=RESTORING
    )
    if restored is None:
        return None
    with Store.open(workspace) as store:
        store.facts.set(RESTORED, restored.messages)
    return restored


@contextmanager
def take_over(workspace: Workspace, *, is_panel: bool) -> Iterator[FileLock]:
    """The launcher's lock. A headless launcher gives it up to a panel; a panel that is open shows its window instead,
    and the lock is then not held. AlreadyRunningError when nobody answers."""
    lock = FileLock(workspace.locks / "launcher.lock", holder="The control panel")
    try:
        lock.acquire()
    except AlreadyRunningError:
        if not is_panel or display_trouble():
            raise
        with Store.open(workspace) as store:
            store.facts.set(PANEL_WANTED, time.time())
            _wait_for_answer(lock, store)
    try:
        yield lock
    finally:
        lock.release()


def _wait_for_answer(lock: FileLock, store: Store) -> None:
    deadline = time.monotonic() + ANSWER_SECONDS
    while True:
        try:
            lock.acquire(timeout_seconds=0.3)
            store.facts.set(PANEL_WANTED, 0.0)
            return
        except AlreadyRunningError:
            if not store.facts.get(PANEL_WANTED, 0.0):
                return
            if time.monotonic() > deadline:
                raise


def _at_boot(workspace: Workspace, wish: str) -> int:
    """Set up, remove or show the start before login."""
    from storage.system.boot_service import BootTask

    task = BootTask(workspace)
    status = {"on": task.set_up, "off": task.remove, "status": task.status}[wish]()
    print(status.text)
    return 0 if wish == "status" or (status.is_on == (wish == "on") and not status.command) else 1


def _doctor(workspace: Workspace) -> int:
    from storage.system.login_item import is_login_item

    command = [*script_command("doctor.py", workspace), "--autostart", "on" if is_login_item() else "off"]
    return subprocess.call(command, env=script_environment())


def _panel(store: Store, controller: BotController, options: argparse.Namespace) -> Path | None:
    from gui import app

    return app.run(
        store,
        controller,
        JobRunner(store),
        start_minimised=options.minimised,
        demo=options.demo,
        needs_demo_server=options.demo and not demo.is_ready(store),
    )


def display_trouble() -> str:
    """Why no window can be shown here, '' when one can."""
    try:
        import tkinter
    except ImportError:
        return f"Python's tkinter is missing: {bootstrap.tkinter_cure()}."
    if sys.platform.startswith("linux") and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        return "There is no screen here (DISPLAY is not set)."
    try:
        tkinter.Tk().destroy()
    except tkinter.TclError as error:
        return f"A window cannot be opened ({error})."
    return ""


def choose_demo_models(store: Store, *, is_new: bool) -> None:
    """Settings of the demo's models and how they are asked. Later on, one that is not set was taken back on purpose: a
    model was deployed."""
    adapter = demo.FOLDER / "adapter.gguf"
    wanted: dict[Setting[Any], Any] = {
        MODEL_PATH: DEMO_CHAT_MODEL,
        EMBEDDING_MODEL: DEMO_EMBEDDING_MODEL,
        ADAPTER_PATH: str(adapter) if adapter.exists() else "",
        # Read side by side, its answers make more sense than at 1, and stay as varied (docs/RESULTS.md).
        TEMPERATURE: DEMO_TEMPERATURE,
    }
    stored = store.settings.read()
    for setting, value in wanted.items():
        # The program's folder may have moved since this workspace was made.
        has_moved = setting is ADAPTER_PATH and stored[setting] and not Path(stored[setting]).exists()
        if (is_new and not stored.is_set(setting)) or has_moved:
            store.settings.set(setting, value, changed_by="demo")


def prepare_demo(store: Store) -> None:
    """Fill the demo workspace once, where there is no window to do it in. KnownError when that fails."""
    if demo.is_ready(store):
        return
    tell("Setting up the sample server (once).")
    done = subprocess.run(
        script_command("open_demo_server.py", store.workspace),
        stdout=subprocess.DEVNULL,
        check=False,
        env=script_environment(),
    )
    if done.returncode != 0:
        raise KnownError("The sample server could not be imported.", "The lines above say why.")


def script_command(script: str, workspace: Workspace) -> list[str]:
    """A script of ours, in this interpreter, for a workspace."""
    return [sys.executable, str(PROJECT_ROOT / "scripts" / script), "--workspace", str(workspace.root)]


def script_environment() -> dict[str, str]:
    """The environment a script is started with: this project on the path, and UTF-8 on every system."""
    return os.environ | {"PYTHONPATH": str(PROJECT_ROOT), "PYTHONUTF8": "1"}


def tell(text: str) -> None:
    """A line for the person at the terminal; stdout is kept for the bot's own words."""
    with suppress(OSError):  # a full disk behind a redirected stream must not end supervision
        print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
