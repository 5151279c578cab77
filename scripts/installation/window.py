"""The set-up in a window, for a start without a terminal: what is being done, a way to stop it, and what went wrong.

Standard library only. The work runs on a thread of its own; Tk keeps the main thread, which macOS wants.
"""

from __future__ import annotations

import gc
import queue
import subprocess
import threading
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from scripts.installation.environment import PrivateEnvironment
from scripts.installation.failures import SetupError, ShownError
from scripts.installation.progress import InstallProgress, duration

POLL_MS = 100
_CODE = Path(__file__).resolve().parents[2]
WIDTH_CHARACTERS = 64
_SHORTCUT = "Put the program on the desktop and in the menu"
Result = TypeVar("Result")


@dataclass(frozen=True)
class WindowWords:
    """What a window says about its work. failed: the headline of a failure; again: what follows its sentence."""

    title: str = "Personality Bot: setting up"
    headline: str = "Setting up the program"
    sentence: str = "This first start takes some minutes. Nothing outside the program's folder is changed."
    stopping: str = "Stopping. What is installed is kept, and the next start continues from there."
    failed: str = "The set-up could not be finished"
    again: str = "When that is done, press Try again; what is installed is kept."


class WindowProgress(InstallProgress):
    """Hands what is said to a window, and ends the work at its next tick once the window wants that."""

    def __init__(self) -> None:
        super().__init__(None)
        self.said: queue.Queue[tuple[str, Any]] = queue.Queue()
        self._is_cancelled = threading.Event()

    def cancel(self) -> None:
        """Called by the window: the work's next tick raises KeyboardInterrupt, as Ctrl+C does in a terminal."""
        self._is_cancelled.set()

    def say(self, sentence: str) -> None:
        """Show a sentence."""
        self.said.put(("sentence", sentence))

    def step(self, number: int, total: int) -> None:
        """Move the bar."""
        self.said.put(("step", (number, total)))

    def start(self, activity: str) -> None:
        """Show what begins; KeyboardInterrupt once the window was cancelled."""
        super().start(activity)
        self._go_on_or_stop()
        self.said.put(("activity", activity))

    def tick(self, detail: str = "") -> None:
        """Show how long it has taken; KeyboardInterrupt once the window was cancelled."""
        self._go_on_or_stop()
        self.said.put(("detail", f"{duration(self.seconds)}  {detail}".rstrip()))

    def done(self) -> None:
        """Nothing: the next activity takes this one's place."""
        return

    def _go_on_or_stop(self) -> None:
        if self._is_cancelled.is_set():
            raise KeyboardInterrupt


class SetupWindow(Generic[Result]):
    """Shows one piece of work until it is done, stopped or given up. tkinter.TclError where there is no screen."""

    def __init__(
        self,
        work: Callable[[InstallProgress], Result],
        *,
        log: Path,
        offer_shortcut: bool = False,
        words: WindowWords | None = None,
    ) -> None:
        import tkinter

        from storage.system.desktop import introduce_program

        introduce_program()
        self._work, self._log, self._words = work, log, words or WindowWords()
        self._result: list[Result] = []
        self._failure: SetupError | None = None
        self._thread: threading.Thread | None = None
        self._progress = WindowProgress()
        self.root: Any = tkinter.Tk(className="PersonalityBot")
        # Whether the owner left the tick at the desktop and the menu, once the window is closed.
        self.wants_shortcut = False
        self._build(offer_shortcut)

    def run(self) -> Result:
        """The work's result. KeyboardInterrupt when it was stopped, ShownError when it failed and was given up."""
        self._begin()
        self.root.mainloop()
        if self._result:
            return self._result[0]
        if self._failure is not None:
            raise ShownError(str(self._failure))
        raise KeyboardInterrupt

    # ---- the window ------------------------------------------------------------------------------

    def _build(self, offer_shortcut: bool) -> None:
        from tkinter import ttk

        root = self.root
        root.title(self._words.title)
        root.resizable(False, False)
        _set_icon(root)
        frame = ttk.Frame(root, padding=20)
        frame.grid()
        wrap = self._pixels(WIDTH_CHARACTERS)
        self.headline = ttk.Label(frame, text=self._words.headline, font="TkHeadingFont")
        self.sentence = ttk.Label(frame, wraplength=wrap, justify="left")
        self.bar = ttk.Progressbar(frame, length=wrap, maximum=1.0)
        self.activity = ttk.Label(frame, wraplength=wrap, justify="left")
        self.detail = ttk.Label(frame, wraplength=wrap, justify="left")
        self.shortcut = ttk.Checkbutton(
            frame,
            text=_SHORTCUT,
        )
        # A state and no variable: tkinter takes a variable back on whatever thread it is forgotten.
        self.shortcut.state(["!alternate", "selected" if offer_shortcut else "!selected"])
        buttons = ttk.Frame(frame)
        self.details = ttk.Button(buttons, text="Show the log", command=self._show_log)
        self.again = ttk.Button(buttons, text="Try again", command=self._begin)
        self.leave = ttk.Button(buttons, text="Cancel", command=self._leave)
        rows = [self.headline, self.sentence, self.bar, self.activity, self.detail, self.shortcut, buttons]
        for row, widget in enumerate(rows):
            widget.grid(row=row, sticky="w" if widget is not buttons else "e", pady=(0, 8))
        self.leave.grid(row=0, column=2, padx=(8, 0))
        if not offer_shortcut:
            self.shortcut.grid_remove()
        root.protocol("WM_DELETE_WINDOW", self._leave)
        root.bind("<Escape>", lambda _: self._leave())

    def _pixels(self, characters: int) -> int:
        from tkinter import font

        return int(font.nametofont("TkDefaultFont", root=self.root).measure("n") * characters)

    # ---- the work --------------------------------------------------------------------------------

    def _begin(self) -> None:
        """Start it, or start it again."""
        self._failure, self._progress = None, WindowProgress()
        self.headline["text"] = self._words.headline
        self.sentence["text"] = self._words.sentence
        self.activity["text"] = self.detail["text"] = ""
        self.bar["value"] = 0.0
        self.bar.grid()
        for button in (self.details, self.again):
            button.grid_remove()
        self.leave.configure(text="Cancel", state="normal")
        self._thread = threading.Thread(target=self._do, name="set-up", daemon=True)
        self._thread.start()
        self.root.after(POLL_MS, self._look)

    def _do(self) -> None:
        progress = self._progress
        try:
            progress.said.put(("result", self._work(progress)))
        except SetupError as error:
            progress.said.put(("failure", error))
        except KeyboardInterrupt:
            progress.said.put(("stopped", None))
        except Exception as error:  # whatever it was, the owner sees only this window
            self._keep(traceback.format_exc())
            progress.said.put(
                ("failure", SetupError(f"The set-up stopped unexpectedly ({error}): the log has the rest."))
            )

    def _keep(self, words: str) -> None:
        with suppress(OSError), self._log.open("a", encoding="utf-8") as log:
            log.write(words)

    def _look(self) -> None:
        with suppress(queue.Empty):
            while True:
                kind, value = self._progress.said.get_nowait()
                if kind == "result":
                    self._result.append(value)
                elif kind == "failure":
                    self._show_failure(value)
                    return
                if kind in ("result", "stopped"):
                    self._close()
                    return
                self._show(kind, value)
        self.root.after(POLL_MS, self._look)

    def _show(self, kind: str, value: Any) -> None:
        if kind == "step":
            number, total = value
            self.bar["value"] = (number - 1) / total
        else:
            getattr(self, kind)["text"] = value

    def _show_failure(self, error: SetupError) -> None:
        self._failure = error
        self.headline["text"] = self._words.failed
        self.sentence["text"] = f"{error}\n\n{self._words.again}"
        self.activity["text"] = self.detail["text"] = ""
        self.bar.grid_remove()
        self.again.grid(row=0, column=1, padx=(8, 0))
        if self._log.exists():
            self.details.grid(row=0, column=0)
        self.leave.configure(text="Close", state="normal")
        self.again.focus_set()

    def _show_log(self) -> None:
        from storage.errors import KnownError
        from storage.system.desktop import open_path

        try:
            open_path(self._log)
        except KnownError:
            self.detail["text"] = f"The log: {self._log}"

    def _leave(self) -> None:
        """The button, the window's cross or Escape: stop the work, or give up after a failure."""
        if self._failure is not None:
            self._close()
            return
        self._progress.cancel()
        self.sentence["text"] = self._words.stopping
        self.leave.configure(state="disabled")

    def _close(self) -> None:
        self.wants_shortcut = self.shortcut.instate(["selected"])
        self.root.destroy()


def do_in_window(
    work: Callable[[Callable[[str], None]], Result], *, activity: str, log: Path, words: dict[str, str]
) -> Result | None:
    """As `bootstrap.in_window` says."""
    from storage.errors import KnownError

    def do(progress: InstallProgress) -> Result:
        progress.start(activity)
        try:
            return work(progress.tick)
        except KnownError as error:
            raise SetupError(error.text()) from error

    try:
        return SetupWindow(do, log=log, words=WindowWords(**words)).run()
    except (KeyboardInterrupt, ShownError):
        return None


def complete_in_window(groups: Sequence[str], root: Path) -> bool:
    """Install these groups with a window to watch; False where none can be opened: nothing was done then."""
    try:
        import tkinter
    except ImportError:
        return False
    is_first = not (root / ".venv").exists()
    try:
        window = SetupWindow(
            lambda progress: PrivateEnvironment(root, progress=progress).complete(groups),
            log=root / ".venv" / "install.log",
            offer_shortcut=is_first,
        )
    except tkinter.TclError:
        return False
    window.run()
    wants_shortcut = window.wants_shortcut
    del window
    gc.collect()  # here: Tcl ends a process in which another thread frees an interpreter
    if wants_shortcut:
        # By the new environment's Python, which is what they start. What cannot be made can be made in the panel.
        python = str(PrivateEnvironment(root).python)
        subprocess.run([python, "-m", "scripts.installation.shortcuts"], cwd=_CODE, check=False)
    return True


def _set_icon(root: Any) -> None:
    import tkinter

    picture = _CODE / "gui" / "assets" / "logo.png"
    with suppress(tkinter.TclError):
        root.iconphoto(True, tkinter.PhotoImage(master=root, file=str(picture)))
