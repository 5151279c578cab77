"""Seven days as 168 bars, an hour each, with what interrupted the bot named below."""

from __future__ import annotations

import tkinter as tk
from typing import Any

from gui import texts
from gui.components.basics import RowFrame, Text
from gui.components.theme import XS, L, S, surface_of, theme_of
from gui.components.tooltip import Tooltip
from gui.presenters.home import StripView

HEIGHT = 20


class HealthStrip(RowFrame):
    """A name, the bars, the share of time the bot was up; and the captions."""

    def __init__(self, master: Any) -> None:
        super().__init__(master)
        theme = theme_of(self)
        self._view: StripView | None = None
        self.grid_columnconfigure(1, weight=1)
        Text(self, texts.STRIP, role="caption", colour="muted").grid(row=0, column=0, padx=(0, theme.px(S)))
        self.bars = tk.Canvas(self, bd=0, highlightthickness=0, height=theme.px(HEIGHT), width=10)
        self.bars.surface = surface_of(self)  # type: ignore[attr-defined]
        self.bars.grid(row=0, column=1, sticky="ew")
        self.share = Text(self, "", role="caption_strong")
        self.share.grid(row=0, column=2, padx=(theme.px(S), 0))
        self.captions = RowFrame(self)
        self.captions.grid(row=1, column=1, columnspan=2, sticky="ew", pady=(theme.px(XS), 0))
        self._words = [Text(self.captions, "", role="caption") for _ in range(3)]
        self._is_stacked: bool | None = None
        Tooltip(self.bars, texts.STRIP_TIP)
        self.bars.bind("<Configure>", lambda _: self._draw())
        self.captions.bind("<Configure>", lambda _: self._arrange(), add="+")
        theme.follow(self.bars, self._draw)

    def show(self, view: StripView) -> None:
        """Draw these days; the same ones again cost nothing."""
        if view == self._view:
            return
        self._view = view
        self.share.show(view.share)
        for number, words in enumerate(self._words):
            text, tone = view.captions[number] if number < len(view.captions) else ("", "faint")
            words.show(text, colour="accent_text" if tone == "accent" else tone)
        self._is_stacked = None
        self._arrange()
        self._draw()

    def _arrange(self) -> None:
        """Side by side where they fit, else one below the other."""
        theme = theme_of(self)
        shown = [words for words in self._words if words.cget("text")]
        wide = sum(words.winfo_reqwidth() for words in shown) + theme.px(L) * len(shown)
        is_stacked = wide > max(self.captions.winfo_width(), theme.px(200))
        if is_stacked == self._is_stacked:
            return
        self._is_stacked = is_stacked
        for words in self._words:
            words.grid_forget()
        for number, words in enumerate(shown):
            row, column = (number, 0) if is_stacked else (0, number)
            words.grid(row=row, column=column, sticky="w", padx=(0, theme.px(L)))

    def _draw(self) -> None:
        theme, canvas = theme_of(self), self.bars
        canvas.configure(bg=theme.now(surface_of(self)))
        canvas.delete("all")
        if self._view is None:
            return
        tones, width, height = self._view.tones, canvas.winfo_width(), canvas.winfo_height()
        step = width / len(tones)
        gap = 1 if step > 2.5 else 0
        for number, tone in enumerate(tones):
            left, right = round(number * step), round((number + 1) * step) - gap
            top = 0 if tone else height // 3
            colour = theme.now(tone or "track")
            canvas.create_rectangle(left, top, max(right, left + 1), height - top, width=0, fill=colour)
