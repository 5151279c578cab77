"""Switching channels, one or several at a time, each time with a way back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from gui import texts
from gui.components.basics import RowFrame, Text
from gui.components.button import Button
from gui.components.choices import popup_menu
from gui.components.room import Panel, S
from gui.presenters import format as words
from gui.presenters.people import BULK_SWITCHES, is_learned, switched_text
from storage import policy
from storage.people import names_of
from storage.records import Channel
from storage.store import Store

OWNER = "owner (panel)"


@dataclass(frozen=True, slots=True)
class Switched:
    """What was changed. befores: the channels as they were; asked: private ones that were left out, because learning
    from one asks a question of its own."""

    befores: tuple[Channel, ...]
    asked: tuple[Channel, ...] = ()


def switch_many(store: Store, channel_ids: Sequence[int], key: str, value: bool) -> Switched:
    """Turn one switch of several channels; those that are so already, or cannot be switched, are left out."""
    befores, asked = [], []
    for channel_id in channel_ids:
        channel = store.channels.get(channel_id)
        if channel is None or channel.is_access_lost:
            continue
        if (is_learned(channel) if key == "learn" else getattr(channel, key)) == value:
            continue
        if key == "learn" and channel.is_private:
            if value:
                asked.append(channel)
                continue
            allow_private(store, channel, accepted=False)
        else:
            store.channels.switch(channel_id, **{key: value})
        befores.append(channel)
    return Switched(tuple(befores), tuple(asked))


def allow_private(store: Store, channel: Channel, *, accepted: bool) -> None:
    """Keep the owner's answer about learning from a private channel, and put it into force."""
    policy.allow_private(store.channels, store.consents, channel, accepted=accepted, given_by=OWNER)


def put_back(store: Store, befores: Sequence[Channel]) -> None:
    """Undo: the channels are as they were; where that changes whether a private one is learned from, the answer that
    is kept says so."""
    for before in befores:
        now = store.channels.get(before.id)
        if before.is_private and now is not None and is_learned(before) != is_learned(now):
            allow_private(store, before, accepted=is_learned(before))
    store.channels.put_back(befores)


class ChannelSwitches:
    """What the list of channels does when it is clicked. `changed` is called after something was."""

    def __init__(self, panel: Panel, changed: Callable[[], Any]) -> None:
        self._panel, self._changed = panel, changed

    def flip(self, channel: Channel, key: str, value: bool) -> None:
        """One switch of one channel; learning from a private one is asked about first."""
        if key == "learn" and channel.is_private:
            self._private(channel, value)
            return
        self._do(channel, partial(self._panel.store.channels.switch, channel.id, **{key: value}), _of(key, value))
        if key == "is_private" and not value and channel.discord_private:
            title = texts.CLOSED_BY_DISCORD.format(name=channel.name)
            self._panel.toast(title, texts.CLOSED_BY_DISCORD_TEXT)

    def set_rate(self, channel: Channel, rate: float | None) -> None:
        """A response rate of its own, or None for the general one."""
        name = texts.RATE_MENU_GENERAL if rate is None else words.percent(rate)
        form = texts.SWITCHED_RATE.replace("{rate}", name)
        self._do(channel, partial(self._panel.store.channels.set_rate, channel.id, rate), form)

    def flip_many(self, channel_ids: Sequence[int], key: str, value: bool) -> None:
        """One switch of several channels."""

        def told(done: Switched) -> None:
            left = texts.SWITCHED_PRIVATE.format(names=names_of(done.asked)) if done.asked else ""
            if done.befores:
                self._tell(done.befores, _of(key, value), left)
            else:
                self._panel.toast(texts.SWITCHED_NOTHING, left)
            self._changed()

        self._panel.ask(lambda: switch_many(self._panel.store, channel_ids, key, value), told)

    def _private(self, channel: Channel, value: bool) -> None:
        def answer(accepted: bool) -> None:
            work = partial(allow_private, self._panel.store, channel, accepted=accepted)
            self._do(channel, work, _of("learn", accepted))

        if not value:
            answer(False)
            return
        self._panel.confirm(
            texts.PRIVATE_TITLE,
            policy.private_channel_text(channel.name),
            [(texts.PRIVATE_NO, "secondary", None), (texts.PRIVATE_YES, "danger", lambda: answer(True))],
        )

    def _do(self, channel: Channel, change: Callable[[], Any], form: str) -> None:
        def work() -> Channel:
            before = self._panel.store.channels.get(channel.id) or channel
            change()
            return before

        self._panel.ask(work, lambda before: (self._tell((before,), form), self._changed()))

    def _tell(self, befores: tuple[Channel, ...], form: str, body: str = "") -> None:
        self._panel.toast(switched_text(befores, form), body, undo=lambda: self._undo(befores))

    def _undo(self, befores: tuple[Channel, ...]) -> None:
        def told(_: object) -> None:
            self._panel.toast(texts.UNDONE)
            self._changed()

        self._panel.ask(lambda: put_back(self._panel.store, befores), told)


def _of(key: str, value: bool) -> str:
    state = texts.SWITCHED_ON if value else texts.SWITCHED_OFF
    return texts.SWITCHED.replace("{switch}", texts.SWITCH_NAMES[key]).replace("{state}", state)


class BulkBar(RowFrame):
    """Choose all or none of the list's channels, and one switch for all that are chosen."""

    def __init__(self, master: Any, panel: Panel, switches: ChannelSwitches, choose: Callable[[bool], Any]) -> None:
        super().__init__(master)
        theme = panel.theme
        self._panel, self._switches, self._choose = panel, switches, choose
        self._chosen: tuple[int, ...] = ()
        self.all = Button(self, "", self._all_or_none, kind="quiet", height=28, tip=texts.CHOOSE_ALL_TIP)
        self.all.grid(row=0, column=0, padx=(0, theme.px(S)))
        self.words = Text(self, "", role="small", colour="muted")
        self.words.grid(row=0, column=1, sticky="w")
        self.grid_columnconfigure(1, weight=1)
        self.menus: dict[str, Button] = {}
        for column, key in enumerate(BULK_SWITCHES, start=2):
            open_it = partial(self._open, key)
            menu = Button(self, texts.SWITCH_NAMES[key], open_it, height=28, trailing="chevron", anchor="w")
            menu.grid(row=0, column=column, padx=(theme.px(S), 0))
            self.menus[key] = menu

    def show(self, chosen: Sequence[int], listed: int) -> None:
        """How many are chosen, of so many in the list."""
        self._chosen = tuple(chosen)
        is_all = bool(chosen) and len(chosen) == listed
        self.all.show(texts.CHOOSE_NONE if is_all else texts.CHOOSE_ALL.format(count=listed))
        self.words.show(texts.CHOSEN.format(count=len(chosen)) if chosen else texts.CHOSEN_NOTHING)
        for menu in self.menus.values():
            menu.set_enabled(bool(chosen))

    def switch(self, key: str, value: bool) -> None:
        """Turn a switch of all chosen channels."""
        self._switches.flip_many(self._chosen, key, value)

    def _all_or_none(self) -> None:
        self._choose(self.all.text != texts.CHOOSE_NONE)

    def _open(self, key: str) -> None:
        menu, button = popup_menu(self, self._panel.theme), self.menus[key]
        menu.add_command(label=texts.CHOSEN_ON, command=lambda: self.switch(key, True))
        menu.add_command(label=texts.CHOSEN_OFF, command=lambda: self.switch(key, False))
        menu.tk_popup(button.winfo_rootx(), button.winfo_rooty() + button.winfo_height())
