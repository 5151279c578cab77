"""What is compared in the playground: two temperatures, or the model in use and another one."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from tkinter import filedialog
from typing import Any

from gui import texts
from gui.components.basics import Card, RowFrame, Text
from gui.components.choices import Choice, Segments
from gui.components.inputs import Field
from gui.components.room import Panel, S
from gui.components.theme import XS
from gui.presenters.comparison import (
    ModelOption,
    ModelShelf,
    Side,
    file_option,
    models_problem,
    read_shelf,
    temperature_side,
)
from gui.presenters.snapshot import Pulse
from storage.errors import SettingError
from storage.records import ModelState
from storage.settings import TEMPERATURE

# The two temperatures offered first: either end of the slider's useful part.
FIRST_PAIR = (0.5, 1.0)
OTHER_FILE = "…"


class CompareBar(Card):
    """Chooses the two sides; `problem` says why a line cannot be compared now. `changed`: another kind or model."""

    def __init__(self, master: Any, panel: Panel, changed: Callable[[], Any]) -> None:
        super().__init__(master, pad=12)
        self._panel, self._changed = panel, changed
        self.body.grid_columnconfigure(1, weight=1)
        self.kind = Segments(self.body, texts.COMPARE_KINDS, lambda _: self._kind_picked())
        self.kind.grid(row=0, column=0, sticky="w", padx=(0, S))
        self.temperatures = TemperaturePair(self.body)
        self.models = ModelPair(self.body, panel, changed)
        self.note = Text(self.body, role="small", colour="muted", wrap=True)
        self.note.grid(row=2, column=0, columnspan=2, sticky="ew", pady=(XS, 0))
        self._show_kind()

    @property
    def is_models(self) -> bool:
        """Whether two models are compared, not two temperatures."""
        return self.kind.value == "models"

    @property
    def problem(self) -> str:
        """Why nothing can be compared now, in a sentence; empty where it can."""
        if not self.is_models:
            return ""
        return models_problem(self._panel.pulse) or ("" if self.models.option else texts.COMPARE_CHOOSE)

    @property
    def sides(self) -> tuple[Side, Side]:
        """What to ask with, first and second."""
        return self.models.sides if self.is_models else self.temperatures.sides

    def refresh(self, pulse: Pulse | None, *, is_busy: bool) -> None:
        """Follow the bot's state; while a comparison runs nothing may change."""
        self.models.refresh(pulse, can_choose=not models_problem(pulse) and not is_busy)
        if self.is_models:
            blocked = models_problem(pulse)
            self.note.show(blocked or texts.COMPARE_HELP, colour="busy" if blocked else "muted")

    def choose_model(self, file: Path) -> None:
        """The model in use against this file."""
        self.kind.pick("models")
        self.models.add(file)

    def _kind_picked(self) -> None:
        self._show_kind()
        self._changed()

    def _show_kind(self) -> None:
        if self.is_models:
            self.temperatures.grid_remove()
            self.models.grid(row=1, column=0, columnspan=2, sticky="ew", pady=(S, 0))
            self.note.grid()
            self.models.read()
        else:
            self.models.grid_remove()
            self.note.grid_remove()
            self.temperatures.grid(row=0, column=1, sticky="w")


class TemperaturePair(RowFrame):
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
        Text(self, texts.COMPARE_AND, colour="faint").grid(row=0, column=1, padx=(XS, S))

    @property
    def sides(self) -> tuple[Side, Side]:
        """The two temperatures, each with its label."""
        first, second = self.values
        return temperature_side(first), temperature_side(second)

    @property
    def values(self) -> tuple[float, float]:
        """Both temperatures; what cannot be read falls back to the first offer."""
        found = []
        for field, standard in zip(self.fields, FIRST_PAIR, strict=True):
            try:
                found.append(TEMPERATURE.parse(field.get().replace(",", ".")))
            except SettingError:
                found.append(standard)
        return found[0], found[1]

    def _settle(self, field: Field, standard: float, _: object) -> None:
        value = self.values[self.fields.index(field)]
        field.set_text(f"{value if field.get().strip() else standard:g}")


class ModelPair(RowFrame):
    """The model in use, and a choice of another one."""

    def __init__(self, master: Any, panel: Panel, changed: Callable[[], Any]) -> None:
        super().__init__(master)
        self._panel, self._changed = panel, changed
        self.grid_columnconfigure(2, weight=1)
        self._shelf, self._added = ModelShelf(), list[Path]()
        self._own_name = ""
        self.option: ModelOption | None = None
        self.own = Text(self, "", role="small", colour="muted")
        self.own.grid(row=0, column=0, padx=(0, S))
        Text(self, texts.COMPARE_AND, colour="faint").grid(row=0, column=1, padx=(0, S))
        self.choice = Choice(
            self,
            (OTHER_FILE,),
            self._picked,
            value="",
            width=230,
            labels={"": texts.COMPARE_NONE, OTHER_FILE: texts.COMPARE_FILE},
        )
        self.choice.grid(row=0, column=2, sticky="w")
        self.choice.set_value("")

    @property
    def sides(self) -> tuple[Side, Side]:
        """The bot's own model and the chosen one; only after `CompareBar.problem` was empty."""
        assert self.option is not None  # CompareBar.problem asks for it first
        return Side(self._shelf.own or texts.COMPARE_FIRST), Side(self.option.label, self.option.options)

    def refresh(self, pulse: Pulse | None, *, can_choose: bool) -> None:
        """Read again when the bot's own model is another one."""
        self.choice.set_enabled(can_choose)
        status = pulse.status if pulse is not None and pulse.is_alive else None
        if status is None or status.is_borrowed or status.model_state is not ModelState.READY:
            return
        if status.model_name != self._own_name:
            self._own_name = status.model_name
            self.read()

    def read(self) -> None:
        """What there is to choose from."""
        store, own, added = self._panel.store, self._own_name, tuple(self._added)
        self._panel.ask(lambda: read_shelf(store, own_name=own, added=added), self._show)

    def _show(self, shelf: ModelShelf) -> None:
        self._shelf = shelf
        self.own.show(texts.COMPARE_OWN.format(name=shelf.own) if shelf.own else "")
        labels = {option.key: option.label for option in shelf.options}
        self.choice.set_values([*labels, OTHER_FILE], labels | {"": texts.COMPARE_NONE, OTHER_FILE: texts.COMPARE_FILE})
        chosen = self.option.key if self.option is not None else ""
        self._take(chosen if chosen in labels else next(iter(labels), ""))

    def _picked(self, key: str) -> None:
        if key != OTHER_FILE:
            self._take(key)
            return
        self.choice.set_value(self.option.key if self.option is not None else "")
        name = filedialog.askopenfilename(
            parent=self._panel.root,
            title=texts.BROWSE_MODEL,
            initialdir=str(self._panel.workspace.base_models),
            filetypes=[("GGUF", "*.gguf"), ("*", "*")],
        )
        if name:
            self.add(Path(name))

    def add(self, path: Path) -> None:
        """Offer a file from anywhere, and choose it."""
        if path not in self._added:
            self._added.append(path)
        option = file_option(path)
        self.option = ModelOption(str(path), option.label, option.options)
        self.read()

    def _take(self, key: str) -> None:
        self.option = next((option for option in self._shelf.options if option.key == key), None)
        self.choice.set_value(key if self.option is not None else "")
        self._changed()


__all__ = ["CompareBar", "ModelPair", "TemperaturePair"]
