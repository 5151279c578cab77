"""A list with columns drawn on one canvas: only what is visible exists, so ten thousand rows cost nothing."""

from __future__ import annotations

import tkinter as tk
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from gui.components import icons
from gui.components.shapes import ThinBar
from gui.components.theme import surface_of, theme_of
from gui.presenters.table import Cell, Column, TableRow

ROW_HEIGHT = 34
HEADER_HEIGHT = 28
# Kinds of columns that a click, or Space, flips.
FLIPPED = ("switch", "tick")


class Table(tk.Frame):
    """Rows of text, switches and bars. Arrow keys move, Space flips a switch, Enter opens a row.

    on_switch(row key, column key, new value); on_open(row key, x, y) for Enter, double and right click.
    """

    def __init__(
        self,
        master: Any,
        columns: Sequence[Column],
        *,
        rows_shown: int = 0,
        on_switch: Callable[[Any, str, bool], Any] | None = None,
        on_open: Callable[[Any, int, int], Any] | None = None,
        empty_text: str = "",
    ) -> None:
        super().__init__(master, bd=0, highlightthickness=0)
        self.surface = surface_of(master)
        self.columns, self.empty_text = tuple(columns), empty_text
        self._on_switch, self._on_open = on_switch, on_open
        self._rows: tuple[TableRow, ...] = ()
        self._rows_shown = rows_shown
        self._top = 0
        # Space turns a switch first; the ticks before it are an arrow away.
        flipped = [column.kind for column in self.columns if column.kind in FLIPPED]
        self._current = (-1, flipped.index("switch") if "switch" in flipped else 0)
        self._hover = -1
        self._cuts: dict[tuple[str, str, int], str] = {}
        theme = theme_of(self)
        self.grid_columnconfigure(0, weight=1)
        self.grid_rowconfigure(0, weight=1)
        self.canvas = tk.Canvas(
            self,
            bd=0,
            highlightthickness=0,
            takefocus=1,
            width=10,
            height=theme.px(HEADER_HEIGHT + ROW_HEIGHT * max(rows_shown, 1)),
        )
        self.canvas.grid(row=0, column=0, sticky="nsew")
        self.bar = ThinBar(self, self._bar_moved)
        self._connect()
        theme.follow(self, self._repaint)

    # ---- content ---------------------------------------------------------------------------------

    def show(self, rows: Sequence[TableRow]) -> None:
        """Other rows; position and current row stay where possible."""
        rows = tuple(rows)
        if rows == self._rows:
            return
        self._rows = rows
        self._clamp()
        if self._rows_shown == 0:
            theme = theme_of(self)
            self.canvas.configure(height=theme.px(HEADER_HEIGHT + ROW_HEIGHT * max(len(rows), 1)))
        self._repaint()

    def scroll_by(self, pixels: int) -> bool:
        """Move by about so many pixels; False at the end."""
        before = self._top
        self._top += 2 if pixels > 0 else -2
        self._clamp()
        if before != self._top:
            self._repaint()
        return before != self._top

    @property
    def rows(self) -> tuple[TableRow, ...]:
        """What is in the list."""
        return self._rows

    def row_at(self, key: Any) -> tuple[int, int] | None:
        """Middle of a visible row in canvas coordinates, for tests and menus."""
        theme = theme_of(self)
        for number, row in enumerate(self._rows):
            if row.key == key and self._top <= number < self._top + self._visible():
                return theme.px(20), theme.px(HEADER_HEIGHT) + int((number - self._top + 0.5) * theme.px(ROW_HEIGHT))
        return None

    def column_x(self, key: str) -> int:
        """Middle of a column in canvas coordinates."""
        for column, left, right in self._spans():
            if column.key == key:
                return (left + right) // 2
        raise KeyError(key)

    # ---- geometry --------------------------------------------------------------------------------

    def _visible(self) -> int:
        theme = theme_of(self)
        return max(1, (self.canvas.winfo_height() - theme.px(HEADER_HEIGHT)) // theme.px(ROW_HEIGHT))

    def _clamp(self) -> None:
        self._top = max(0, min(self._top, len(self._rows) - self._visible()))

    def _spans(self) -> list[tuple[Column, int, int]]:
        theme = theme_of(self)
        width = self.canvas.winfo_width()
        columns = [c for c in self.columns if not c.min_total or width >= theme.px(c.min_total)]
        fixed = sum(theme.px(c.width) for c in columns if not c.stretch)
        stretch = sum(c.stretch for c in columns) or 1
        spans, left = [], 0
        for column in columns:
            wide = (
                theme.px(column.width)
                if not column.stretch
                else max(int((width - fixed) * column.stretch / stretch), theme.px(40))
            )
            spans.append((column, left, left + wide))
            left += wide
        return spans

    # ---- drawing ---------------------------------------------------------------------------------

    def _repaint(self) -> None:
        theme, canvas = theme_of(self), self.canvas
        ground = theme.now(self.surface)
        self.configure(bg=ground)
        canvas.configure(bg=ground)
        canvas.delete("all")
        if canvas.winfo_width() < 40:
            return
        spans = self._spans()
        header = theme.px(HEADER_HEIGHT)
        for column, left, right in spans:
            self._place(column, left, right, header / 2 - theme.px(2), column.title, "caption", "faint")
        width = canvas.winfo_width()
        canvas.create_line(0, header - 0.5, width, header - 0.5, fill=theme.now("border"))
        if not self._rows:
            canvas.create_text(
                width / 2,
                header + (canvas.winfo_height() - header) / 2,
                text=self.empty_text,
                fill=theme.now("faint"),
                font=theme.fonts["small"],
                width=width - 40,
                justify="center",
            )
        visible = self._visible()
        for number in range(self._top, min(self._top + visible, len(self._rows))):
            self._draw_row(number, spans, header + (number - self._top) * theme.px(ROW_HEIGHT))
        self._draw_bar(visible)

    def _draw_row(self, number: int, spans: Sequence[tuple[Column, int, int]], top: float) -> None:
        theme, canvas, row = theme_of(self), self.canvas, self._rows[number]
        height = theme.px(ROW_HEIGHT)
        has_focus = canvas.focus_get() is canvas
        ground = theme.now(self.surface)
        if number == self._hover or (has_focus and number == self._current[0]):
            ground = theme.now("hover")
            canvas.create_rectangle(0, top, canvas.winfo_width(), top + height, width=0, fill=theme.now("hover"))
        elif number + 1 < len(self._rows):
            canvas.create_line(0, top + height - 0.5, canvas.winfo_width(), top + height - 0.5, fill=theme.now("hover"))
        cells = dict(zip((c.key for c in self.columns), row.cells, strict=False))
        for column, left, right in spans:
            cell = cells.get(column.key, Cell())
            middle = top + height / 2
            if column.kind in FLIPPED:
                draw = self._draw_switch if column.kind == "switch" else self._draw_tick
                draw(cell, (left + right) // 2, middle, ground)
                if has_focus and number == self._current[0] and column.key == self._switch_key():
                    canvas.create_rectangle(
                        (left + right) // 2 - theme.px(20),
                        middle - theme.px(12),
                        (left + right) // 2 + theme.px(20),
                        middle + theme.px(12),
                        outline=theme.now("accent"),
                    )
            elif column.kind == "bar":
                self._draw_share(cell, left, right, middle)
            else:
                role = "strong" if column.kind == "strong" else "small" if column.kind == "small" else "body"
                self._place(column, left, right, middle, cell.text, role, cell.tone or column.tone)

    def _place(self, column: Column, left: int, right: int, y: float, text: str, role: str, tone: str) -> None:
        theme = theme_of(self)
        room = right - left - theme.px(12)
        shown = self._cut(text, role, room)
        if column.align == "right":
            self.canvas.create_text(
                right - theme.px(12), y, text=shown, anchor="e", fill=theme.now(tone), font=theme.fonts[role]
            )
        elif column.align == "centre":
            self.canvas.create_text(
                (left + right) / 2, y, text=shown, anchor="center", fill=theme.now(tone), font=theme.fonts[role]
            )
        else:
            self.canvas.create_text(
                left + theme.px(4), y, text=shown, anchor="w", fill=theme.now(tone), font=theme.fonts[role]
            )

    def _draw_switch(self, cell: Cell, x: float, y: float, ground: str) -> None:
        if cell.value is None:
            return
        theme = theme_of(self)
        picture = icons.switch(
            self,
            is_on=bool(cell.value),
            is_enabled=cell.is_enabled,
            track=theme.now("accent" if cell.value else "track"),
            knob=theme.now("switch_knob"),
            ground=ground,
            width=theme.px(38),
            height=theme.px(22),
        )
        self.canvas.create_image(x, y, image=picture)

    def _draw_tick(self, cell: Cell, x: float, y: float, ground: str) -> None:
        if cell.value is None:
            return
        theme, canvas = theme_of(self), self.canvas
        half = theme.px(8)
        colour = "accent" if cell.value else "faint" if cell.is_enabled else "disabled"
        canvas.create_rectangle(
            x - half,
            y - half,
            x + half,
            y + half,
            outline=theme.now(colour),
            fill=theme.now("accent") if cell.value else ground,
        )
        if cell.value:
            canvas.create_image(x, y, image=icons.photo(self, "check", theme.now("on_accent"), theme.px(14)))

    def _draw_share(self, cell: Cell, left: int, right: int, y: float) -> None:
        theme = theme_of(self)
        number_width = theme.px(52)
        x0, x1 = left + theme.px(4), right - theme.px(12) - number_width
        half = theme.px(4)
        share = min(max(float(cell.value or 0.0), 0.0), 1.0)
        self.canvas.create_rectangle(x0, y - half, x1, y + half, width=0, fill=theme.now("hover"))
        if share:
            self.canvas.create_rectangle(
                x0,
                y - half,
                max(x0 + 2, x0 + share * (x1 - x0)),
                y + half,
                width=0,
                fill=theme.now(cell.tone or "accent"),
            )
        if cell.mark is not None:
            x = x0 + cell.mark * (x1 - x0)
            self.canvas.create_line(x, y - half - 3, x, y + half + 3, fill=theme.now("busy"), width=1)
        self.canvas.create_text(
            right - theme.px(12), y, text=cell.text, anchor="e", fill=theme.now("muted"), font=theme.fonts["small"]
        )

    def _draw_bar(self, visible: int) -> None:
        if len(self._rows) <= visible:
            self.bar.grid_remove()
            return
        self.bar.grid(row=0, column=1, sticky="ns")
        self.bar.set(self._top / len(self._rows), (self._top + visible) / len(self._rows))

    def _cut(self, text: str, role: str, room: int) -> str:
        key = (text, role, room)
        if key not in self._cuts:
            if len(self._cuts) > 4000:
                self._cuts.clear()
            self._cuts[key] = _shorten(text.replace("\n", " ⏎ "), theme_of(self).fonts[role].measure, room)
        return self._cuts[key]

    # ---- hands -----------------------------------------------------------------------------------

    def _connect(self) -> None:
        canvas = self.canvas
        canvas.bind("<Configure>", lambda _: (self._clamp(), self._repaint()))
        canvas.bind("<Motion>", self._moved)
        canvas.bind("<Leave>", lambda _: self._hover_on(-1))
        canvas.bind("<Button-1>", self._pressed)
        canvas.bind("<ButtonRelease-1>", self._released)
        canvas.bind("<Double-Button-1>", lambda event: self._open(event.x_root, event.y_root))
        for button in ("<Button-2>", "<Button-3>"):
            canvas.bind(button, lambda event: (self._pressed(event), self._open(event.x_root, event.y_root)))
        for key, step in (("<Up>", -1), ("<Down>", 1), ("<Prior>", -10), ("<Next>", 10)):
            canvas.bind(key, partial(self._step, step))
        for key, step in (("<Left>", -1), ("<Right>", 1)):
            canvas.bind(key, partial(self._sideways, step))
        canvas.bind("<space>", lambda _: self._flip(self._current[0], self._switch_key()))
        canvas.bind("<Return>", lambda _: self._open(canvas.winfo_rootx() + 40, canvas.winfo_rooty() + 60))
        for event in ("<FocusIn>", "<FocusOut>"):
            canvas.bind(event, self._focus_changed, add="+")

    def _focus_changed(self, _: object) -> None:
        if self._current[0] < 0 and self._rows:
            self._current = (self._top, self._current[1])
        self._repaint()

    def _number_at(self, y: int) -> int:
        theme = theme_of(self)
        number = self._top + (y - theme.px(HEADER_HEIGHT)) // theme.px(ROW_HEIGHT)
        return int(number) if y >= theme.px(HEADER_HEIGHT) and 0 <= number < len(self._rows) else -1

    def _moved(self, event: tk.Event[tk.Misc]) -> None:
        self._hover_on(self._number_at(event.y))

    def _hover_on(self, number: int) -> None:
        if number != self._hover:
            self._hover = number
            self._repaint()

    def _pressed(self, event: tk.Event[tk.Misc]) -> None:
        self.canvas.focus_set()
        number = self._number_at(event.y)
        if number >= 0:
            self._current = (number, self._current[1])
            self._repaint()

    def _released(self, event: tk.Event[tk.Misc]) -> None:
        number = self._number_at(event.y)
        for column, left, right in self._spans():
            if number < 0 or not left <= event.x < right:
                continue
            if column.kind in FLIPPED:
                self._flip(number, column.key)
            elif column.kind == "menu":
                self._open(event.x_root, event.y_root)

    def _switches(self) -> list[str]:
        return [column.key for column, _, _ in self._spans() if column.kind in FLIPPED]

    def _switch_key(self) -> str:
        keys = self._switches()
        return keys[min(self._current[1], len(keys) - 1)] if keys else ""

    def _sideways(self, step: int, _: object) -> str:
        keys = self._switches()
        self._current = (self._current[0], min(max(self._current[1] + step, 0), max(len(keys) - 1, 0)))
        self._repaint()
        return "break"

    def _step(self, step: int, _: object) -> str:
        number = min(max(self._current[0] + step, 0), len(self._rows) - 1)
        self._current = (number, self._current[1])
        if number < self._top:
            self._top = number
        elif number >= self._top + self._visible():
            self._top = number - self._visible() + 1
        self._clamp()
        self._repaint()
        return "break"

    def _flip(self, number: int, key: str) -> str:
        if 0 <= number < len(self._rows) and key and self._on_switch is not None:
            cells = dict(zip((c.key for c in self.columns), self._rows[number].cells, strict=False))
            cell = cells.get(key)
            if cell is not None and cell.value is not None and cell.is_enabled:
                self._on_switch(self._rows[number].key, key, not cell.value)
        return "break"

    def _bar_moved(self, action: str, value: str, *_: str) -> None:
        if action == "moveto":
            self._top = round(float(value) * len(self._rows))
        else:
            self._top += int(float(value)) * 3
        self._clamp()
        self._repaint()

    def _open(self, x: int, y: int) -> None:
        if self._on_open is not None and 0 <= self._current[0] < len(self._rows):
            self._on_open(self._rows[self._current[0]].key, x, y)


def _shorten(text: str, measure: Callable[[str], int], room: int) -> str:
    if room <= 0:
        return ""
    if measure(text) <= room:
        return text
    low, high = 0, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        if measure(text[:middle].rstrip() + "…") <= room:
            low = middle
        else:
            high = middle - 1
    return text[:low].rstrip() + "…"
