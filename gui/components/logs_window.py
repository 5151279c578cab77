"""The logs: live, coloured, searchable; a reader further up is left in peace."""

from __future__ import annotations

import tkinter as tk
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from tkinter import filedialog
from typing import Any

from gui import texts
from gui.components.basics import Card, RowFrame, Text
from gui.components.button import Button
from gui.components.choices import Choice
from gui.components.inputs import Field, Switch
from gui.components.room import M, Panel, Room, S
from gui.components.shapes import ThinBar
from gui.components.tooltip import Tooltip
from gui.presenters import format as words
from gui.presenters.logs import MOST_LINES, LogBook, LogFilter, LogRow, file_label, order_files, pieces
from storage.logs import LogTail

# Lines put into the widget per frame: 300 take about 5 ms, and 25 frames a second carry 7,500 lines.
LINES_PER_FRAME = 300
SEARCH_DELAY_MS = 180


class LogsRoom(Room):
    """One file at a time, the bot's by default."""

    key, title, scrolls = "logs", texts.LOGS, False

    def __init__(self, master: Any, panel: Panel) -> None:
        super().__init__(master, panel)
        self._stem = "bot"
        self._tail = LogTail(self._path("bot"))
        self.book = LogBook()
        self.filter = LogFilter()
        self._newer: deque[LogRow] = deque()
        self._older: list[LogRow] = []
        self._is_reading = False
        self._shown = 0
        self._typed: str | None = None
        # Changed by the reader's own scrolling only: new lines and layout move the view too.
        self._is_at_end = True

    def _path(self, stem: str) -> Path:
        return self.panel.workspace.logs / f"{stem}.log"

    def build(self) -> Iterator[None]:
        """Called once, before the room is first shown; each `yield` lets the window breathe."""
        page = self.page
        page.grid_rowconfigure(1, weight=1)
        bar = RowFrame(page)
        bar.grid(row=0, column=0, sticky="ew", pady=(0, self.theme.px(M)))
        bar.grid_columnconfigure(3, weight=1)
        self.files = Choice(bar, ["bot"], self._open, labels={"bot": file_label("bot")}, width=130)
        self.files.grid(row=0, column=0, padx=(0, S))
        self.level = Choice(bar, list(texts.LOG_LEVELS), self._set_level, labels=texts.LOG_LEVELS, width=170)
        self.level.grid(row=0, column=1, padx=(0, S))
        yield
        self.search = Field(bar, placeholder=texts.LOG_SEARCH, width=190)
        self.search.grid(row=0, column=2, padx=(0, S))
        self.search.bind("<KeyRelease>", lambda _: self._search_soon())
        self.search.bind("<Escape>", lambda _: self._clear_search())
        self.follow = Switch(bar, texts.LOG_FOLLOW, lambda _: self._follow_changed(), value=True)
        self.follow.grid(row=0, column=3, sticky="e", padx=S)
        Tooltip(self.follow, texts.LOG_FOLLOW_TIP)
        yield
        self.export = Button(self.tools, texts.LOG_EXPORT, self._export, icon="upload")
        self.export.grid(row=0, column=0, padx=(0, S))
        self.clear = Button(self.tools, texts.LOG_CLEAR, self._clear, icon="trash", tip=texts.LOG_CLEAR_TIP)
        self.clear.grid(row=0, column=1)
        card = Card(page, pad=6)
        card.grid(row=1, column=0, sticky="nsew")
        card.body.grid_columnconfigure(0, weight=1)
        card.body.grid_rowconfigure(0, weight=1)
        self.jump = Button(card.body, texts.LOG_JUMP, self._jump, kind="primary", icon="chevron")
        self._make_text(card.body)
        tk.Misc.lift(self.jump)
        yield
        self.count = Text(page, "", role="small", colour="faint")
        self.count.grid(row=2, column=0, sticky="w", pady=(S, 0))
        self._show_note()
        yield

    def _make_text(self, master: Any) -> None:
        theme = self.theme
        self.text = tk.Text(
            master,
            bd=0,
            highlightthickness=0,
            wrap="none",
            font=theme.fonts["mono"],
            state="disabled",
            padx=theme.px(10),
            pady=theme.px(6),
            spacing1=1,
            spacing3=2,
            cursor="arrow",
            takefocus=1,
        )
        self.text.grid(row=0, column=0, sticky="nsew")
        bar = ThinBar(master, self._bar_moved)
        bar.grid(row=0, column=1, sticky="ns")
        across = ThinBar(master, self.text.xview, across=True)
        across.grid(row=1, column=0, sticky="ew")
        self.text.configure(
            yscrollcommand=lambda a, b: self._scrolled(bar, a, b),
            xscrollcommand=lambda a, b: _show_if_needed(across, a, b),
        )
        self.note = tk.Label(master, font=theme.fonts["body"], bd=0)
        for sequence in ("<MouseWheel>", "<Button-4>", "<Button-5>", "<KeyRelease>"):
            self.text.bind(sequence, lambda _: self.after_idle(self._look_where), add="+")
        theme.follow(self.text, self._paint)

    def _paint(self) -> None:
        theme = self.theme
        self.text.configure(
            bg=theme.now("card"),
            fg=theme.now("text"),
            selectbackground=theme.now("accent_soft"),
            selectforeground=theme.now("text"),
            inactiveselectbackground=theme.now("accent_soft"),
        )
        self.note.configure(bg=theme.now("card"), fg=theme.now("faint"))
        colours = {
            "time": "faint",
            "source": "faint",
            "level_idle": "faint",
            "text_idle": "muted",
            "level_plain": "muted",
            "text_plain": "text",
            "level_busy": "busy",
            "text_busy": "busy",
            "level_bad": "bad",
            "text_bad": "bad",
        }
        for tag, colour in colours.items():
            self.text.tag_configure(tag, foreground=theme.now(colour))
        self.text.tag_raise("sel")

    # ---- reading ---------------------------------------------------------------------------------

    def shown(self) -> None:
        """Called each time the owner comes here: there may be new files."""
        self.panel.ask(
            lambda: order_files({path.stem for path in self.panel.workspace.logs.glob("*.log")} | {"bot"}),
            lambda stems: self.files.set_values(stems, {stem: file_label(stem) for stem in stems}),
        )

    def frame(self) -> None:
        """Several times a second while visible: read on, and put a bounded number of lines up."""
        if not self._is_reading and len(self._newer) < 4 * LINES_PER_FRAME:
            self._is_reading = True
            tail, book = self._tail, self.book
            self.panel.ask(lambda: book.add(tail.read()), self._arrived, failed=lambda _: self._arrived([]))
        self._put_lines()

    def _arrived(self, rows: list[LogRow]) -> None:
        self._is_reading = False
        self._newer.extend(row for row in rows if self.filter.keeps(row))
        if rows:
            self._show_note()

    def _put_lines(self) -> None:
        if self._newer:
            batch = [self._newer.popleft() for _ in range(min(LINES_PER_FRAME, len(self._newer)))]
            self._insert("end", batch)
            self._trim()
            if self.follow.value and self._is_at_end:
                self.text.see("end")
        elif self._older:
            batch, self._older = self._older[-LINES_PER_FRAME:], self._older[:-LINES_PER_FRAME]
            self._insert("1.0", batch)
        else:
            return
        self._show_note()

    def _insert(self, where: str, rows: list[LogRow]) -> None:
        if not rows:
            return
        self.text.configure(state="normal")
        self.text.insert(where, *pieces(rows))
        self.text.configure(state="disabled")
        self._shown += len(rows)

    def _trim(self) -> None:
        extra = self._shown - MOST_LINES
        if extra > 0:
            self.text.configure(state="normal")
            self.text.delete("1.0", f"{extra + 1}.0")
            self.text.configure(state="disabled")
            self._shown -= extra

    def _refill(self) -> None:
        """After another filter: the newest lines at once, older ones frame by frame above them."""
        self.text.configure(state="normal")
        self.text.delete("1.0", "end")
        self.text.configure(state="disabled")
        self._shown = 0
        self._newer.clear()
        rows = self.book.matching(self.filter)
        self._older, newest = rows[:-LINES_PER_FRAME], rows[-LINES_PER_FRAME:]
        self._insert("end", newest)
        self._to_end()
        self._show_note()

    def _bar_moved(self, *arguments: str) -> None:
        self.text.yview(*arguments)
        self._look_where()

    def _look_where(self) -> None:
        self._is_at_end = self.text.yview()[1] >= 0.9999

    def _to_end(self) -> None:
        self._is_at_end = True
        self.text.see("end")

    def _show_note(self) -> None:
        total = self._shown + len(self._newer) + len(self._older)
        self.count.show(self.book.summary(total))
        if total:
            self.note.place_forget()
            return
        name = file_label(self._stem)
        self.note.configure(text=texts.LOG_NO_MATCH if self.book.rows else texts.LOG_EMPTY.format(name=name.lower()))
        self.note.place(relx=0.5, rely=0.45, anchor="center")

    def _scrolled(self, bar: ThinBar, first: float, last: float) -> None:
        _show_if_needed(bar, first, last)
        if float(last) >= 0.9999 or not self._shown:
            self.jump.place_forget()
        else:
            self.jump.place(relx=0.5, rely=1.0, y=-22, anchor="s")

    # ---- hands -----------------------------------------------------------------------------------

    def find(self) -> str:
        """Called by Ctrl+F: the search field, with what is in it marked."""
        self.search.focus()
        self.search.select_all()
        return "break"

    def _open(self, stem: str) -> None:
        self._stem, self._tail, self.book = stem, LogTail(self._path(stem)), LogBook()
        self._is_reading = False
        self._refill()

    def _set_level(self, level: str) -> None:
        self.filter = LogFilter(level, self.filter.search)
        self._refill()

    def _search_soon(self) -> None:
        if self._typed is not None:
            self.after_cancel(self._typed)
        self._typed = self.after(SEARCH_DELAY_MS, self._search)

    def _search(self) -> None:
        self._typed = None
        wanted = self.search.get().strip()
        if wanted != self.filter.search:
            self.filter = LogFilter(self.filter.level, wanted)
            self._refill()

    def _clear_search(self) -> None:
        self.search.set_text("")
        self._search()

    def _follow_changed(self) -> None:
        if self.follow.value:
            self._to_end()

    def _jump(self) -> None:
        self.follow.set_value(True)
        self._to_end()

    def _clear(self) -> None:
        self.book.clear()
        self._older = []
        self._refill()

    def _export(self) -> None:
        name = filedialog.asksaveasfilename(
            parent=self.panel.root,
            title=texts.LOG_EXPORT_TITLE,
            defaultextension=".log",
            initialfile=f"{self._stem}-export.log",
        )
        if name:
            self.export_to(Path(name))

    def export_to(self, path: Path) -> None:
        """Write the shown lines to a file."""
        rows = self.book.matching(self.filter)
        text = "".join(row.raw + "\n" for row in rows)
        self.panel.ask(
            lambda: path.write_text(text, encoding="utf-8"),
            lambda _: self.panel.toast(
                texts.LOG_EXPORTED.format(count=words.plural(len(rows), "line"), name=path.name), tone="good"
            ),
        )


def _show_if_needed(bar: ThinBar, first: float, last: float) -> None:
    bar.set(first, last)
    (bar.grid if bar.is_needed else bar.grid_remove)()
