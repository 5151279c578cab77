"""The blind test: real and generated replies mixed, and you say which is which. The same quiz members get as a page."""

from __future__ import annotations

import time
import webbrowser
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from gui import texts
from gui.components.basics import Card, RowFrame, Text
from gui.components.button import Button
from gui.components.inputs import Field, Switch
from gui.components.notices import ProgressBar
from gui.components.room import M, Panel, Room, S, spread
from gui.components.shapes import Sheet
from gui.components.theme import XS
from gui.presenters import blind_test as quiz
from gui.presenters import format as words
from gui.presenters.blind_test import QuizRun, RevealView
from gui.presenters.snapshot import Pulse
from storage.blind_test import (
    HIGHEST,
    LOWEST,
    RATINGS,
    Quiz,
    QuizLine,
    QuizResult,
    quizzes,
    read_answers,
    read_code,
    read_quiz,
    save_result,
)
from storage.errors import KnownError

KIND = "blind_test"
# How wide a bubble may be; how long a verdict is seen before the next reply comes.
BUBBLE, TAP_MS = 460, 260
_KEYS = {"h": False, "b": True}


class BlindTestRoom(Room):
    """Three faces: the beginning (make one, begin, score), a reply, the end."""

    key, title = "blind_test", texts.BLIND_TITLE

    def __init__(self, master: Any, panel: Panel) -> None:
        super().__init__(master, panel)
        self.run: QuizRun | None = None
        self._newest: Path | None = None
        self._begun: Path | None = None
        self._unscored: Path | None = None
        self._jobs_seen: frozenset[int] = frozenset()
        self._shown = ""

    def build(self) -> Iterator[None]:
        """Called once, before the room is first shown; each `yield` lets the window breathe."""
        Button(self.tools, texts.BLIND_BACK, lambda: self.panel.go("training")).grid(row=0, column=0)
        self.start = Card(self.page, texts.BLIND_TEST)
        self.start.grid(row=0, column=0, sticky="ew")
        self._build_start(self.start.body)
        yield
        self.item = Card(self.page)
        self._build_item(self.item.body)
        yield
        self.winfo_toplevel().bind("<Key>", self._key, add="+")
        yield

    def _build_start(self, body: RowFrame) -> None:
        body.grid_columnconfigure(0, weight=1)
        self.note = Text(body, texts.BLIND_NONE, colour="muted", wrap=True)
        self.note.grid(row=0, column=0, sticky="ew", pady=(0, M))
        told = RowFrame(body)
        told.grid(row=1, column=0, sticky="ew")
        told.grid_columnconfigure(0, weight=1)
        self.reveal = Text(told, "", role="heading", wrap=True)
        self.reveal.grid(row=0, column=0, sticky="ew", pady=(0, S))
        self.fooled = Text(told, "", colour="muted", wrap=True)
        self.fooled.grid(row=1, column=0, sticky="ew", pady=(0, M))
        self.score = Text(told, "", wrap=True)
        self.score.grid(row=2, column=0, sticky="ew", pady=(0, M))
        for part in (self.reveal, self.fooled):
            part.grid_remove()
        line = RowFrame(body)
        line.grid(row=2, column=0, sticky="w")
        self.rater = Field(line, placeholder=texts.BLIND_NAME)
        self.rater.bind("<Return>", lambda _: self._begin())
        self.begin = Button(line, texts.BLIND_BEGIN, self._begin, kind="primary")
        self.browser = Button(line, texts.BLIND_OPEN, self._open)
        self.scoring = Button(line, texts.BLIND_SCORE_NOW, self._score)
        self.make = Button(line, texts.BLIND_MAKE, lambda: self.panel.start_job(KIND, ["--blind-test"]))
        parts: tuple[Any, ...] = (self.rater, self.begin, self.browser, self.scoring, self.make)
        for column, widget in enumerate(parts):
            widget.grid(row=0, column=column, padx=(0, S))
        codes = RowFrame(body)
        codes.grid(row=3, column=0, sticky="ew", pady=(self.theme.px(M), 0))
        codes.grid_columnconfigure(0, weight=1)
        self.code = Field(codes, placeholder=texts.BLIND_CODE)
        self.code.grid(row=0, column=0, sticky="ew", padx=(0, S))
        self.code.bind("<Return>", lambda _: self._take_code())
        self.add_code = Button(codes, texts.BLIND_CODE_ADD, self._take_code)
        self.add_code.grid(row=0, column=1)

    def _build_item(self, body: RowFrame) -> None:
        body.grid_columnconfigure(0, weight=1)
        self.progress = ProgressBar(body, width=200)
        self.progress.grid(row=0, column=0, sticky="ew", pady=(0, S))
        self.count = Text(body, "", role="small", colour="faint")
        self.count.grid(row=1, column=0, sticky="w")
        self.talk = RowFrame(body)
        self.talk.grid(row=2, column=0, sticky="ew", pady=(S, 0))
        self.talk.grid_columnconfigure(0, weight=1)
        self.answer = Sheet(body, fill="accent_soft", border="")
        self.answer.grid(row=3, column=0, sticky="e", pady=(S, M))
        self.reply = Text(self.answer, "", role="body")
        self.reply.configure(wraplength=self.theme.px(BUBBLE))
        self.reply.grid(row=0, column=0, padx=self.theme.px(14), pady=self.theme.px(10))
        line = RowFrame(body)
        line.grid(row=4, column=0, sticky="ew", pady=(0, M))
        spread(line, 2, group="verdict")
        self.human = Button(line, texts.BLIND_HUMAN, lambda: self._tapped(False), height=56, role="heading")
        self.human.grid(row=0, column=0, sticky="ew", padx=(0, S))
        self.bot = Button(line, texts.BLIND_BOT, lambda: self._tapped(True), height=56, role="heading")
        self.bot.grid(row=0, column=1, sticky="ew", padx=(S, 0))
        self.ratings: dict[str, list[Button]] = {}
        self.rates = Switch(body, texts.BLIND_RATE, self._flip_ratings)
        self.rates.grid(row=5, column=0, sticky="w")
        grid = self.rating_grid = RowFrame(body)
        grid.grid(row=6, column=0, sticky="w", pady=(S, 0))
        grid.grid_remove()
        for row, (name, label) in enumerate(RATINGS):
            Text(grid, label, colour="muted").grid(row=row, column=0, sticky="w", padx=(0, M))
            self.ratings[name] = []
            for value in range(LOWEST, HIGHEST + 1):
                button = Button(grid, str(value), partial(self._step, quiz.rate, name, value), height=26, width=30)
                button.grid(row=row, column=value, padx=2, pady=2)
                self.ratings[name].append(button)
        foot = RowFrame(body)
        foot.grid(row=7, column=0, sticky="w", pady=(M, 0))
        self.back = Button(foot, texts.BLIND_PREVIOUS, lambda: self._step(quiz.backward))
        self.next = Button(foot, texts.BLIND_NEXT, self._forward, kind="primary")
        self.leave = Button(foot, texts.BLIND_STOP, self._finish, kind="quiet")
        for column, button in enumerate((self.back, self.next, self.leave)):
            button.grid(row=0, column=column, padx=(0, S))
        Text(body, texts.BLIND_KEYS, role="small", colour="faint", wrap=True).grid(
            row=8, column=0, sticky="ew", pady=(M, 0)
        )

    # ---- the beginning ---------------------------------------------------------------------------

    def shown(self) -> None:
        """Called each time the owner comes here."""
        self._look()

    def beat(self, pulse: Pulse) -> None:
        """Called with each new reading of the databases while the room is in front."""
        is_busy = KIND in {job.kind for job in pulse.jobs}
        for button in (self.make, self.scoring):
            button.set_enabled(not is_busy and (button is self.make or self._newest is not None))
        ended = frozenset(job.id for job in pulse.finished)
        if self._unscored is not None and not is_busy:
            path, self._unscored = self._unscored, None
            self._score(path)
        if ended != self._jobs_seen:
            self._jobs_seen = ended
            self._look()

    def _look(self) -> None:
        self.panel.ask(
            lambda: (next(iter(quizzes(self.panel.workspace)), None), self.panel.store.jobs.latest(KIND)),
            lambda found: self._arrived(*found),
        )

    def _arrived(self, newest: Path | None, job: Any) -> None:
        self._newest = newest
        self.note.show(texts.BLIND_READY if newest else texts.BLIND_NONE)
        self.score.show(quiz.score_text(job))
        for button in (self.begin, self.browser, self.scoring):
            button.set_enabled(newest is not None)

    def _begin(self) -> None:
        name = self.rater.get().strip()
        self.rater.set_wrong(not name)
        if name and self._newest is not None:
            path = self._newest
            self.panel.ask(lambda: read_quiz(path), lambda found: self._loaded(found, name, path))

    def _loaded(self, found: Quiz, name: str, path: Path) -> None:
        self._begun = path  # another quiz may be made before this one is finished
        self.run = QuizRun(found, name)
        self.start.grid_remove()
        self.item.grid(row=0, column=0, sticky="ew")
        self.item.focus_set()
        self._render()

    def _open(self) -> None:
        if self._newest is not None:
            webbrowser.open((self._newest.parent / "blind-test.html").as_uri())

    def _score(self, path: Path | None = None) -> None:
        path = path or self._newest
        if path is not None:
            folder = path.parent
            self.panel.start_job(
                KIND, ["--score", str(folder / "results" / "*.json"), "--key", str(folder / "key.json")]
            )

    # ---- a reply ---------------------------------------------------------------------------------

    def _step(self, change: Any, *arguments: Any) -> None:
        if self.run is not None:
            self.run = change(self.run, *arguments)
            self._render()

    def _tapped(self, is_bot: bool) -> None:
        """A verdict by hand: the next reply comes by itself, unless this one is to be rated too."""
        self._step(quiz.mark, is_bot)
        at = self.run.at if self.run is not None else 0
        if not self.rates.value and (self.bot if is_bot else self.human).is_by_pointer:
            self.after(TAP_MS, lambda: self._forward() if self.run is not None and self.run.at == at else None)

    def _flip_ratings(self, is_on: bool) -> None:
        (self.rating_grid.grid if is_on else self.rating_grid.grid_remove)()

    def _show_talk(self, lines: tuple[QuizLine, ...]) -> None:
        for child in self.talk.winfo_children():
            child.destroy()
        pad = self.theme.px(12)
        for row, line in enumerate(lines):
            bubble = Sheet(self.talk, fill="hover", border="")
            bubble.grid(row=row, column=0, sticky="w", pady=(0, self.theme.px(XS)))
            Text(bubble, line.name, role="caption_strong", colour="muted").grid(
                row=0, column=0, sticky="w", padx=pad, pady=(self.theme.px(6), 0)
            )
            words = Text(bubble, line.text)
            words.configure(wraplength=self.theme.px(BUBBLE))
            words.grid(row=1, column=0, sticky="w", padx=pad, pady=(0, self.theme.px(6)))

    def _forward(self) -> None:
        self._step(quiz.forward)

    def _render(self) -> None:
        if self.run is None:
            return
        if self.run.is_at_end:
            self._finish()
            return
        shown = quiz.view(self.run)
        self.progress.show(shown.share)
        self.count.show(shown.count)
        if self._shown != shown.item_id:
            self._shown = shown.item_id
            self._show_talk(shown.lines)
        self.reply.show(shown.reply)
        self.human.show(f"\u2713 {texts.BLIND_HUMAN}" if shown.is_bot is False else texts.BLIND_HUMAN)
        self.bot.show(f"\u2713 {texts.BLIND_BOT}" if shown.is_bot is True else texts.BLIND_BOT)
        for name, buttons in self.ratings.items():
            for value, button in enumerate(buttons, start=LOWEST):
                button.set_enabled(shown.can_go_on)
                button.show(f"({value})" if shown.ratings.get(name) == value else str(value))
        self.back.set_enabled(shown.can_go_back)
        self.next.set_enabled(shown.can_go_on)
        self.next.show(shown.next_text)

    def _key(self, event: Any) -> None:
        # Keys belong to the quiz only while it is in front and nobody types into a field.
        if self.run is None or not self.is_visible or event.widget.winfo_class() == "Entry":
            return
        key = event.keysym.lower()
        if key in _KEYS:
            self._step(quiz.mark, _KEYS[key])
        elif key in "12345" and len(key) == 1:
            self._step(quiz.rate_next, int(key))
        elif key == "right" or (key == "return" and event.widget.winfo_class() != "Canvas"):
            self._forward()
        elif key == "left":
            self._step(quiz.backward)

    # ---- the end ---------------------------------------------------------------------------------

    def _finish(self) -> None:
        run, path = self.run, self._begun
        self.run = None
        self.item.grid_remove()
        self.start.grid(row=0, column=0, sticky="ew")
        if run is not None and run.marked and path is not None:
            done = quiz.result(run, now=time.time())
            self.panel.ask(lambda: save_result(done, path.parent), self._saved)
            self.panel.ask(lambda: quiz.reveal(done, run.quiz, read_answers(path)), self._show_reveal)

    def _show_reveal(self, view: RevealView) -> None:
        """Who it was, now that the game is over."""
        self.reveal.show(view.title)
        self.fooled.show("\n".join(view.lines))
        self.reveal.grid()
        (self.fooled.grid if view.lines else self.fooled.grid_remove)()

    def _take_code(self) -> None:
        """A friend's result, as the page gave it."""
        code, workspace = self.code.get().strip(), self.panel.workspace
        if not code:
            return

        def take() -> tuple[QuizResult, Path, RevealView]:
            result, path = read_code(code, quizzes(workspace))
            save_result(result, path.parent)
            return result, path, quiz.reveal(result, read_quiz(path), read_answers(path), by=result.rater)

        def taken(found: tuple[QuizResult, Path, RevealView]) -> None:
            result, path, view = found
            self.code.set_text("")
            self.code.set_wrong(False)
            answers = words.plural(len(result.verdicts), "answer")
            self.panel.toast(texts.BLIND_CODE_TAKEN.format(name=result.rater, answers=answers), tone="good")
            self._show_reveal(view)
            self._begun = path
            self._score_soon()

        def refused(error: Exception) -> None:
            self.code.set_wrong(True)
            what, cure = (error.what, error.cure) if isinstance(error, KnownError) else (str(error), "")
            self.panel.toast(what, cure, tone="bad")

        self.panel.ask(take, taken, failed=refused)

    def _saved(self, file: Path) -> None:
        self.panel.toast(texts.BLIND_SAVED, str(file), tone="good")
        self._score_soon()

    def _score_soon(self) -> None:
        pulse = self.panel.pulse
        if pulse is not None and KIND in {job.kind for job in pulse.jobs}:
            self._unscored = self._begun  # one at a time: it is scored when that one is done
        else:
            self._score(self._begun)
