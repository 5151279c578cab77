"""The panel's root: one window, one `after` loop, a worker for everything that touches disk or processes."""

from __future__ import annotations

import logging
import signal
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from gui import demo_start, texts
from gui.appearance import Appearance
from gui.components.icons import set_window_icon
from gui.components.screens import bring_within_reach
from gui.notifier import Notifier
from gui.pending_actions import PendingActions
from gui.presenters import format as words
from gui.presenters.dashboard import job_views
from gui.presenters.pipeline import pipeline_view
from gui.presenters.placing import fitting
from gui.presenters.plain import plain
from gui.presenters.snapshot import ControllerLook, Pulse
from gui.presenters.status import status_view, tray_tip
from gui.presenters.training import job_arguments
from gui.remaining import RemainingTimes
from gui.worker import BackgroundRunner
from storage.control import PANEL_WANTED, RESTORED
from storage.environment import Environment, read_environment
from storage.errors import KnownError
from storage.first_steps import begin_first_steps, close_first_steps
from storage.jobs.kinds import JobKind
from storage.paths import Workspace
from storage.settings import APPEARANCE, KEEP_AWAKE, KEEP_BACKUPS, START_BOT_WITH_PANEL, START_MINIMISED, Setting
from storage.store import Store
from storage.system.console import stop_signals, when_console_closes
from storage.system.desktop import open_path
from storage.system.power import KeepAwake

log = logging.getLogger(__name__)

# An interruption that was over longer ago is on Home and not news.
RECENT_INCIDENTS_SECONDS = 1800.0
TICK_MS, TICK_HIDDEN_MS = 40, 250
PULSE_SECONDS, PULSE_HIDDEN_SECONDS = 0.5, 1.0
# Leaving with "Stop it": the controller ends the bot by force after ten seconds; this is a little later.
LEAVE_SECONDS = 14.0
# After this a window that came back is where the system puts it; a minimised one is far outside on Windows.
SETTLED_MS = 200
START_SIZE, MIN_SIZE = (1120, 740), (900, 600)


def run(
    store: Store,
    controller: Any,
    jobs: Any,
    *,
    start_minimised: bool = False,
    demo: bool = False,
    needs_demo_server: bool = False,
) -> Path | None:
    """Open the panel and stay until it is closed; returns the backup to be brought back before it opens again, None
    where it is to stay closed. `controller`, `jobs`: bot_controller's.
    needs_demo_server: the sample server is still to be set up, in the window."""
    app = App(store, controller, jobs, start_minimised=start_minimised, demo=demo, needs_demo_server=needs_demo_server)
    app.run()
    return app.backup_wanted


class App:
    """Holds the window together; rooms see it as `gui.components.room.Panel`."""

    def __init__(
        self,
        store: Store,
        controller: Any,
        jobs: Any,
        *,
        start_minimised: bool = False,
        demo: bool = False,
        needs_demo_server: bool = False,
    ) -> None:
        from gui.components import theme as looks  # toolkits are loaded here, so that importing needs no display

        self.store, self.controller, self.jobs, self.is_demo = store, controller, jobs, demo
        self.pulse: Pulse | None = None
        self.demo_start = demo_start.DemoStart(is_needed=needs_demo_server)
        self.worker = BackgroundRunner()
        self.wishes, self.news, self.remaining = PendingActions(), Notifier(self), RemainingTimes()
        self._pulse_at, self._is_pulsing = 0.0, False
        self._is_closing = self._is_leaving = self._was_asked_to_end = False
        self._leaving_since = 0.0
        self.backup_wanted: Path | None = None
        self._was_told_hidden = False
        self._next_tick = ""
        self._wants_awake = False
        self._settings = store.settings.read()
        self.appearance = Appearance(self._settings[APPEARANCE], ask=self.ask)
        looks.prepare_toolkit(self.appearance.first_mode)
        self._environment = read_environment_or_empty(self.workspace)
        self.awake = KeepAwake()
        self._make_window(looks, start_minimised or self._settings[START_MINIMISED])

    def _make_window(self, looks: Any, start_minimised: bool) -> None:
        import customtkinter as ctk

        from gui.components.dialogs import Dialog
        from gui.components.main_window import MainWindow
        from gui.components.scroll import install_focus_reveal, install_wheel
        from gui.components.system_tray import SystemTray
        from gui.components.toast import Toasts
        from gui.components.tray_menu import open_tray_menu

        self.root: Any = ctk.CTk(className="PersonalityBot")
        self.root.withdraw()
        # CustomTkinter hides a window that its main loop has not met before, for the title bar's colour on Windows, and
        # shows it again only if nobody called withdraw. From here on it counts as met.
        self.root.update()
        self.root.title(texts.APP_NAME)
        self.theme = self.root.theme = looks.Theme(self.root)
        screen = (self.root.winfo_screenwidth(), self.root.winfo_screenheight())
        self.root.minsize(*fitting(MIN_SIZE, screen, self.theme.scale))
        width, height = fitting(START_SIZE, screen, self.theme.scale)
        self.root.geometry(f"{width}x{height}")
        self.root.report_callback_exception = _log_callback_error
        set_window_icon(self.root)
        install_wheel(self.root)
        install_focus_reveal(self.root)
        self.window = MainWindow(
            self.root,
            self.theme,
            {
                "title": texts.APP_NAME,
                "leave": self.exit,
                "go": self.go,
                "change_appearance": self.change_appearance,
                "subtitle": texts.DEMO_SUFFIX if self.is_demo else self.workspace.root.name,
            },
        )
        self.window.sidebar.show_appearance(self.appearance.setting)
        self.toasts = Toasts(self.root, self.window.lane)
        self.dialog = Dialog(self.root)
        self.root.protocol("WM_DELETE_WINDOW", self.close_window)
        self.root.bind("<Control-f>", lambda _: self.window.front.find() if self.window.front else None)
        self.root.bind("<Control-z>", self._undo)
        self.root.bind("<Control-q>", lambda _: self.exit())
        self.root.bind("<Escape>", lambda _: self.root.focus_set(), add="+")
        self.root.bind("<Map>", self._came_back, add="+")
        self.tray = SystemTray(
            post=self.worker.post,
            menu_at=partial(open_tray_menu, self),
            actions={
                "show": self.toggle_window,
                "start": lambda: self.bot("start"),
                "stop": lambda: self.bot("stop"),
                "free": lambda: self.bot("free"),
                "exit": self.exit,
            },
        )
        self.is_new = not self.is_demo and not begin_first_steps(self.store).is_closed
        self.window.sidebar.show_first_run(self.is_new)
        self.go("first_run" if self.is_new else "playground" if self.is_demo else "home")
        if not start_minimised:
            self.root.deiconify()
        self._start_minimised = start_minimised

    # ---- life ------------------------------------------------------------------------------------

    def run(self) -> None:
        """The main loop, until `quit`."""
        self._listen_to_signals()
        self.root.after(1, self._tick)
        self.root.after(50, self._settle)
        self.root.mainloop()

    def _settle(self) -> None:
        """What can wait until the window is up: the tray, and the bot if it is to start with the panel."""
        if self.demo_start.is_needed:
            self.start_job(JobKind.DEMO, [])
        self.tray.start()
        restored = self.store.facts.get(RESTORED)
        if isinstance(restored, int):
            self.store.facts.set(RESTORED, None)
            said = texts.RESTORED_TEXT.format(messages=words.plural(restored, "message"))
            self.toast(texts.RESTORED, said, tone="good")
        if self._start_minimised and not self.tray.is_available:
            self.root.iconify()
        may_start = self.is_demo or bool(self._environment.token)
        # While the first steps are open, the bot's first start is one of them.
        has_run = not self.is_new or self.store.status.read_bot() is not None
        if may_start and has_run and not self.demo_start.is_needed and self._settings[START_BOT_WITH_PANEL]:
            self.bot("start")

    def _listen_to_signals(self) -> None:
        def asked(*_: object) -> None:
            self._was_asked_to_end = True

        when_console_closes(asked)
        if threading.current_thread() is threading.main_thread():
            for number in stop_signals():
                signal.signal(number, asked)

    # ---- hiding and leaving ----------------------------------------------------------------------

    def close_window(self) -> None:
        """The window's cross: into the tray where there is one, else out of the way; with nothing running, the end."""
        if self.tray.is_available:
            self.root.withdraw()
            if not self._was_told_hidden:
                self._was_told_hidden = True
                self.tray.notify(texts.HIDDEN_TITLE, texts.HIDDEN_TEXT)
        elif self._has_something_running():
            self.root.iconify()
        else:
            self.exit()

    def _undo(self, event: Any) -> None:
        # A field undoes its own typing.
        if event.widget.winfo_class() not in ("Entry", "Text"):
            self.toasts.undo_newest()

    def toggle_window(self) -> None:
        """The tray icon's click."""
        if self.is_hidden:
            self.show_window()
        else:
            self.root.withdraw()

    def show_window(self) -> None:
        """Bring the window to the front, wherever it was."""
        self.root.deiconify()
        self.root.lift()
        self.root.focus_force()

    def exit(self) -> None:
        """Leave the program; a running bot may go on without the panel, if the owner wants."""
        if self.pulse is None or not self.pulse.is_alive:
            self.quit(leave_running=True)
            return
        if self.is_hidden:
            self.toggle_window()
        self.confirm(
            texts.EXIT_TITLE,
            texts.EXIT_TEXT,
            [
                (texts.CANCEL, "quiet", None),
                (texts.EXIT_STOP, "secondary", self._stop_and_quit),
                (texts.EXIT_LEAVE, "primary", lambda: self.quit(leave_running=True)),
            ],
        )

    def restore(self, backup: Path) -> None:
        """Stop the bot and leave; whoever opened the panel brings the backup back and opens it again."""
        self.backup_wanted = backup
        if self.pulse is not None and self.pulse.is_alive:
            self._stop_and_quit()
        else:
            self.quit(leave_running=False)

    def _stop_and_quit(self) -> None:
        self._is_leaving, self._leaving_since = True, time.monotonic()
        self.toast(texts.EXIT_STOPPING)
        self.bot("stop")

    def quit(self, *, leave_running: bool) -> None:
        """End the panel now; the bot goes on, or was stopped before."""
        if self._is_closing:
            return
        self.window.leave_fields()  # what was typed a moment ago is stored
        self._is_closing = True
        if self._next_tick:
            self.root.after_cancel(self._next_tick)
        self.tray.stop()
        self.awake.close()
        self.worker.ask(lambda: self.controller.close(leave_running=leave_running))
        self.worker.close()
        self.root.destroy()

    def _has_something_running(self) -> bool:
        return self.pulse is not None and (self.pulse.is_alive or bool(self.pulse.jobs))

    def _came_back(self, event: Any) -> None:
        if event.widget is self.root:
            self.root.after(SETTLED_MS, lambda: bring_within_reach(self.root))
            self.refresh_soon()

    @property
    def is_hidden(self) -> bool:
        """Whether the window is out of sight: in the tray or minimised."""
        return self.root.state() in ("withdrawn", "iconic")

    def _tick(self) -> None:
        if self._was_asked_to_end:
            self.quit(leave_running=True)
        if self._is_closing:
            return
        is_more = self.worker.deliver(on_error=self._surprised)
        now, hidden = time.monotonic(), self.is_hidden
        if not self._is_pulsing and now - self._pulse_at >= (PULSE_HIDDEN_SECONDS if hidden else PULSE_SECONDS):
            self._is_pulsing, self._pulse_at = True, now
            self.ask(self._read_pulse, self._show_pulse, failed=self._pulse_failed)
        self.appearance.follow_system()
        if not hidden and self.window.front is not None:
            self.window.front.frame()
        self._next_tick = self.root.after(2 if is_more else TICK_HIDDEN_MS if hidden else TICK_MS, self._tick)

    # ---- readings --------------------------------------------------------------------------------

    def _read_pulse(self) -> Pulse:
        if self.store.facts.get(PANEL_WANTED, 0.0):  # opened a second time
            self.store.facts.set(PANEL_WANTED, 0.0)
            self.worker.post(self.show_window)
        view = ControllerLook.of(self.controller.tick())
        self.jobs.tick()
        recent = self.store.jobs.recent(limit=12)
        return Pulse(
            time.time(),
            view,
            self.store.status.read_bot(),
            self.store.settings.read(),
            tuple(self.store.jobs.active()),
            tuple(job for job in recent if not job.is_active),
            self.jobs.setting_up(),
            self.store.incidents.since(time.time() - RECENT_INCIDENTS_SECONDS),
        )

    def _show_pulse(self, pulse: Pulse) -> None:
        self._is_pulsing = False
        before, self.pulse = self.pulse, pulse
        self._settings = pulse.settings
        self.wishes.forget_answered(pulse)
        self.news.follow(before, pulse)
        self._follow_settings(pulse)
        if self._is_leaving and self._can_leave(pulse):
            self.quit(leave_running=False)
            return
        if self.demo_start.is_done(pulse):
            self._demo_is_ready()
        self._show_status()
        if self.window.front is not None:
            self.window.front.beat(pulse)

    def _demo_is_ready(self) -> None:
        if self._settings[START_BOT_WITH_PANEL]:
            self.bot("start")
        front = self.window.front
        if front is not None and front.key == demo_start.ROOM:
            self.toast(texts.DEMO_SETUP_READY, texts.DEMO_SETUP_READY_TEXT, tone="good")
            self.go("playground")

    def _can_leave(self, pulse: Pulse) -> bool:
        return not pulse.is_alive or time.monotonic() - self._leaving_since > LEAVE_SECONDS

    def _follow_settings(self, pulse: Pulse) -> None:
        """Settings another process may have changed, and what depends on them."""
        if self.appearance.follow_setting(pulse.settings[APPEARANCE]):
            self.window.sidebar.show_appearance(self.appearance.setting)
        wanted = pulse.settings[KEEP_AWAKE] and pulse.is_alive
        if wanted != self._wants_awake or wanted:
            self._wants_awake = wanted
            self.ask(lambda: self.awake.update(wanted=wanted))

    def _pulse_failed(self, error: Exception) -> None:
        self._is_pulsing = False
        log.error("The state could not be read: %s", error, exc_info=error)
        if isinstance(error, KnownError):
            self.toast(error.what, error.cure, tone="bad")

    def _show_status(self) -> None:
        if self.pulse is None:
            return
        view = status_view(self.pulse, clicked=self.wishes.clicked)
        self.window.sidebar.show_status(view)
        self.tray.update(view, tip=tray_tip(self.pulse, view))
        front = self.window.front
        if front is not None:
            front.show_status(view)
            left, cancelling = self.remaining.follow(self.pulse), self.wishes.cancelling
            front.show_jobs(job_views(self.pulse, starting=self.wishes.starting, cancelling=cancelling, remaining=left))
            waiting = next((each.words for each in self.pulse.setting_up if each.kind == JobKind.RETRAIN), "")
            if JobKind.RETRAIN in self.wishes.starting or waiting:
                waiting = plain(waiting) or texts.STATE_STARTING + "…"
            front.show_round(pipeline_view(self.pulse, remaining=left, cancelling=cancelling, setting_up=waiting))

    # ---- what rooms may ask ----------------------------------------------------------------------

    @property
    def workspace(self) -> Workspace:
        """The workspace this panel looks after."""
        return self.store.workspace

    def ask(
        self,
        work: Callable[[], Any],
        then: Callable[[Any], Any] | None = None,
        *,
        failed: Callable[[Exception], Any] | None = None,
        slow: bool = False,
    ) -> None:
        """Run `work` on the worker and hand its result to `then` on the Tk thread."""
        self.worker.ask(work, then, failed=failed or self._surprised, slow=slow)

    def set_setting(self, setting: Setting[Any], value: Any) -> None:
        """Store a setting; a value out of range is told, never stored."""
        self.ask(lambda: self.store.settings.set(setting, value, changed_by="panel"), lambda _: self.refresh_soon())

    def bot(self, action: str) -> None:
        """'start', 'start_offline', 'stop', 'restart', 'free' or 'force'; the window shows it at once."""
        self.wishes.click(action.removesuffix("_offline"))
        self._show_status()
        work = {
            "start": self.controller.start,
            "start_offline": partial(self.controller.start, offline=True),
            "stop": self.controller.stop,
            "restart": self.controller.restart,
            "free": self.controller.free_model,
            "force": self.controller.force_stop,
        }[action]
        self.ask(work, self._bot_done, failed=self._bot_failed)

    def _bot_done(self, _: object) -> None:
        self.wishes.clicked_done()
        self.refresh_soon()

    def _bot_failed(self, error: Exception) -> None:
        self.wishes.clicked_done()
        self._surprised(error)
        self.refresh_soon()

    def start_job(self, kind: str, args: list[str] | None = None) -> None:
        """Start a script; the line appears at once, its progress as soon as the script reports."""
        self.wishes.start(kind)
        self._show_status()
        self.ask(
            lambda: self.jobs.start(kind, self._arguments(kind) if args is None else args),
            lambda _: self.refresh_soon(),
            failed=lambda error: self._job_failed(kind, error),
        )

    def _arguments(self, kind: str) -> list[str]:
        if kind == JobKind.BACKUP:
            return ["--keep", str(self.store.settings.get(KEEP_BACKUPS))]
        newest = {name: job for name in ("train", "retrain") if (job := self.store.jobs.latest(name)) is not None}
        return job_arguments(kind, newest, self.workspace, now=time.time())

    def _job_failed(self, kind: str, error: Exception) -> None:
        self.wishes.start_failed(kind)
        self._surprised(error)
        self._show_status()

    def cancel_job(self, job_id: int, kind: str) -> None:
        """Ask a job to stop, and show at once that it was asked."""
        if job_id:
            self.wishes.cancel(job_id)
        else:  # it has not reported yet, and will not
            self.wishes.start_failed(kind)
        self._show_status()
        self.ask(lambda: self.jobs.cancel(kind), lambda _: self.refresh_soon())

    def go(self, room: str) -> None:
        """Bring a room to the front; 'settings/Discord' is a group of it."""
        name, _, part = room.partition("/")
        name = self.demo_start.place_of(name)

        def ready(shown: Any) -> None:
            self._room_ready(shown)
            if part:
                shown.open(part)

        self.window.show(name, self, ready)

    def close_first_run(self) -> None:
        """The first steps are done, or the owner wants them out of the way."""
        self.is_new = False
        self.window.sidebar.show_first_run(False)
        self.ask(lambda: close_first_steps(self.store))
        self.go("home")

    def compare_model(self, file: Path) -> None:
        """The playground, set up to compare this model with the one in use."""

        def ready(room: Any) -> None:
            self._room_ready(room)
            room.compare_with(file)

        self.window.show("playground", self, ready)

    def in_slices(self, parts: Iterator[None], then: Callable[[], Any]) -> None:
        """Let a generator make widgets a few milliseconds at a time."""
        self.window.in_slices(parts, then)

    def _room_ready(self, room: Any) -> None:
        self._show_status()
        if self.pulse is not None:
            room.beat(self.pulse)

    def toast(self, title: str, body: str = "", *, tone: str = "idle", undo: Callable[[], Any] | None = None) -> None:
        """Show a short note in the corner; it goes after a few seconds."""
        self.toasts.show(title, body, tone=tone, undo=undo)

    def confirm(self, title: str, text: str, answers: list[tuple[str, str, Callable[[], Any] | None]]) -> None:
        """Ask something before the window's content; each answer is its words, its look and what it does."""
        self.dialog.ask(title, text, answers)

    def refresh_soon(self) -> None:
        """Read again with the next tick instead of in half a second."""
        self._pulse_at = 0.0

    def open_folder(self, folder: Path | None = None) -> None:
        """Show a folder of the workspace in the system's file manager."""
        self.ask(lambda: open_path(folder or self.workspace.data))

    # ---- appearance ------------------------------------------------------------------------------

    def change_appearance(self) -> None:
        """Paint everything again: the computer went from light to dark, or back."""
        self.set_appearance(self.appearance.following)

    def set_appearance(self, setting: str) -> None:
        """Change it now and remember it."""
        self.appearance.choose(setting)
        self.window.sidebar.show_appearance(setting)
        self.set_setting(APPEARANCE, setting)

    def _surprised(self, error: Exception) -> None:
        if isinstance(error, KnownError):
            self.toast(error.what, error.cure, tone="bad")
            return
        log.error("The panel failed at something: %s", error, exc_info=error)
        self.toast(f"{type(error).__name__}: {error}"[:200], texts.PANEL_ERROR_CURE, tone="bad")


def read_environment_or_empty(workspace: Workspace) -> Environment:
    """A broken .env must not keep the window shut: the settings and the check-up name what is wrong."""
    try:
        return read_environment(workspace.env_file)
    except KnownError as error:
        log.warning("%s", error.text())
        return Environment()


def _log_callback_error(kind: type[BaseException], error: BaseException, trace: Any) -> None:
    log.error("A callback of the window failed", exc_info=(kind, error, trace))


__all__ = ["App", "run"]
