"""What stands beside the feed of Live: why a line is there, what can be said about a reply, what was taught."""

from __future__ import annotations

import tkinter as tk
from collections.abc import Callable
from typing import Any

from gui import texts
from gui.components.basics import Card, Hairline, RowFrame, Text
from gui.components.button import Button
from gui.components.chat_parts import Link
from gui.components.room import M, Panel, S, spread
from gui.components.shapes import Sheet
from gui.components.theme import RADIUS, XS
from gui.presenters.live import DraftView, WhyView, taught_line
from storage.teaching import TaughtCounts

WIDTH = 286


class DraftStrip(Sheet):
    """The reply being written, as it grows, and its stop."""

    def __init__(self, master: Any, panel: Panel, stop: Callable[[int], Any]) -> None:
        super().__init__(master, fill="accent_soft", border="", radius=RADIUS)
        theme = panel.theme
        self._stop, self.view = stop, DraftView(0, "", "")
        self.grid_columnconfigure(0, weight=1)
        head = RowFrame(self)
        head.grid(row=0, column=0, sticky="w", padx=theme.px(M), pady=(theme.px(S), 0))
        Text(head, texts.LIVE_OWN, role="strong", colour="accent_text").grid(row=0, column=0, padx=(0, theme.px(S)))
        self.title = Text(head, "", role="caption", colour="muted")
        self.title.grid(row=0, column=1)
        self.words = Text(self, "", wrap=True)
        self.words.grid(row=1, column=0, sticky="ew", padx=theme.px(M), pady=(2, theme.px(S)))
        self.button = Button(self, texts.LIVE_STOP, self._pressed, icon="stop")
        self.button.grid(row=0, column=1, rowspan=2, padx=theme.px(M), pady=theme.px(S))

    def show(self, view: DraftView) -> None:
        """Show it as it is now."""
        if view.channel_id != self.view.channel_id:
            self.button.show(texts.LIVE_STOP)
            self.button.set_enabled(True)
        self.view = view
        self.title.show(view.title)
        self.words.show(f"{view.text}▌" if view.text else "▌")

    def gone(self) -> None:
        """Nothing is written any more."""
        self.view = DraftView(0, "", "")
        self.button.show(texts.LIVE_STOP)
        self.button.set_enabled(True)

    def _pressed(self) -> None:
        self.button.show(texts.LIVE_STOPPING)
        self.button.set_enabled(False)
        self._stop(self.view.channel_id)


class WhyCard(Card):
    """Why a line is there; for replies also what the owner thinks of them.

    hands: what the buttons do, by name: good, bad, delete (no argument) and better (the words).
    """

    def __init__(self, master: Any, panel: Panel, hands: dict[str, Callable[..., Any]]) -> None:
        super().__init__(master, texts.WHY_REPLY, pad=14)
        self._panel, self._hands = panel, hands
        theme, body = panel.theme, self.body
        body.grid_columnconfigure(0, weight=1)
        self.facts = RowFrame(body)
        self.facts.grid(row=0, column=0, sticky="ew")
        self.facts.grid_columnconfigure(1, weight=1)
        self._pairs: list[tuple[Text, Text]] = []
        self.line = Hairline(body)
        self.line.grid(row=1, column=0, sticky="ew", pady=theme.px(M))
        self.heading = Text(body, texts.WHY_REMEMBERED, role="caption", colour="muted")
        self.heading.grid(row=2, column=0, sticky="w")
        self.recalled = Text(body, "", role="small", wrap=True)
        self.recalled.grid(row=3, column=0, sticky="ew", pady=(XS, 0))
        self.note = Text(body, "", role="small", colour="muted", wrap=True)
        self.note.grid(row=4, column=0, sticky="ew", pady=(theme.px(S), 0))
        self._teach(theme)
        self.empty()

    def _teach(self, theme: Any) -> None:
        self.hands = RowFrame(self.body)
        self.hands.grid(row=5, column=0, sticky="ew", pady=(theme.px(M), 0))
        spread(self.hands, 2)
        self.good = Button(self.hands, texts.TEACH_GOOD, lambda: self._hands["good"](), icon="check")
        self.bad = Button(self.hands, texts.TEACH_BAD, lambda: self._hands["bad"](), icon="close")
        self.better = Button(self.hands, texts.TEACH_BETTER, self.open_editor)
        self.delete = Button(self.hands, texts.TEACH_DELETE, lambda: self._hands["delete"](), kind="danger")
        self.good.grid(row=0, column=0, sticky="ew", padx=(0, XS))
        self.bad.grid(row=0, column=1, sticky="ew", padx=(XS, 0))
        self.better.grid(row=1, column=0, columnspan=2, sticky="ew", pady=(S, 0))
        self.delete.grid(row=3, column=0, columnspan=2, sticky="ew", pady=(S, 0))
        self.editor = RowFrame(self.hands)
        self.editor.grid(row=2, column=0, columnspan=2, sticky="ew", pady=(S, 0))
        self.editor.grid_columnconfigure(0, weight=1)
        Text(self.editor, texts.TEACH_BETTER_HINT, role="caption", colour="muted").grid(row=0, column=0, sticky="w")
        self.words = tk.Text(
            self.editor,
            width=10,
            height=4,
            wrap="word",
            font=theme.fonts["body"],
            bd=0,
            highlightthickness=1,
            padx=8,
            pady=6,
            undo=True,
        )
        self.words.grid(row=1, column=0, sticky="ew", pady=(XS, S))
        self.words.bind("<Control-Return>", lambda _: self._save())
        self.words.bind("<Tab>", self._leave)
        theme.follow(
            self.words,
            lambda: self.words.configure(
                bg=theme.now("field"),
                fg=theme.now("text"),
                highlightbackground=theme.now("border"),
                highlightcolor=theme.now("accent"),
                insertbackground=theme.now("text"),
                selectbackground=theme.now("accent_soft"),
                selectforeground=theme.now("text"),
            ),
        )
        self.save = Button(self.editor, texts.TEACH_SAVE, self._save, kind="primary")
        self.save.grid(row=2, column=0, sticky="w")
        self.editor.grid_remove()
        self._said = ""

    def empty(self) -> None:
        """Nothing is chosen."""
        self._show_facts(())
        self.title.show(texts.WHY_REPLY)
        self.note.show(texts.LIVE_PICK)
        for part in (self.line, self.heading, self.recalled, self.hands):
            part.grid_remove()
        self.note.grid()

    def show(self, view: WhyView, *, said: str, teaches: bool, can_delete: bool, verdict: int, better: str) -> None:
        """One line. said: the reply's words, to begin with; verdict: 1 good, -1 bad, 0 nothing yet."""
        self.title.show(view.title)
        self._show_facts(tuple((fact.label, fact.value) for fact in view.facts))
        has_recall = view.recalled is not None
        for part in (self.line, self.heading, self.recalled):
            (part.grid if has_recall else part.grid_remove)()
        if has_recall:
            self.recalled.show("\n".join(view.recalled or ()) or texts.WHY_NOTHING)
        self.note.show(view.note or (texts.TEACH_KEYS if teaches else ""))
        (self.note.grid if self.note.cget("text") else self.note.grid_remove)()
        self._show_hands(teaches=teaches, can_delete=can_delete, can_rewrite=teaches, verdict=verdict)
        if (better or said) != self._said:
            self._said = better or said
            self._close_editor()

    def show_many(self, count: int, *, can_delete: bool) -> None:
        """Several replies: what is pressed goes for all of them."""
        self.title.show(texts.WHY_MANY.format(count=count))
        self._show_facts(())
        for part in (self.line, self.heading, self.recalled, self.note):
            part.grid_remove()
        self._show_hands(teaches=True, can_delete=can_delete, can_rewrite=False, verdict=0)

    def _show_hands(self, *, teaches: bool, can_delete: bool, can_rewrite: bool, verdict: int) -> None:
        self.good.set_kind("active" if verdict > 0 else "secondary")
        self.bad.set_kind("active" if verdict < 0 else "secondary")
        for button in (self.good, self.bad):
            button.set_shown(teaches)
        self.better.set_shown(can_rewrite)
        self.delete.set_shown(can_delete)
        if not can_rewrite:
            self._close_editor()
        (self.hands.grid if teaches or can_delete else self.hands.grid_remove)()

    def open_editor(self) -> None:
        """Write what it should have said, beginning with what it did say."""
        if not self.better.winfo_ismapped():
            return
        self.words.delete("1.0", "end")
        self.words.insert("1.0", self._said)
        self.editor.grid()
        self.words.focus_set()
        self.words.tag_add("sel", "1.0", "end-1c")

    def _close_editor(self) -> None:
        self.editor.grid_remove()

    def _leave(self, _: object) -> str:
        self.save.focus_set()
        return "break"

    def _save(self) -> str:
        words = self.words.get("1.0", "end-1c").strip()
        self._close_editor()
        if words:
            self._hands["better"](words)
        return "break"

    def _show_facts(self, facts: tuple[tuple[str, str], ...]) -> None:
        while len(self._pairs) < len(facts):
            row = len(self._pairs)
            label = Text(self.facts, "", role="small", colour="muted")
            value = Text(self.facts, "", role="small", wrap=True, anchor="e", justify="right")
            label.grid(row=row, column=0, sticky="nw", padx=(0, S), pady=2)
            value.grid(row=row, column=1, sticky="ew", pady=2)
            self._pairs.append((label, value))
        for number, (label, value) in enumerate(self._pairs):
            if number < len(facts):
                label.show(facts[number][0])
                value.show(facts[number][1])
                label.grid()
                value.grid()
            else:
                label.grid_remove()
                value.grid_remove()


class TaughtCard(Card):
    """How much was taught today, and the way to all of it."""

    def __init__(self, master: Any, panel: Panel) -> None:
        super().__init__(master, texts.TAUGHT_TODAY, pad=14)
        self.body.grid_columnconfigure(0, weight=1)
        self.counts = Text(self.body, "", role="strong", wrap=True)
        self.counts.grid(row=0, column=0, sticky="ew")
        self.help = Text(self.body, "", role="small", colour="muted", wrap=True)
        self.help.grid(row=1, column=0, sticky="ew", pady=(XS, S))
        self.see = Link(self.body, texts.TAUGHT_SEE, lambda: panel.go("taught"))
        self.see.grid(row=2, column=0, sticky="w")

    def show(self, counts: TaughtCounts) -> None:
        """Show it as it is now."""
        line = taught_line(counts)
        self.counts.show(line)
        (self.counts.grid if line else self.counts.grid_remove)()
        self.help.show(texts.TAUGHT_HELP if line else texts.TAUGHT_NOTHING)
