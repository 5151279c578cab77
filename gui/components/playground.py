"""The playground: a chat with the bot that nobody else sees."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from gui import texts
from gui.components.basics import Card, RowFrame
from gui.components.button import Button
from gui.components.chat_parts import Bubble, DetailsCard
from gui.components.compare_bar import CompareBar
from gui.components.inputs import Field, Switch
from gui.components.notices import Banner, EmptyState
from gui.components.room import M, Panel, Room, S, spread
from gui.components.scroll import ScrollArea
from gui.components.tooltip import Tooltip
from gui.presenters.comparison import ComparedAnswers, is_switching, judgement
from gui.presenters.playground import ChatLine, ChatView, chat_view, details_view
from gui.presenters.snapshot import Pulse
from storage.records import PlaygroundEntry
from storage.teaching import Opinion

POLL_SECONDS, POLL_IDLE_SECONDS = 0.2, 1.0
HISTORY_LINES = 60


class PlaygroundRoom(Room):
    """Chat on the left; what explains a reply on the right, when asked for."""

    key, title, scrolls = "playground", texts.PLAYGROUND, False

    def __init__(self, master: Any, panel: Panel) -> None:
        super().__init__(master, panel)
        self._entries: list[PlaygroundEntry] = []
        self._lines: tuple[ChatLine, ...] = ()
        self._bubbles: dict[int, Bubble] = {}
        self._polled_at, self._is_polling = 0.0, False
        self._details_of: int | None = None
        self.comparison: ComparedAnswers | None = None
        self._run = 0
        self._judged = -1
        self._asked_at = 0.0

    def build(self) -> Iterator[None]:
        """Called once, before the room is first shown; each `yield` lets the window breathe."""
        page, theme = self.page, self.theme
        page.grid_rowconfigure(2, weight=1)
        self.compare = Switch(self.tools, texts.CHAT_COMPARE, lambda _: self._compare_flipped())
        self.compare.grid(row=0, column=0, padx=(0, S))
        Tooltip(self.compare, texts.CHAT_COMPARE_TIP)
        self.clear = Button(self.tools, texts.CHAT_CLEAR, self._clear, icon="trash", tip=texts.CHAT_CLEAR_TIP)
        self.clear.grid(row=0, column=1)
        self.bar = CompareBar(page, self.panel, self._show_hands)
        self.notice = Banner(page, "busy")
        for row, part in enumerate((self.bar, self.notice)):
            part.grid(row=row, column=0, columnspan=2, sticky="ew", pady=(0, theme.px(M)))
            part.grid_remove()
        yield
        self.card = Card(page, pad=6)
        self.card.grid(row=2, column=0, sticky="nsew")
        self.card.body.grid_columnconfigure(0, weight=1)
        self.card.body.grid_rowconfigure(0, weight=1)
        self.area = ScrollArea(self.card.body, pad=10, keeps_end=True)
        self.area.grid(row=0, column=0, sticky="nsew")
        for column in range(2):
            self.area.inner.grid_columnconfigure(column, weight=1, uniform="chat")
        self.area.canvas.bind("<Configure>", lambda _: self._wrap_bubbles(), add="+")
        yield
        self.empty = EmptyState(self.area.inner, icon="chat", title=texts.CHAT_EMPTY_TITLE, text=texts.CHAT_EMPTY)
        self.stopped = EmptyState(
            self.area.inner,
            icon="moon",
            title=texts.CHAT_STOPPED_TITLE,
            text=texts.CHAT_STOPPED,
            action=texts.BUTTON_START,
            command=lambda: self.panel.bot("start"),
            second="" if self.panel.is_demo else texts.CHAT_START_OFFLINE,
            second_command=lambda: self.panel.bot("start_offline"),
        )
        yield
        self.verdict = RowFrame(page)
        self.verdict.grid(row=3, column=0, sticky="ew", pady=(theme.px(S), 0))
        spread(self.verdict, 2, group="chat")
        for column, words in enumerate(texts.COMPARE_BETTER):
            button = Button(self.verdict, words, partial(self.choose_better, bool(column)), kind="quiet", icon="check")
            button.grid(row=0, column=column, sticky="w", padx=theme.px(M))
        self.verdict.grid_remove()
        bar = RowFrame(page)
        bar.grid(row=4, column=0, sticky="ew", pady=(theme.px(M), 0))
        bar.grid_columnconfigure(0, weight=1)
        self.input = Field(bar, placeholder=texts.CHAT_PLACEHOLDER, height=40)
        self.input.grid(row=0, column=0, sticky="ew", padx=(0, S))
        self.input.bind("<Return>", lambda _: self.send_line())
        self.send_button = Button(bar, texts.CHAT_SEND, self._send_or_cancel, kind="primary", icon="send", height=40)
        self.send_button.grid(row=0, column=1)
        self.details = DetailsCard(page, self.panel, self._hide_details)
        yield

    # ---- life ------------------------------------------------------------------------------------

    def shown(self) -> None:
        """Called each time the owner comes here: the field to type in is ready."""
        self._polled_at = 0.0
        self.input.focus()

    def beat(self, pulse: Pulse) -> None:  # noqa: ARG002 - every room is handed it
        """Called with each new reading of the databases while the room is in front."""
        self._render()

    def frame(self) -> None:
        """Called at each turn of the window's loop: a reply grows as it is written."""
        wait = POLL_SECONDS if self._is_waiting() else POLL_IDLE_SECONDS
        if not self._is_polling and time.monotonic() - self._polled_at > wait:
            self._is_polling, self._polled_at = True, time.monotonic()
            self.panel.ask(
                lambda: self.panel.store.playground.history(limit=HISTORY_LINES),
                self._arrived,
                failed=self._poll_failed,
            )

    def _poll_failed(self, _: Exception) -> None:
        self._is_polling = False

    def _arrived(self, entries: list[PlaygroundEntry]) -> None:
        self._is_polling = False
        self._entries = entries
        self._advance_comparison()
        self._render()

    def _is_waiting(self) -> bool:
        return self._is_comparing() or any(line.is_waiting for line in self._lines)

    def _is_comparing(self) -> bool:
        return self.comparison is not None and not self.comparison.is_done

    # ---- sending ---------------------------------------------------------------------------------

    def send_line(self) -> str:
        """Ask what stands in the field."""
        text = self.input.get().strip()
        if not text or not self._can_send():
            return "break"
        self.input.set_text("")
        self._run += 1
        self._asked_at = time.time()
        store = self.panel.store.playground
        if self.compare.value:
            self.comparison = comparison = ComparedAnswers(text, self.bar.sides)
            self.panel.ask(lambda: store.ask(text, options=comparison.side.options), partial(self._asked, self._run))
        else:
            self.comparison = None
            self.panel.ask(lambda: store.ask(text), partial(self._asked, self._run))
        self._render()
        return "break"

    def _can_send(self) -> bool:
        return (
            chat_view(self._entries, self.panel.pulse).can_send
            and not self._is_comparing()
            and not (self.compare.value and self.bar.problem)
        )

    def _asked(self, run: int, question_id: int) -> None:
        self._polled_at = 0.0
        if run != self._run:  # cancelled while it was being written down
            self.panel.ask(lambda: self.panel.store.playground.withdraw(question_id))
        elif self.comparison is not None and not self.comparison.is_done:
            self.comparison = replace(self.comparison, question_id=question_id)

    def _advance_comparison(self) -> None:
        """The first answer leaves the chat again, so that the second is not influenced by it."""
        comparison = self.comparison
        if comparison is None or comparison.is_done or not comparison.question_id:
            return
        answer = next((e for e in self._entries if e.answers_id == comparison.question_id), None)
        if answer is None:
            return
        if comparison.first is not None:
            self.comparison = replace(comparison, second=answer)
            return
        first_id, store = comparison.question_id, self.panel.store.playground
        self.comparison = again = replace(comparison, first=answer, question_id=0)
        self._asked_at = time.time()
        self.panel.ask(
            lambda: store.ask_instead(first_id, again.text, options=again.side.options), partial(self._asked, self._run)
        )

    def _send_or_cancel(self) -> None:
        if self._is_comparing():
            self.cancel()
        else:
            self.send_line()

    def cancel(self) -> None:
        """End the comparison under way; the bot goes back to its own model by itself."""
        comparison = self.comparison
        if comparison is None or comparison.is_done:
            return
        self._run += 1
        self.comparison = None
        if not self.input.get():
            self.input.set_text(comparison.text)
        if comparison.question_id:
            self._entries = [e for e in self._entries if comparison.question_id not in (e.id, e.answers_id)]
            self.panel.ask(lambda: self.panel.store.playground.withdraw(comparison.question_id))
        self._render()

    def choose_better(self, is_second: bool) -> None:
        """One of two compared answers is better: it teaches, against the other one."""
        comparison = self.comparison
        found = judgement(comparison, self._entries, is_second_better=is_second) if comparison is not None else None
        if found is None:
            return
        reply, better = found
        self._judged = self._run
        self.verdict.grid_remove()
        teaching = self.panel.store.teaching
        self.panel.ask(
            lambda: teaching.judge(reply, Opinion.BAD, better=better),
            lambda _: self.panel.toast(texts.COMPARE_TAUGHT, tone="good"),
        )

    def regenerate(self) -> None:
        """The last question again, without the answer it got."""
        question = next((e for e in reversed(self._entries) if e.role == "owner"), None)
        if question is None:
            return
        self._run += 1
        self.comparison = None
        self._hide_details()
        store = self.panel.store.playground
        self.panel.ask(
            lambda: store.ask_instead(question.id, question.text, options=question.options),
            partial(self._asked, self._run),
        )

    def _clear(self) -> None:
        self._run += 1
        self.comparison = None
        self._hide_details()
        self.panel.ask(self.panel.store.playground.clear, lambda _: self._asked(self._run, 0))

    def compare_with(self, file: Path) -> None:
        """Set up a comparison of the model in use with this one; the owner writes the line."""
        self.compare.set_value(True)
        self.bar.choose_model(file)
        self._compare_flipped()
        self.input.focus()

    def _compare_flipped(self) -> None:
        (self.bar.grid if self.compare.value else self.bar.grid_remove)()
        self._render()

    # ---- drawing ---------------------------------------------------------------------------------

    def _render(self) -> None:
        view = chat_view(self._entries, self.panel.pulse)
        lines = self._with_comparison(view)
        self._show_notice(view)
        if not lines and not view.is_stopped:
            self.empty.grid(row=998, column=0, columnspan=2, pady=(self.theme.px(90), 0))
        else:
            self.empty.grid_remove()
        if view.is_stopped:
            self.stopped.grid(row=999, column=0, columnspan=2, pady=(S if lines else self.theme.px(90), S))
        else:
            self.stopped.grid_remove()
        self._show_hands()
        if lines != self._lines:
            is_at_end = self.area.canvas.yview()[1] > 0.98 or len(lines) > len(self._lines)
            self._lines = lines
            self._draw_lines(lines)
            if is_at_end:
                self.area.to_end()

    def _show_hands(self) -> None:
        is_busy = self._is_comparing()
        self.send_button.show(texts.CHAT_CANCEL if is_busy else texts.CHAT_SEND)
        self.send_button.set_icon("close" if is_busy else "send")
        self.send_button.set_kind("secondary" if is_busy else "primary")
        self.send_button.set_enabled(is_busy or self._can_send())
        is_open = self.comparison is not None and self.comparison.is_done and self._judged != self._run
        (self.verdict.grid if is_open else self.verdict.grid_remove)()
        if self.compare.value:
            self.bar.refresh(self.panel.pulse, is_busy=is_busy)

    def _with_comparison(self, view: ChatView) -> tuple[ChatLine, ...]:
        comparison = self.comparison
        if comparison is None:
            return view.lines
        # The comparison stands in for the question under way and for its answer.
        ours = {comparison.question_id, -comparison.question_id} | {
            answer.id for answer in (comparison.first, comparison.second) if answer is not None
        }
        if comparison.question_id:
            ours |= {e.id for e in self._entries if e.answers_id == comparison.question_id}
        kept = tuple(line for line in view.lines if line.id not in ours)
        question = ChatLine(10**15, True, comparison.text)
        return (
            *kept,
            question,
            *comparison.lines(time.time(), self._asked_at, is_loading=is_switching(self.panel.pulse)),
        )

    def _draw_lines(self, lines: tuple[ChatLine, ...]) -> None:
        wanted = {line.id for line in lines}
        for gone in self._bubbles.keys() - wanted:
            self._bubbles.pop(gone).destroy()
        last = lines[-1].id if lines else None
        row = 0
        for line in lines:
            bubble = self._bubbles.get(line.id)
            if bubble is None:
                bubble = self._bubbles[line.id] = Bubble(
                    self.area.inner, self.panel, line, self._show_details, self.regenerate, self._width()
                )
            bubble.show(line, is_last=line.id == last and self.comparison is None)
            is_right = line.column == 1
            bubble.grid(
                row=row - is_right,
                column=max(line.column, 0),
                columnspan=2 if line.column < 0 else 1,
                sticky="new",
                pady=(M if row == 0 else 0, S),
            )
            row += not is_right

    def _width(self) -> int:
        return max(220, int(self.area.canvas.winfo_width() / self.theme.scale * 0.74))

    def _wrap_bubbles(self) -> None:
        for bubble in self._bubbles.values():
            bubble.wrap(self._width())

    def _show_notice(self, view: ChatView) -> None:
        if view.notice and not view.is_stopped and not self._is_comparing():
            self.notice.show(view.notice)
            self.notice.grid()
        else:
            self.notice.grid_remove()

    def _show_details(self, entry_id: int) -> None:
        pool = (
            [*self._entries, *(a for a in (self.comparison.first, self.comparison.second) if a is not None)]
            if self.comparison
            else self._entries
        )
        entry = next((e for e in pool if e.id == entry_id), None)
        if entry is None or self._details_of == entry_id:
            self._hide_details()
            return
        self._details_of = entry_id
        self.details.show(details_view(entry))
        self.details.grid(row=2, column=1, rowspan=3, sticky="nsew", padx=(self.theme.px(M), 0))

    def _hide_details(self) -> None:
        self._details_of = None
        self.details.grid_remove()
