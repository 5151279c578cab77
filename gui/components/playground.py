"""The playground: a chat with the bot that nobody else sees."""
from __future__ import annotations

import time
import tkinter as tk
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

from gui import texts
from gui.components.room import M, Panel, Room, S
from gui.components.scroll import ScrollArea
from gui.components.shapes import Sheet
from gui.components.theme import XS
from gui.components.widgets import Banner, Button, Card, EmptyState, Field, Line, Row, Switch, Text, Tooltip
from gui.presenters.playground import ChatLine, ChatView, Comparison, DetailsView, chat_view, details_view
from gui.presenters.pulse import Pulse
from storage.records import PlaygroundEntry
from storage.settings import TEMPERATURE

POLL_SECONDS, POLL_IDLE_SECONDS = 0.2, 1.0
HISTORY_LINES = 60
# The two temperatures offered first: either end of the slider's useful part.
FIRST_PAIR = (0.5, 1.0)


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
        self.comparison: Comparison | None = None
        self._asked_at = 0.0

    def build(self) -> Iterator[None]:
        page, theme = self.page, self.theme
        page.grid_rowconfigure(1, weight=1)
        self.compare = Switch(self.tools, texts.CHAT_COMPARE, lambda _: self._compare_flipped())
        self.compare.grid(row=0, column=0, padx=(0, S))
        Tooltip(self.compare, texts.CHAT_COMPARE_TIP)
        self.pair = TemperaturePair(self.tools)
        self.pair.grid(row=0, column=1, padx=(0, S))
        self.pair.grid_remove()
        self.clear = Button(self.tools, texts.CHAT_CLEAR, self._clear, icon="trash", tip=texts.CHAT_CLEAR_TIP)
        self.clear.grid(row=0, column=2)
        self.notice = Banner(page, "busy")
        self.notice.grid(row=0, column=0, columnspan=2, sticky="ew", pady=(0, theme.px(M)))
        self.notice.grid_remove()
        yield
        self.card = Card(page, pad=6)
        self.card.grid(row=1, column=0, sticky="nsew")
        self.card.body.grid_columnconfigure(0, weight=1)
        self.card.body.grid_rowconfigure(0, weight=1)
        self.area = ScrollArea(self.card.body, pad=10)
        self.area.grid(row=0, column=0, sticky="nsew")
        for column in range(2):
            self.area.inner.grid_columnconfigure(column, weight=1, uniform="chat")
        self.area.canvas.bind("<Configure>", lambda _: self._wrap_bubbles(), add="+")
        yield
        self.empty = EmptyState(self.area.inner, icon="chat", title=texts.CHAT_EMPTY_TITLE, text=texts.CHAT_EMPTY)
        self.stopped = EmptyState(self.area.inner, icon="moon", title=texts.CHAT_STOPPED_TITLE,
                                  text=texts.CHAT_STOPPED, action=texts.BUTTON_START,
                                  command=lambda: self.panel.bot("start"))
        yield
        bar = Row(page)
        bar.grid(row=2, column=0, sticky="ew", pady=(theme.px(M), 0))
        bar.grid_columnconfigure(0, weight=1)
        self.input = Field(bar, placeholder=texts.CHAT_PLACEHOLDER, height=40)
        self.input.grid(row=0, column=0, sticky="ew", padx=(0, S))
        self.input.bind("<Return>", lambda _: self.send_line())
        self.send_button = Button(bar, texts.CHAT_SEND, self.send_line, kind="primary", icon="send", height=40)
        self.send_button.grid(row=0, column=1)
        self.details = DetailsCard(page, self.panel, self._hide_details)
        yield

    # ---- life ------------------------------------------------------------------------------------

    def shown(self) -> None:
        self._polled_at = 0.0
        self.input.focus()

    def beat(self, pulse: Pulse) -> None:
        self._render()

    def frame(self) -> None:
        wait = POLL_SECONDS if self._is_waiting() else POLL_IDLE_SECONDS
        if not self._is_polling and time.monotonic() - self._polled_at > wait:
            self._is_polling, self._polled_at = True, time.monotonic()
            self.panel.ask(lambda: self.panel.store.playground.history(limit=HISTORY_LINES), self._arrived,
                           failed=self._poll_failed)

    def _poll_failed(self, _: Exception) -> None:
        self._is_polling = False

    def _arrived(self, entries: list[PlaygroundEntry]) -> None:
        self._is_polling = False
        self._entries = entries
        self._advance_comparison()
        self._render()

    def _is_waiting(self) -> bool:
        return any(line.is_waiting for line in self._lines) or (
            self.comparison is not None and not self.comparison.is_done)

    # ---- sending ---------------------------------------------------------------------------------

    def send_line(self) -> str:
        """Ask what stands in the field."""
        text = self.input.get().strip()
        if not text or not self._can_send():
            return "break"
        self.input.set_text("")
        if self.compare.value:
            self.comparison = Comparison(text, self.pair.values)
            self._ask(text, self.comparison.current_temperature)
        else:
            self.comparison = None
            self._ask(text, None)
        return "break"

    def _can_send(self) -> bool:
        return chat_view(self._entries, self.panel.pulse).can_send and not (
            self.comparison is not None and not self.comparison.is_done)

    def _ask(self, text: str, temperature: float | None) -> None:
        options = {TEMPERATURE.key: temperature} if temperature is not None else None
        self._asked_at = time.time()
        self.panel.ask(lambda: self.panel.store.playground.ask(text, options=options), self._asked)

    def _asked(self, question_id: int) -> None:
        if self.comparison is not None and not self.comparison.is_done:
            self.comparison = replace(self.comparison, question_id=question_id)
        self._polled_at = 0.0

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
        first_id = comparison.question_id
        self.comparison = replace(comparison, first=answer, question_id=0)
        self.panel.ask(lambda: self.panel.store.playground.withdraw(first_id),
                       lambda _: self._ask(comparison.text, comparison.temperatures[1]))

    def regenerate(self) -> None:
        """The last question again, without the answer it got."""
        question = next((e for e in reversed(self._entries) if e.role == "owner"), None)
        if question is None:
            return
        self.comparison = None
        self._hide_details()
        store = self.panel.store.playground

        def again() -> int:
            store.withdraw(question.id)
            return store.ask(question.text, options=question.options)

        self.panel.ask(again, self._asked)

    def _clear(self) -> None:
        self.comparison = None
        self._hide_details()
        self.panel.ask(self.panel.store.playground.clear, lambda _: self._asked(0))

    def _compare_flipped(self) -> None:
        (self.pair.grid if self.compare.value else self.pair.grid_remove)()

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
        self.send_button.set_enabled(self._can_send())
        if lines != self._lines:
            is_at_end = self.area.canvas.yview()[1] > 0.98 or len(lines) > len(self._lines)
            self._lines = lines
            self._draw_lines(lines)
            if is_at_end:
                self.area.inner.update_idletasks()
                self.area.canvas.configure(scrollregion=(0, 0, 1, self.area.inner.winfo_reqheight()))
                self.area.canvas.yview_moveto(1.0)

    def _with_comparison(self, view: ChatView) -> tuple[ChatLine, ...]:
        comparison = self.comparison
        if comparison is None:
            return view.lines
        # The comparison stands in for the question under way and for its answer.
        ours = {comparison.question_id, -comparison.question_id} | {
            answer.id for answer in (comparison.first, comparison.second) if answer is not None}
        if comparison.question_id:
            ours |= {e.id for e in self._entries if e.answers_id == comparison.question_id}
        kept = tuple(line for line in view.lines if line.id not in ours)
        question = ChatLine(10 ** 15, True, comparison.text)
        return (*kept, question, *comparison.lines(time.time(), self._asked_at))

    def _draw_lines(self, lines: tuple[ChatLine, ...]) -> None:
        wanted = {line.id for line in lines}
        for gone in self._bubbles.keys() - wanted:
            self._bubbles.pop(gone).destroy()
        last = lines[-1].id if lines else None
        row = 0
        for line in lines:
            bubble = self._bubbles.get(line.id)
            if bubble is None:
                bubble = self._bubbles[line.id] = Bubble(self.area.inner, self.panel, line, self._show_details,
                                                         self.regenerate, self._width())
            bubble.show(line, is_last=line.id == last and self.comparison is None)
            is_right = line.column == 1
            bubble.grid(row=row - is_right, column=max(line.column, 0), columnspan=2 if line.column < 0 else 1,
                        sticky="new", pady=(M if row == 0 else 0, S))
            row += not is_right

    def _width(self) -> int:
        return max(220, int(self.area.canvas.winfo_width() / self.theme.scale * 0.74))

    def _wrap_bubbles(self) -> None:
        for bubble in self._bubbles.values():
            bubble.wrap(self._width())

    def _show_notice(self, view: ChatView) -> None:
        if view.notice and not view.is_stopped:
            self.notice.show(view.notice)
            self.notice.grid()
        else:
            self.notice.grid_remove()

    def _show_details(self, entry_id: int) -> None:
        pool = [*self._entries, *(a for a in (self.comparison.first, self.comparison.second)
                                  if a is not None)] if self.comparison else self._entries
        entry = next((e for e in pool if e.id == entry_id), None)
        if entry is None or self._details_of == entry_id:
            self._hide_details()
            return
        self._details_of = entry_id
        self.details.show(details_view(entry))
        self.details.grid(row=1, column=1, rowspan=2, sticky="nsew", padx=(self.theme.px(M), 0))

    def _hide_details(self) -> None:
        self._details_of = None
        self.details.grid_remove()


class Bubble(Row):
    """One line of the chat with its small print."""

    def __init__(self, master: Any, panel: Panel, line: ChatLine, details: Callable[[int], Any],
                 regenerate: Callable[[], Any], width: int) -> None:
        super().__init__(master)
        self._panel, self._line = panel, line
        theme = panel.theme
        self.grid_columnconfigure(0, weight=1)
        fill = "accent_soft" if line.is_own else "bad_soft" if line.is_error else "hover"
        side = "e" if line.is_own else "w"
        self.label = Text(self, "", role="caption_strong", colour="accent_text")
        self._sheet = Sheet(self, fill=fill, border="")
        self._sheet.grid(row=1, column=0, sticky=side)
        self.words = Text(self._sheet)
        self.words.grid(row=0, column=0, padx=theme.px(14), pady=theme.px(8))
        self.wrap(width)
        self.words.bind("<Button-3>", self._copy)
        self._foot = Row(self)
        if not line.is_own:
            self._foot.grid(row=2, column=0, sticky=side, pady=(2, 0))
        self.stats = Text(self._foot, "", role="caption", colour="faint")
        self.stats.grid(row=0, column=0, padx=(4, S))
        self._links: list[Link] = []
        if not line.is_own:
            self._links = [Link(self._foot, texts.CHAT_DETAILS, lambda: details(self._line.id)),
                           Link(self._foot, texts.CHAT_REGENERATE, regenerate)]

    def show(self, line: ChatLine, *, is_last: bool) -> None:
        self._line = line
        self.words.show(line.text, colour="faint" if line.is_waiting else "text")
        self.stats.show(line.stats)
        if line.label:
            self.label.show(line.label)
            self.label.grid(row=0, column=0, sticky="w", padx=4)
        if not line.is_own:
            is_reply = not line.is_waiting and not line.is_error
            (self._links[0].grid(row=0, column=1, padx=(0, S)) if is_reply else self._links[0].grid_remove())
            (self._links[1].grid(row=0, column=2) if is_last and not line.is_waiting else self._links[1].grid_remove())

    def wrap(self, width: int) -> None:
        wide = width if self._line.column < 0 else round(width * 0.55)
        self.words.configure(wraplength=self._panel.theme.px(wide))

    def _copy(self, _: object) -> None:
        self.clipboard_clear()
        self.clipboard_append(self._line.text)


class Link(Text):
    """Words that can be clicked or pressed."""

    def __init__(self, master: Any, text: str, command: Callable[[], Any]) -> None:
        super().__init__(master, text, role="caption_strong", colour="accent_text", takefocus=1, cursor="hand2")
        for sequence in ("<ButtonRelease-1>", "<Return>", "<space>"):
            self.bind(sequence, lambda _: command())
        underlined = {"<FocusIn>": True, "<FocusOut>": False, "<Enter>": True, "<Leave>": False}
        for sequence, is_on in underlined.items():
            self.bind(sequence, partial(self._emphasise, is_on), add="+")

    def _emphasise(self, is_on: bool, _: object) -> None:
        self.configure(fg=self._panel_theme().now("accent" if is_on else "accent_text"))

    def _panel_theme(self) -> Any:
        return self.nametowidget(".").theme


class TemperaturePair(Row):
    """Two small fields: the temperatures to compare."""

    def __init__(self, master: Any) -> None:
        super().__init__(master)
        self.fields = []
        for column, value in enumerate(FIRST_PAIR):
            field = Field(self, width=56)
            field.set_text(f"{value:g}")
            field.grid(row=0, column=column * 2, padx=(0, XS))
            field.bind("<FocusOut>", partial(self._settle, field, value))
            self.fields.append(field)
        Text(self, "/", colour="faint").grid(row=0, column=1, padx=(0, XS))

    @property
    def values(self) -> tuple[float, float]:
        """Both temperatures; what cannot be read falls back to the first offer."""
        found = []
        for field, standard in zip(self.fields, FIRST_PAIR, strict=True):
            try:
                found.append(TEMPERATURE.parse(field.get().replace(",", ".")))
            except Exception:  # any typed nonsense
                found.append(standard)
        return found[0], found[1]

    def _settle(self, field: Field, standard: float, _: object) -> None:
        value = self.values[self.fields.index(field)]
        field.set_text(f"{value if field.get().strip() else standard:g}")


class DetailsCard(Card):
    """Timing, recalled lines and the prompt of one reply."""

    def __init__(self, master: Any, panel: Panel, close: Callable[[], Any]) -> None:
        super().__init__(master, texts.DETAILS_TITLE, pad=14)
        assert self.header is not None
        theme = panel.theme
        Button(self.header, "", close, kind="quiet", icon="close", height=28).grid(row=0, column=3)
        body = self.body
        self.configure(width=theme.px(290))
        body.grid_columnconfigure(0, weight=1, minsize=theme.px(250))
        body.grid_rowconfigure(5, weight=1)
        self.timing = Row(body)
        self.timing.grid(row=0, column=0, sticky="ew")
        self.timing.grid_columnconfigure(0, weight=1)
        Line(body).grid(row=1, column=0, sticky="ew", pady=M)
        Text(body, texts.DETAILS_RECALLED, role="strong").grid(row=2, column=0, sticky="w")
        self.recalled = Text(body, "", role="small", colour="muted", wrap=True)
        self.recalled.grid(row=3, column=0, sticky="ew", pady=(XS, M))
        Text(body, texts.DETAILS_PROMPT, role="strong").grid(row=4, column=0, sticky="w")
        self.prompt = tk.Text(body, width=30, height=6, wrap="word", font=theme.fonts["caption"], bd=0,
                              state="disabled", highlightthickness=1, padx=8, pady=6)
        self.prompt.grid(row=5, column=0, sticky="nsew", pady=(XS, 0))
        theme.follow(self.prompt, lambda: self.prompt.configure(
            bg=theme.now("field"), fg=theme.now("muted"), highlightbackground=theme.now("border"),
            highlightcolor=theme.now("accent"), selectbackground=theme.now("accent_soft"),
            selectforeground=theme.now("text")))

    def show(self, view: DetailsView) -> None:
        for child in self.timing.winfo_children():
            child.destroy()
        for row, (label, value) in enumerate(view.timing):
            Text(self.timing, label, role="small", colour="muted").grid(row=row, column=0, sticky="w")
            Text(self.timing, value, role="small").grid(row=row, column=1, sticky="e")
        self.recalled.show("\n".join(f"{name}: {text}" for name, text in view.recalled) or texts.DETAILS_NO_RECALL)
        self.prompt.configure(state="normal")
        self.prompt.delete("1.0", "end")
        self.prompt.insert("1.0", view.prompt)
        self.prompt.configure(state="disabled")
