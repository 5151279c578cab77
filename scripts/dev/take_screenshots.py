"""Fill docs/screenshots/: every room of the panel, light and dark, from the demo workspace.

  python scripts/dev/take_screenshots.py                  all rooms, 1200x800
  python scripts/dev/take_screenshots.py --size 900x600 --only home,logs --out /some/folder

Needs an X display; without one it starts Xvfb. The demo's messages, bot and replies are real; the figures of
the last days on Home are sample data, because a demo bot has not been on a server for a week.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from scripts import bootstrap
from storage.jobs.arguments import plain_parser
from storage.paths import PROJECT_ROOT

ROOMS = ("home", "live", "playground", "people", "channels", "training", "logs", "settings", "first_run")


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = plain_parser(__doc__)
    made.add_argument("--out", type=Path, default=PROJECT_ROOT / "docs" / "screenshots", help="where they go")
    made.add_argument("--workspace", type=Path, help="a demo workspace (default: made in a temporary folder)")
    made.add_argument("--size", default="1200x800", help="width x height of the window")
    made.add_argument("--only", default=",".join(ROOMS), help="rooms, separated by commas")
    return made


if __name__ == "__main__":
    bootstrap.ensure(parser)

from storage.incidents import IncidentKind
from storage.jobs.kinds import JobKind
from storage.live import ReplyNote
from storage.paths import Workspace
from storage.records import Activity, Job
from storage.settings import ADAPTER_PATH, APPEARANCE, EMBEDDING_MODEL, MODEL_PATH
from storage.store import Store
from storage.teaching import Opinion

QUESTIONS = ("anyone up for a game tonight?", "what did i miss", "who broke the server again")
READY_SECONDS, ANSWER_SECONDS = 120.0, 90.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Take them all; 1 when the bot of the demo did not come up."""
    options = parser().parse_args(arguments)
    width, height = (int(part) for part in options.size.split("x"))
    with display(width, height), demo_workspace(options.workspace) as workspace, Store.open(workspace) as store:
        fill_with_samples(store)
        return take(store, options.out, (width, height), options.only.split(","))


def take(store: Store, out: Path, size: tuple[int, int], rooms: Sequence[str]) -> int:
    """Open the panel, let the demo's bot answer, and photograph each room in both modes."""
    # The panel is imported here: this script is the one place outside the launcher that opens it.
    from importlib import import_module

    controller_room, panel_room = import_module("bot_controller"), import_module("gui.app")
    controller = controller_room.BotController(store, offline=True)
    app = panel_room.App(store, controller, controller_room.JobRunner(store), demo=True)
    app.root.geometry(f"{size[0]}x{size[1]}+0+0")
    app.root.after(1, app._tick)
    app.root.after(50, app._settle)
    out.mkdir(parents=True, exist_ok=True)
    try:
        if not pump(
            app,
            READY_SECONDS,
            lambda: app.pulse is not None and app.pulse.status is not None and app.pulse.status.model_state == "ready",
        ):
            print("The demo's bot did not come up; see its log.", file=sys.stderr)
            return 1
        talk(app, store)
        for mode in ("light", "dark"):
            app.set_appearance(mode)
            for room in rooms:
                show_room(app, room)
                photograph(app, out / f"{room}-{mode}.png")
                print(out / f"{room}-{mode}.png")
    finally:
        controller.stop()
        pump(app, 12.0, lambda: controller.tick().state == "stopped")
        app.quit(leave_running=False)
    return 0


def talk(app: Any, store: Store) -> None:
    """A few questions the real bot answers."""
    store.playground.clear()
    for question in QUESTIONS:
        asked = store.playground.ask(question)
        pump(app, ANSWER_SECONDS, partial(_is_answered, store, asked))


def _is_answered(store: Store, question_id: int) -> bool:
    return store.playground.answer_to(question_id) is not None


def show_room(app: Any, room: str) -> None:
    """Bring a room to the front and let it settle."""
    key = "people" if room == "channels" else room
    app.go(key)
    pump(app, 10.0, lambda: app.window.front is not None and app.window.front.key == key)
    if key == "people":
        app.window.front.tabs.pick("channels" if room == "channels" else "people")
    for toast in list(app.toasts._stack):
        app.toasts._drop(toast)
    pump(app, 2.5, lambda: False)
    if key == "live":
        replies = [line.id for line in app.window.front.feed.lines if line.is_own]
        if replies:
            app.window.front.feed.pick(replies[0])
            pump(app, 0.6, lambda: False)
    if key == "playground" and app.window.front._details_of is None:
        replies = [line.id for line in app.window.front._lines if line.stats]
        if replies:
            app.window.front._show_details(replies[-1])
            pump(app, 0.6, lambda: False)


def pump(app: Any, seconds: float, is_done: Callable[[], bool]) -> bool:
    """Run the window's loop until something is true."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        app.root.update()
        if is_done():
            return True
        time.sleep(0.01)
    return is_done()


def photograph(app: Any, path: Path) -> None:
    """What is on the screen where the window is."""
    from PIL import ImageGrab

    x, y = app.root.winfo_rootx(), app.root.winfo_rooty()
    box = (x, y, x + app.root.winfo_width(), y + app.root.winfo_height())
    picture = ImageGrab.grab(bbox=box, xdisplay=os.environ.get("DISPLAY"))
    picture.quantize(256, kmeans=1).save(path, optimize=True)


@contextmanager
def demo_workspace(chosen: Path | None) -> Iterator[Workspace]:
    """The given workspace, or a fresh demo in a temporary folder, opened by the demo's own script."""
    folder = Path(tempfile.mkdtemp(prefix="panel-demo-")) if chosen is None else chosen
    workspace = Workspace.at(folder).create()
    try:
        with Store.open(workspace) as store:
            choose_packaged_models(store)
        run_script("open_demo_server.py", workspace)
        yield workspace
    finally:
        if chosen is None:
            shutil.rmtree(folder, ignore_errors=True)


def choose_packaged_models(store: Store) -> None:
    """What the launcher chooses for the demo: the models that need no download, and the adapter if it is there."""
    adapter = PROJECT_ROOT / "data" / "demo" / "adapter.gguf"
    chosen = {
        MODEL_PATH: "smollm2-135m-instruct",
        EMBEDDING_MODEL: "all-MiniLM-L6-v2",
        ADAPTER_PATH: str(adapter) if adapter.exists() else "",
        APPEARANCE: "light",
    }
    for setting, value in chosen.items():
        store.settings.set(setting, value, changed_by="screenshots")


def fill_with_samples(store: Store) -> None:
    """A week of decisions, samples and one training, so that the charts have something to show."""
    if store.jobs.latest(JobKind.PREPARE) is not None:
        return
    dice, now = random.Random(7), time.time()
    store.activity.add(list(sample_decisions(store, dice, now)))
    sample_live(store, now)
    store.incidents.begin(
        IncidentKind.CRASH, at=now - 1.6 * 86_400, ended_at=now - 1.6 * 86_400 + 4, detail="was ended by signal 9"
    )
    store.incidents.begin(IncidentKind.SLEEP, at=now - 0.7 * 86_400, ended_at=now - 0.7 * 86_400 + 7200)
    sample_memory(store, dice, now)
    sample_training(store, dice)


def sample_decisions(store: Store, dice: random.Random, now: float) -> Iterator[Activity]:
    """One row a message, more in the evening."""
    members = [member.display_name for member in store.members.all() if not member.is_absent] or ["someone"]
    reasons = (
        ("rolled 0.73 against 5 %", False, 70),
        ("rolled 0.03 against 5 %", True, 4),
        ("mentioned", True, 3),
        ("in conversation", True, 4),
        ("cooldown: spoke 4 s ago", False, 6),
        ("replied to", True, 2),
    )
    for number in range(5000):
        at = now - 7 * 86_400 * (1 - number / 5000)
        if dice.random() > 0.12 + 0.88 * max(0.0, 1 - abs(time.localtime(at).tm_hour - 20) / 8):
            continue
        reason, spoke, _ = dice.choices(reasons, [weight for *_, weight in reasons])[0]
        took = dice.lognormvariate(0.62, 0.32) * 1000 if spoke else None
        yield Activity(at, 10**17 + number, 1, 1, dice.choice(members), spoke, reason, latency_ms=took)


def sample_live(store: Store, now: float) -> None:
    """The newest lines of the demo's first channel as if they were being said, with two replies of the bot."""
    channel = next(channel for channel in store.channels.all() if channel.speak)
    heard = [m for m in store.messages.recent(channel.id, limit=60) if m.content and not m.is_own][-7:]
    reasons = {2: "mentioned", 4: "in conversation", 5: "cooldown (4 of 10 s)"}
    said = {2: "only if grumpy hosts, his ping is a war crime", 4: "a lifestyle sponsored by your landlords router"}
    for number, message in enumerate(heard):
        at = now - 40 * (len(heard) - number)
        reply_id = message.id + (1 << 22) if number in said else None
        row = Activity(
            at,
            message.id,
            channel.id,
            message.author_id,
            message.author_name,
            reply_id is not None,
            reasons.get(number, f"rolled 0.{31 + 7 * number} against 5%"),
            latency_ms=1400.0 + 90 * number if reply_id else None,
            first_token_ms=600.0 if reply_id else None,
            reply_id=reply_id,
        )
        store.activity.add([row])
        if reply_id is not None:
            own = replace(message, id=reply_id, author_id=1, author_name="demo", content=said[number], is_own=True)
            store.messages.save([replace(own, reactions=(), mentions=(), reply_to_id=message.id, username="demo")])
            context = tuple(each.id for each in heard[: number + 1])
            recalled = tuple(m.id for m in store.messages.recent(channel.id, limit=40)[:3])
            store.notes.add(
                ReplyNote(reply_id, channel.id, message.id, at + 2, "server-voice 3", (reply_id,), context, recalled)
            )
    judged = store.live.judged(next(iter(store.notes.get([heard[2].id + (1 << 22)]).values())))
    if judged is not None:
        store.teaching.judge(judged, Opinion.GOOD)


def sample_memory(store: Store, dice: random.Random, now: float) -> None:
    """Fill the dashboard's memory curve with two plausible days."""
    used, moments = 2.1e9, []
    for step in range(1500):
        used = 2.35e9 + (used - 2.35e9) * 0.985 + dice.gauss(0, 1.6e7)
        at = now - 2 * 86_400 + step * 115
        is_up = not 820 < step < 829
        moments.append((at, int(used) if is_up else 0, int(is_up)))
    with store.control_db.transaction() as connection:
        connection.executemany("INSERT OR REPLACE INTO samples (at, memory_bytes, is_up) VALUES (?, ?, ?)", moments)


def sample_training(store: Store, dice: random.Random) -> Job | None:
    """The demo's own data set, prepared for real, and a sample loss curve."""
    run_script("2_prepare_training_data.py", store.workspace, "--rejected", "templates")
    with store.jobs.running(JobKind.TRAIN) as job:
        for step in range(1, 240):
            job.metric("sft/loss", step, 2.55 + 1.35 * 2.718 ** (-step / 60) + dice.gauss(0, 0.05))
    return store.jobs.latest(JobKind.TRAIN)


def run_script(script: str, workspace: Workspace, *arguments: str) -> None:
    """One of this project's scripts on the workspace; its progress goes to the terminal."""
    environment = os.environ | {"PYTHONPATH": str(PROJECT_ROOT), "PYTHONUTF8": "1"}
    subprocess.run(
        [sys.executable, str(PROJECT_ROOT / "scripts" / script), "--workspace", str(workspace.root), *arguments],
        check=True,
        env=environment,
        stdout=subprocess.DEVNULL,
    )


@contextmanager
def display(width: int, height: int) -> Iterator[None]:
    """The display there is, or Xvfb for as long as needed."""
    if os.environ.get("DISPLAY"):
        yield
        return
    number = next(n for n in range(90, 200) if not Path(f"/tmp/.X{n}-lock").exists())
    server = subprocess.Popen(
        ["Xvfb", f":{number}", "-screen", "0", f"{width}x{height}x24"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.environ["DISPLAY"] = f":{number}"
    try:
        time.sleep(1.0)
        yield
    finally:
        del os.environ["DISPLAY"]
        server.terminate()
        server.wait(timeout=10)


if __name__ == "__main__":
    raise SystemExit(main())
