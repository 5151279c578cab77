"""What is being done and for how long: one updating line in a terminal, a line now and then elsewhere."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from typing import TextIO

from storage.system.streams import is_terminal

PLAIN_LINE_SECONDS = 15.0


def duration(seconds: float) -> str:
    """A time span as people say it."""
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


class InstallProgress:
    """Tells one activity after the other. Without a stream it is silent."""

    def __init__(self, stream: TextIO | None, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream
        self._clock = clock
        self._is_terminal = is_terminal(stream)
        self._activity = ""
        self._started = self._last_line = 0.0
        self._width_shown = 0

    def say(self, sentence: str) -> None:
        """Show a sentence on a line of its own."""
        self._clear()
        self._write(sentence + "\n")

    @property
    def seconds(self) -> float:
        """How long the present activity has taken."""
        return self._clock() - self._started

    def step(self, number: int, total: int) -> None:
        """Which of how many steps begins; here the activity's own words say it."""

    def start(self, activity: str) -> None:
        """Begin an activity; its time is counted from here."""
        self._activity = activity
        self._started = self._last_line = self._clock()
        if not self._is_terminal:
            self._write(f"{activity} ...\n")

    def tick(self, detail: str = "") -> None:
        """Show that the activity goes on; call it several times a second."""
        now = self._clock()
        line = f"{self._activity} ... {duration(now - self._started)}" + (f"  {detail}" if detail else "")
        if self._is_terminal:
            self._overwrite(line)
        elif now - self._last_line >= PLAIN_LINE_SECONDS:
            self._last_line = now
            self._write(line + "\n")

    def done(self) -> None:
        """End the activity, leaving its duration to be read."""
        self._clear()
        self._write(f"{self._activity}: done in {duration(self.seconds)}\n")

    def interrupt(self) -> None:
        """Leave the unfinished line as it is, so that what follows starts on its own."""
        if self._width_shown:
            self._width_shown = 0
            self._write("\n")

    def _overwrite(self, line: str) -> None:
        # Spaces instead of an escape code: older Windows consoles print those.
        line = line[: shutil.get_terminal_size().columns - 1]
        self._write("\r" + line.ljust(self._width_shown))
        self._width_shown = len(line)

    def _clear(self) -> None:
        if self._width_shown:
            self._write("\r" + " " * self._width_shown + "\r")
            self._width_shown = 0

    def _write(self, text: str) -> None:
        if self._stream is not None:
            self._stream.write(text)
            self._stream.flush()
