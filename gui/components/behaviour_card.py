"""The levers the bot obeys from its next message on."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any

from gui import texts
from gui.components.basics import Card, RowFrame, Text
from gui.components.inputs import Slider, Switch
from gui.components.room import M, Panel
from gui.components.tooltip import Tooltip
from gui.presenters.dashboard import (
    SliderView,
    behaviour_view,
    rate_view,
    temperature_view,
    tokens_view,
)
from gui.presenters.snapshot import Pulse
from storage.settings import MAX_TOKENS, MENTIONS_ONLY, RESPONSE_RATE, TEMPERATURE, Setting

# A dragged slider is written at most this often; the last value always is.
WRITE_DELAY_MS = 150


class BehaviourCard(Card):
    """Three sliders and a switch that the bot obeys from its next message on."""

    def __init__(self, master: Any, panel: Panel) -> None:
        super().__init__(master, texts.BEHAVIOUR, hint=texts.BEHAVIOUR_HINT)
        self._panel = panel
        self.body.grid_columnconfigure(0, weight=1)
        named = partial(SettingSlider, self.body, panel)
        self.rate = named(RESPONSE_RATE, 99, self._rate_words, name=texts.RATE_NAME, ends=texts.RATE_ENDS)
        self.temperature = named(
            TEMPERATURE, 50, temperature_view, name=texts.TEMPERATURE_NAME, ends=texts.TEMPERATURE_ENDS
        )
        self.tokens = named(
            MAX_TOKENS,
            45,
            lambda value: tokens_view(round(value)),
            name=texts.TOKENS_NAME,
            ends=texts.TOKENS_ENDS,
            whole=True,
        )
        for row, slider in enumerate((self.rate, self.temperature, self.tokens)):
            slider.grid(row=row, column=0, sticky="ew", pady=(0, panel.theme.px(M)))
        self.mentions = Switch(self.body, texts.MENTIONS_NAME, self._flip_mentions)
        self.mentions.grid(row=3, column=0, sticky="w", pady=(2, 0))

    def show_settings(self, pulse: Pulse) -> None:
        """Put the controls where the settings are, unless the owner is moving them."""
        view = behaviour_view(pulse.settings)
        self.mentions.set_value(view.mentions_only)
        self.rate.show(view.rate)
        self.temperature.show(view.temperature)
        self.tokens.show(view.tokens)

    def _rate_words(self, value: float) -> SliderView:
        return rate_view(value, mentions_only=self.mentions.value)

    def _flip_mentions(self, value: bool) -> None:
        self._panel.set_setting(MENTIONS_ONLY, value)


class SettingSlider(RowFrame):
    """Name, value, line and meaning of one number; written while it moves."""

    def __init__(
        self,
        master: Any,
        panel: Panel,
        setting: Setting[Any],
        steps: int,
        describe: Callable[[float], SliderView],
        *,
        name: str,
        ends: tuple[str, str],
        whole: bool = False,
    ) -> None:
        super().__init__(master)
        assert setting.slider is not None
        self._panel, self._setting, self._describe, self._whole = panel, setting, describe, whole
        self._held_until = 0.0
        self._pending: str | None = None
        self._view: SliderView | None = None
        self.grid_columnconfigure(0, weight=1)
        Text(self, name).grid(row=0, column=0, sticky="w")
        self.value = Text(self, "", role="strong", colour="accent_text")
        self.value.grid(row=0, column=1, sticky="e")
        self.slider = Slider(self, low=setting.slider[0], high=setting.slider[1], steps=steps, command=self._moved)
        self.slider.grid(row=1, column=0, columnspan=2, sticky="ew", pady=(4, 2))
        Text(self, ends[0], role="caption", colour="muted").grid(row=2, column=0, sticky="w")
        Text(self, ends[1], role="caption", colour="muted").grid(row=2, column=1, sticky="e")
        self.tip = Tooltip(self.value, "")

    def show(self, view: SliderView) -> None:
        """What is stored, unless the owner is moving the slider right now."""
        if view != self._view and time.monotonic() > self._held_until:
            self._view = view
            self.slider.set(view.value)
            self._words(view)

    def _words(self, view: SliderView) -> None:
        self.value.show(view.text)
        self.tip.text = view.hint

    def _moved(self, value: float) -> None:
        self._held_until = time.monotonic() + 1.5
        self._view = None
        self._words(self._describe(value))
        if self._pending is None:
            self._pending = self.after(WRITE_DELAY_MS, self._write)

    def _write(self) -> None:
        self._pending = None
        value = self.slider.get()
        self._panel.set_setting(self._setting, round(value) if self._whole else round(value, 4))
