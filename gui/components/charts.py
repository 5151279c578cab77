"""Small charts on a canvas: bars, a curve with its area, and bars against a limit line."""

from __future__ import annotations

import tkinter as tk
from collections.abc import Sequence
from typing import Any

from gui.components.theme import surface_of, theme_of
from gui.presenters.charts import Bars, Curve


class _Chart(tk.Canvas):
    def __init__(self, master: Any, *, height: int = 96) -> None:
        self.surface = surface_of(master)
        theme = theme_of(master)
        super().__init__(master, height=theme.px(height), width=10, bd=0, highlightthickness=0, takefocus=0)
        self._view: Any = None
        self._size = (0, 0)
        self._picture: Any = None
        self.bind("<Configure>", self._resized)
        theme.follow(self, self._repaint)

    def show(self, view: Any) -> None:
        """Draw a view; the same view again costs nothing."""
        if view != self._view:
            self._view = view
            self._repaint()

    def _resized(self, event: tk.Event[tk.Misc]) -> None:
        if (event.width, event.height) != self._size:
            self._size = (event.width, event.height)
            self._repaint()

    def _repaint(self) -> None:
        theme = theme_of(self)
        self.configure(bg=theme.now(self.surface))
        self.delete("all")
        if self._view is None or self._size[0] < 40:
            return
        if self._view.is_empty:
            self.create_text(
                self._size[0] / 2,
                self._size[1] / 2,
                text=self._view.empty_text,
                fill=theme.now("faint"),
                font=theme.fonts["small"],
                width=self._size[0] - 20,
                justify="center",
            )
            return
        self._draw()

    def _draw(self) -> None:
        raise NotImplementedError

    def _words(self, x: float, y: float, text: str, *, anchor: Any, colour: str = "faint") -> None:
        theme = theme_of(self)
        self.create_text(x, y, text=text, anchor=anchor, fill=theme.now(colour), font=theme.fonts["caption"])


class BarChart(_Chart):
    """Vertical bars with the largest value named, labels at chosen bars."""

    def _draw(self) -> None:
        theme, view = theme_of(self), self._view
        width, height = self._size
        top, bottom = theme.px(16), height - theme.px(18)
        count = len(view.values)
        step = width / count
        gap = min(max(step * 0.28, 2), theme.px(10))
        most = max(view.values) or 1
        self.create_line(0, bottom + 0.5, width, bottom + 0.5, fill=theme.now("border"))
        for index, value in enumerate(view.values):
            left, right = index * step + gap / 2, (index + 1) * step - gap / 2
            if value:
                tall = max(value / most * (bottom - top), theme.px(2))
                is_strong = index in view.strong or not view.strong
                self.create_rectangle(
                    round(left),
                    round(bottom - tall),
                    round(right),
                    bottom,
                    width=0,
                    fill=theme.now("accent" if is_strong else "track"),
                )
        at = view.values.index(max(view.values))
        centre = min(max((at + 0.5) * step, theme.px(12)), width - theme.px(12))
        self._words(centre, 0, view.top_text, anchor="n", colour="muted")
        for index, label in view.labels:
            x = (index + 0.5) * step
            anchor = "n"
            if x < theme.px(16):
                anchor, x = "nw", 0
            elif x > width - theme.px(16):
                anchor, x = "ne", width
            self._words(x, bottom + theme.px(4), label, anchor=anchor)


class CurveChart(_Chart):
    """A smooth line with a soft area below; drawn by Pillow, because Tk's lines have no smooth edges."""

    def _draw(self) -> None:
        theme, view = theme_of(self), self._view
        width, height = self._size
        left = max(theme.fonts["caption"].measure(text) for _, text in view.grid) + theme.px(8) if view.grid else 0
        top, bottom = theme.px(6), height - theme.px(18)
        low, high = view.low, view.high if view.high > view.low else view.low + 1
        for value, text in view.grid:
            y = bottom - (value - low) / (high - low) * (bottom - top)
            self.create_line(left, y, width, y, fill=theme.now("border"))
            self._words(left - theme.px(6), y, text, anchor="e")
        if view.limit is not None and low <= view.limit <= high:
            y = bottom - (view.limit - low) / (high - low) * (bottom - top)
            self.create_line(left, y, width, y, fill=theme.now("busy"), dash=(4, 3))
        plot_width, plot_height = int(width - left), int(bottom - top)
        if plot_width > 8 and plot_height > 8:
            self._picture = _curve_picture(self, view, plot_width, plot_height, low, high)
            self.create_image(left, top, image=self._picture, anchor="nw")
        if view.start_text:
            self._words(left, bottom + theme.px(4), view.start_text, anchor="nw")
        if view.end_text:
            self._words(width, bottom + theme.px(4), view.end_text, anchor="ne")


def _curve_picture(owner: tk.Misc, view: Curve, width: int, height: int, low: float, high: float) -> Any:
    from PIL import Image, ImageDraw, ImageTk

    theme = theme_of(owner)
    over = 3
    ground = Image.new("RGBA", (width * over, height * over), theme.now("accent") + "00")
    draw = ImageDraw.Draw(ground)
    spans = _pixels(view.segments, width * over, height * over, low, high, margin=over * 2)
    for points in spans:
        if len(points) > 1:
            draw.polygon(
                [(points[0][0], height * over), *points, (points[-1][0], height * over)],
                fill=theme.now("accent") + "26",
            )
            draw.line(points, fill=theme.now("accent"), width=round(1.8 * over * theme.scale), joint="curve")
        else:
            x, y = points[0]
            draw.ellipse(
                [x - 4 * over / 2, y - 4 * over / 2, x + 4 * over / 2, y + 4 * over / 2], fill=theme.now("accent")
            )
    return ImageTk.PhotoImage(ground.resize((width, height), Image.Resampling.LANCZOS), master=owner)


def _pixels(
    segments: Sequence[Sequence[tuple[float, float]]], width: int, height: int, low: float, high: float, *, margin: int
) -> list[list[tuple[float, float]]]:
    usable = height - 2 * margin
    return [
        [(x * (width - 1), margin + usable - (y - low) / (high - low) * usable) for x, y in points]
        for points in segments
        if points
    ]


__all__ = ["BarChart", "Bars", "Curve", "CurveChart"]
