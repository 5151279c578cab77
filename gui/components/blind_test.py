"""The place for the blind test: real and generated replies mixed, and you say which is which."""
from __future__ import annotations

from collections.abc import Iterator

from gui import texts
from gui.components.room import Room
from gui.components.widgets import Button, Card, EmptyState


class BlindTestRoom(Room):
    """Leads to the newest blind test, or to making one."""

    key, title = "blind_test", texts.BLIND_TITLE

    def build(self) -> Iterator[None]:
        Button(self.tools, texts.BLIND_BACK, lambda: self.panel.go("training")).grid(row=0, column=0)
        card = Card(self.page)
        card.grid(row=0, column=0, sticky="ew")
        card.body.grid_columnconfigure(0, weight=1)
        self.empty = EmptyState(card.body, icon="eye", title=texts.BLIND_TITLE, text=texts.BLIND_NONE,
                                action=texts.BLIND_MAKE,
                                command=lambda: self.panel.start_job("evaluate", ["--blind-test"]))
        self.empty.grid(row=0, column=0)
        yield
