"""Rounded things drawn cheaply: four small corner pictures and plain rectangles on one canvas.

CustomTkinter draws each rounded frame from some twenty canvas items and a font (5-10 ms apiece, measured); this takes a
tenth of that, and its corners are smooth at any size.
"""

from __future__ import annotations

import tkinter as tk
from collections.abc import Callable
from typing import Any

from gui.components.theme import RADIUS, surface_of, theme_of

_OVERSAMPLE = 4


def draw_box(
    canvas: tk.Canvas, width: int, height: int, *, radius: int, fill: str, ground: str, border: str = "", line: int = 1
) -> None:
    """(Re)draw a rounded box over the whole canvas, below everything else on it. Colours are #rrggbb."""
    canvas.delete("box")
    if width < 2 or height < 2:
        return
    radius = min(radius, width // 2, height // 2)
    edge = border or fill
    canvas.create_rectangle(radius, 0, width - radius, height, width=0, fill=edge, tags="box")
    canvas.create_rectangle(0, radius, width, height - radius, width=0, fill=edge, tags="box")
    if border:
        canvas.create_rectangle(radius, line, width - radius, height - line, width=0, fill=fill, tags="box")
        canvas.create_rectangle(line, radius, width - line, height - radius, width=0, fill=fill, tags="box")
    pictures = corners(canvas, radius, fill, edge, ground, line)
    for picture, (x, y) in zip(
        pictures, ((0, 0), (width - radius, 0), (0, height - radius), (width - radius, height - radius)), strict=True
    ):
        canvas.create_image(x, y, image=picture, anchor="nw", tags="box")
    canvas.tag_lower("box")


def corners(owner: tk.Misc, radius: int, fill: str, border: str, ground: str, line: int) -> tuple[Any, ...]:
    """The four corners of a rounded box as pictures, made once for each combination."""
    root: Any = owner.nametowidget(".")
    kept: dict[Any, Any] = root.__dict__.setdefault("_kept_corners", {})
    key = (radius, fill, border, ground, line)
    if key not in kept:
        kept[key] = _make_corners(root, radius, fill, border, ground, line)
    return tuple(kept[key])


def _make_corners(root: Any, radius: int, fill: str, border: str, ground: str, line: int) -> tuple[Any, ...]:
    from PIL import Image, ImageDraw, ImageTk

    big = 2 * radius * _OVERSAMPLE
    disc = Image.new("RGB", (big, big), ground)
    draw = ImageDraw.Draw(disc)
    draw.ellipse([0, 0, big - 1, big - 1], fill=border)
    inset = line * _OVERSAMPLE
    if border != fill and big > 2 * inset:
        draw.ellipse([inset, inset, big - 1 - inset, big - 1 - inset], fill=fill)
    disc = disc.resize((2 * radius, 2 * radius), Image.Resampling.LANCZOS)
    boxes = ((0, 0), (radius, 0), (0, radius), (radius, radius))
    return tuple(ImageTk.PhotoImage(disc.crop((x, y, x + radius, y + radius)), master=root) for x, y in boxes)


class Sheet(tk.Frame):
    """A rounded ground for other widgets; they are placed on it with grid as on any frame."""

    def __init__(self, master: Any, *, fill: str = "card", border: str = "border", radius: int = RADIUS + 2) -> None:
        super().__init__(master, bd=0, highlightthickness=0)
        self.surface = fill
        self._border, self._radius, self._ground = border, radius, surface_of(master)
        self._size = (0, 0)
        self.back = tk.Canvas(self, bd=0, highlightthickness=0, takefocus=0, width=1, height=1)
        self.back.place(x=0, y=0, relwidth=1, relheight=1)
        self.back.bind("<Configure>", self._resized)
        theme_of(self).follow(self, self._paint)

    def _resized(self, event: tk.Event[tk.Misc]) -> None:
        if (event.width, event.height) != self._size:
            self._size = (event.width, event.height)
            self._paint()

    def _paint(self) -> None:
        theme = theme_of(self)
        self.configure(bg=theme.now(self.surface))
        self.back.configure(bg=theme.now(self.surface))
        draw_box(
            self.back,
            *self._size,
            radius=theme.px(self._radius),
            fill=theme.now(self.surface),
            ground=theme.now(self._ground),
            border=theme.now(self._border) if self._border else "",
        )


class ThinBar(tk.Canvas):
    """A slim scrollbar. CTkScrollbar draws with update_idletasks inside, which runs everybody else's work too."""

    def __init__(self, master: Any, command: Callable[..., Any], *, across: bool = False, surface: str = "") -> None:
        theme = theme_of(master)
        size = theme.px(12)
        super().__init__(
            master,
            bd=0,
            highlightthickness=0,
            takefocus=0,
            width=size if not across else 10,
            height=size if across else 10,
        )
        self._command, self._across, self._surface = command, across, surface or surface_of(master)
        self._span = (0.0, 1.0)
        self._held: float | None = None
        self._is_hot = False
        self.bind("<Configure>", lambda _: self._paint())
        self.bind("<Button-1>", self._pressed)
        self.bind("<B1-Motion>", self._dragged)
        self.bind("<ButtonRelease-1>", lambda _: self._heat(False))
        self.bind("<Enter>", lambda _: self._heat(True))
        self.bind("<Leave>", lambda _: self._heat(False) if self._held is None else None)
        theme.follow(self, self._paint)

    def set(self, first: float, last: float) -> None:
        """Which part of the whole is seen, 0-1."""
        span = (float(first), float(last))
        if span != self._span:
            self._span = span
            self._paint()

    @property
    def is_needed(self) -> bool:
        """Whether there is more than fits, so that scrolling does something."""
        return self._span[0] > 0.0001 or self._span[1] < 0.9999

    def _heat(self, is_hot: bool) -> None:
        self._is_hot = is_hot
        if not is_hot:
            self._held = None
        self._paint()

    def _length(self) -> int:
        return int(self.winfo_width() if self._across else self.winfo_height())

    def _paint(self) -> None:
        theme = theme_of(self)
        self.configure(bg=theme.now(self._surface))
        self.delete("all")
        if not self.is_needed:
            return
        inset, width = theme.px(5), theme.px(5)
        length = self._length() - 2 * inset
        start, end = inset + self._span[0] * length, inset + self._span[1] * length
        end = max(end, start + theme.px(24))
        middle = (self.winfo_height() if self._across else self.winfo_width()) / 2
        points = (start, middle, end, middle) if self._across else (middle, start, middle, end)
        self.create_line(*points, width=width, capstyle="round", fill=theme.now("faint" if self._is_hot else "track"))

    def _where(self, event: tk.Event[tk.Misc]) -> float:
        return (event.x if self._across else event.y) / max(self._length(), 1)

    def _pressed(self, event: tk.Event[tk.Misc]) -> None:
        at, (first, last) = self._where(event), self._span
        self._held = at - first if first <= at <= last else (last - first) / 2
        self._dragged(event)

    def _dragged(self, event: tk.Event[tk.Misc]) -> None:
        if self._held is not None:
            self._command("moveto", str(self._where(event) - self._held))
