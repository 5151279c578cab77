"""What is told rather than operated: a pill, a bar of progress, a banner, an empty room."""

from __future__ import annotations

import tkinter as tk
from collections.abc import Callable
from typing import Any

from gui.components import icons
from gui.components.basics import RowFrame, Text
from gui.components.button import Button
from gui.components.shapes import Sheet
from gui.components.theme import RADIUS, XS, M, S, surface_of, theme_of
from gui.presenters.plain import plain


class Pill(tk.Label):
    """A word on a tinted ground: 'Private', 'Running'."""

    def __init__(self, master: Any, text: str = "", *, tone: str = "idle") -> None:
        theme = theme_of(master)
        super().__init__(master, text=text, font=theme.fonts["caption_strong"], bd=0, padx=S, pady=2)
        self._tone = tone
        theme.follow(self, self._paint)

    def show(self, text: str, tone: str) -> None:
        """Show words in a tone's colours."""
        if self.cget("text") != text:
            self.configure(text=text)
        if tone != self._tone:
            self._tone = tone
            self._paint()

    def _paint(self) -> None:
        theme = theme_of(self)
        self.configure(
            bg=theme.now(f"{self._tone}_soft"), fg=theme.now(self._tone if self._tone != "accent" else "accent_text")
        )


class ProgressBar(tk.Canvas):
    """How far a job is, 0 to 1."""

    def __init__(self, master: Any, width: int = 10) -> None:
        theme = theme_of(master)
        super().__init__(master, bd=0, highlightthickness=0, takefocus=0, height=theme.px(6), width=theme.px(width))
        self._surface, self._share = surface_of(master), 0.0
        self.bind("<Configure>", lambda _: self._paint())
        theme.follow(self, self._paint)

    def show(self, share: float) -> None:
        """Fill the bar to a share 0-1."""
        if abs(share - self._share) > 0.002:
            self._share = share
            self._paint()

    def _paint(self) -> None:
        theme, width, middle = theme_of(self), self.winfo_width(), self.winfo_height() / 2
        self.configure(bg=theme.now(self._surface))
        self.delete("all")
        thick, inset = theme.px(5), theme.px(3)
        for end, colour in ((1.0, "track"), (self._share, "accent")):
            if end > 0:
                self.create_line(
                    inset,
                    middle,
                    inset + (width - 2 * inset) * end,
                    middle,
                    width=thick,
                    capstyle="round",
                    fill=theme.now(colour),
                )


class Banner(Sheet):
    """A sentence that matters, its cure, and at most one thing to do about it."""

    def __init__(self, master: Any, tone: str = "bad") -> None:
        super().__init__(master, fill=f"{tone}_soft", border="", radius=RADIUS)
        self.grid_columnconfigure(1, weight=1)
        self._tone = tone
        self._icon = tk.Label(self, bd=0)
        theme = theme_of(self)
        theme.follow(
            self._icon,
            lambda: self._icon.configure(
                bg=theme.now(self.surface), image=icons.photo(self, "alert", theme.now(tone), theme.px(18))
            ),
        )
        self._icon.grid(row=0, column=0, rowspan=2, padx=(M, S), pady=S, sticky="n")
        self.what = Text(self, role="strong", wrap=True)
        self.cure = Text(self, role="small", colour="muted", wrap=True)
        self.button = Button(self, "", kind="secondary")

    def show(self, what: str, cure: str = "", *, action: str = "", command: Callable[[], Any] | None = None) -> None:
        """Put the sentence up; an empty `what` takes nothing away: the owner of the banner grids it."""
        what, cure = plain(what) or what, plain(cure)
        self.what.show(what)
        self.cure.show(cure)
        self.what.grid(row=0, column=1, sticky="ew", pady=(S, 0 if cure else S), padx=(0, S))
        if cure:
            self.cure.grid(row=1, column=1, sticky="ew", pady=(0, S), padx=(0, S))
        else:
            self.cure.grid_remove()
        if action:
            self.button.show(action)
            self.button.set_command(command)
            self.button.grid(row=0, column=2, rowspan=2, padx=(0, M), pady=S)
        else:
            self.button.grid_remove()


class EmptyState(RowFrame):
    """What a room shows while there is nothing: a picture, a sentence and what to do next."""

    def __init__(
        self,
        master: Any,
        *,
        icon: str,
        title: str,
        text: str,
        action: str = "",
        command: Callable[[], Any] | None = None,
        second: str = "",
        second_command: Callable[[], Any] | None = None,
    ) -> None:
        super().__init__(master)
        theme = theme_of(self)
        self.grid_columnconfigure(0, weight=1)
        picture = tk.Label(self, bd=0)
        theme.follow(
            picture,
            lambda: picture.configure(
                bg=theme.now(self.surface), image=icons.photo(self, icon, theme.now("faint"), theme.px(40))
            ),
        )
        picture.grid(row=0, column=0, pady=(M, S))
        Text(self, title, role="heading", anchor="center").grid(row=1, column=0)
        body = Text(self, text, colour="muted", anchor="center", justify="center")
        body.configure(wraplength=theme.px(420))
        body.grid(row=2, column=0, pady=(XS, M))
        if action:
            self.button = Button(self, action, command, kind="primary")
            self.button.grid(row=3, column=0, pady=(0, S if second else M))
        if second:
            self.second = Button(self, second, second_command, kind="quiet")
            self.second.grid(row=4, column=0, pady=(0, M))
