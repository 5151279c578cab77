"""What the playground's chat is made of: a bubble with its small print, and the card that explains a reply."""

from __future__ import annotations

import tkinter as tk
from collections.abc import Callable
from functools import partial
from typing import Any

from gui import texts
from gui.components.basics import Card, Hairline, RowFrame, Text
from gui.components.button import Button
from gui.components.room import M, Panel, S
from gui.components.shapes import Sheet
from gui.components.theme import XS
from gui.presenters.playground import ChatLine, DetailsView


class Bubble(RowFrame):
    """One line of the chat with its small print."""

    def __init__(
        self,
        master: Any,
        panel: Panel,
        line: ChatLine,
        details: Callable[[int], Any],
        regenerate: Callable[[], Any],
        width: int,
    ) -> None:
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
        self._foot = RowFrame(self)
        if not line.is_own:
            self._foot.grid(row=2, column=0, sticky=side, pady=(2, 0))
        self.stats = Text(self._foot, "", role="caption", colour="faint")
        self.stats.grid(row=0, column=0, padx=(4, S))
        self._links: list[Link] = []
        if not line.is_own:
            self._links = [
                Link(self._foot, texts.CHAT_DETAILS, lambda: details(self._line.id)),
                Link(self._foot, texts.CHAT_REGENERATE, regenerate),
            ]

    def show(self, line: ChatLine, *, is_last: bool) -> None:
        """Show a line of the conversation, whole or still being written."""
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
        """Break the words for a conversation of this width, in unscaled pixels."""
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


DETAILS_WIDTH = 290


class DetailsCard(Card):
    """Timing, recalled lines and the prompt of one reply."""

    def __init__(self, master: Any, panel: Panel, close: Callable[[], Any]) -> None:
        super().__init__(master, texts.DETAILS_TITLE, pad=14)
        assert self.header is not None
        theme = panel.theme
        Button(self.header, "", close, kind="quiet", icon="close", height=28).grid(row=0, column=3)
        body = self.body
        # Its own width, whatever stands in it: a long recalled line would push the chat out of the window.
        self.configure(width=theme.px(DETAILS_WIDTH), height=1)
        self.grid_propagate(False)
        body.grid_columnconfigure(0, weight=1)
        body.grid_rowconfigure(5, weight=1)
        self.timing = RowFrame(body)
        self.timing.grid(row=0, column=0, sticky="ew")
        self.timing.grid_columnconfigure(0, weight=1)
        Hairline(body).grid(row=1, column=0, sticky="ew", pady=M)
        Text(body, texts.DETAILS_RECALLED, role="strong").grid(row=2, column=0, sticky="w")
        self.recalled = Text(body, "", role="small", colour="muted", wrap=True)
        self.recalled.grid(row=3, column=0, sticky="ew", pady=(XS, M))
        Text(body, texts.DETAILS_PROMPT, role="strong").grid(row=4, column=0, sticky="w")
        self.prompt = tk.Text(
            body,
            width=30,
            height=6,
            wrap="word",
            font=theme.fonts["caption"],
            bd=0,
            state="disabled",
            highlightthickness=1,
            padx=8,
            pady=6,
        )
        self.prompt.grid(row=5, column=0, sticky="nsew", pady=(XS, 0))
        theme.follow(
            self.prompt,
            lambda: self.prompt.configure(
                bg=theme.now("field"),
                fg=theme.now("muted"),
                highlightbackground=theme.now("border"),
                highlightcolor=theme.now("accent"),
                selectbackground=theme.now("accent_soft"),
                selectforeground=theme.now("text"),
            ),
        )

    def show(self, view: DetailsView) -> None:
        """Show how a reply came about: its time, its prompt and what was recalled."""
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
