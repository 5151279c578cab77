"""People and channels: who is heard, and where."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from gui import texts
from gui.components.basics import Card, RowFrame, Text
from gui.components.button import Button
from gui.components.channel_switches import OWNER, BulkBar, ChannelSwitches
from gui.components.choices import Segments, popup_menu
from gui.components.import_dialog import ask_import, choose_exports
from gui.components.inputs import Field
from gui.components.notices import Banner, EmptyState
from gui.components.removed import AbsenceBanner, RemovedList, read_removed
from gui.components.room import M, Panel, Room, S
from gui.components.table import Table
from gui.presenters import format as words
from gui.presenters.people import (
    CHANNEL_COLUMNS,
    PEOPLE_COLUMNS,
    RATES,
    Census,
    PeopleView,
    balanced_shares,
    people_view,
)
from gui.presenters.snapshot import Pulse
from storage.deletions import Deletion, Deletions
from storage.forgetting import mark_models
from storage.jobs.kinds import JobKind
from storage.people import names_of
from storage.records import Channel
from storage.store import Store


def read_census(store: Store) -> Census:
    """Counts and switches; slow on a large server, so it runs on the slow lane of the worker."""
    newest = max(
        (job for job in (store.jobs.latest(JobKind.PREPARE),) if job and job.result),
        key=lambda job: job.id,
        default=None,
    )
    balanced, ceiling = balanced_shares(newest)
    return Census(
        tuple(store.members.all()),
        store.messages.counts_by_author(),
        tuple(store.channels.all()),
        store.messages.counts_by_channel(),
        balanced,
        ceiling,
        read_removed(store),
    )


class PeopleRoom(Room):
    """Lists behind tabs: who, where, and what was removed."""

    key, title, scrolls = "people", texts.PEOPLE, False

    def __init__(self, master: Any, panel: Panel) -> None:
        super().__init__(master, panel)
        self._census: Census | None = None
        self._jobs_seen: frozenset[int] = frozenset()
        self._is_reading = False
        self._tab = "people"
        self._chosen: set[int] = set()
        self.switches = ChannelSwitches(panel, self._read)

    def build(self) -> Iterator[None]:
        """Called once, before the room is first shown; each `yield` lets the window breathe."""
        page, theme = self.page, self.theme
        page.grid_rowconfigure(3, weight=1)
        self.import_button = Button(self.tools, texts.IMPORT, self._choose_file, icon="upload")
        self.import_button.grid(row=0, column=0)
        bar = RowFrame(page)
        bar.grid(row=0, column=0, sticky="ew", pady=(0, theme.px(M)))
        bar.grid_columnconfigure(1, weight=1)
        self.tabs = Segments(bar, self._tab_names(), self._open)
        self.tabs.grid(row=0, column=0)
        self.summary = Text(bar, "", role="small", colour="faint")
        self.summary.grid(row=0, column=1, sticky="w", padx=M)
        self.search = Field(bar, placeholder=texts.SEARCH_PEOPLE, width=180)
        self.search.grid(row=0, column=2)
        self.search.bind("<KeyRelease>", lambda _: self._render())
        self.search.bind("<Escape>", lambda _: (self.search.set_text(""), self._render()))
        yield
        self.question = AbsenceBanner(page, lambda question: self.removed.ask(question))
        self.question.grid(row=1, column=0, sticky="ew", pady=(0, theme.px(M)))
        self.question.grid_remove()
        self.opened = Banner(page, "busy")
        self.opened.grid(row=2, column=0, sticky="ew", pady=(0, theme.px(M)))
        self.opened.grid_remove()
        self.card = Card(page, pad=14)
        self.card.grid(row=3, column=0, sticky="nsew")
        self.card.body.grid_columnconfigure(0, weight=1)
        self.card.body.grid_rowconfigure(0, weight=1)
        self.people = Table(
            self.card.body, PEOPLE_COLUMNS, rows_shown=4, on_switch=self._member_switched, on_open=self._member_menu
        )
        self.people.grid(row=0, column=0, sticky="nsew")
        yield
        self.channels = Table(
            self.card.body,
            CHANNEL_COLUMNS,
            rows_shown=4,
            on_switch=self._channel_switched,
            on_open=self._channel_menu,
            empty_text=texts.CHANNELS_NONE,
        )
        self.bulk = BulkBar(self.card.body, self.panel, self.switches, self._choose_all)
        self.removed = RemovedList(self.card.body, self.panel, self._read)
        self.empty = EmptyState(
            self.card.body,
            icon="people",
            title=texts.PEOPLE_EMPTY_TITLE,
            text=texts.PEOPLE_EMPTY,
            action=texts.IMPORT,
            command=self._choose_file,
        )
        yield
        foot = RowFrame(page)
        foot.grid(row=4, column=0, sticky="ew", pady=(S, 0))
        foot.grid_columnconfigure(0, weight=1)
        self.note = Text(foot, "", role="small", colour="muted", wrap=True)
        self.note.grid(row=0, column=0, sticky="ew")
        self.prepare = Button(foot, texts.SHARES_COUNT, lambda: self.panel.start_job(JobKind.PREPARE))
        self.prepare.grid(row=0, column=1, padx=(M, 0))
        yield

    # ---- reading ---------------------------------------------------------------------------------

    def shown(self) -> None:
        """Called each time the owner comes here."""
        self._read()

    def beat(self, pulse: Pulse) -> None:
        """Called with each new reading of the databases while the room is in front."""
        running = {job.kind for job in pulse.jobs}
        self.import_button.set_enabled(JobKind.IMPORT not in running)
        self.prepare.set_enabled(JobKind.PREPARE not in running)
        ended = frozenset(job.id for job in pulse.finished)
        if ended != self._jobs_seen:
            self._jobs_seen = ended
            self._read()

    def _read(self) -> None:
        if not self._is_reading:
            self._is_reading = True
            self.panel.ask(lambda: read_census(self.panel.store), self._arrived, failed=self._failed, slow=True)

    def _failed(self, _: Exception) -> None:
        self._is_reading = False

    def _arrived(self, census: Census) -> None:
        self._is_reading = False
        self._census = census
        self._render()

    def _render(self) -> None:
        if self._census is None:
            return
        view: PeopleView = people_view(self._census, search=self.search.get(), chosen=self._chosen)
        self.summary.show(view.summary if not view.is_empty else "")
        self.question.show_questions(self._census.removed.questions)
        for table in (self.people, self.channels, self.bulk, self.removed):
            table.grid_remove()
        self._show_opened(view.opened)
        if view.is_empty and self._tab != "removed":
            self.empty.grid(row=0, column=0)
            self.note.show("")
            self.prepare.grid_remove()
            return
        self.empty.grid_remove()
        if self._tab == "people":
            self.people.show(view.people)
            self.people.grid(row=0, column=0, sticky="nsew")
            self.note.show(view.shares_note)
            self.prepare.grid()
        elif self._tab == "channels":
            self.channels.show(view.channels)
            self.channels.grid(row=0, column=0, sticky="nsew")
            listed = {row.key for row in view.channels if not self._channel_of(row.key).is_access_lost}
            # What a search hides is not switched unseen.
            self._chosen &= listed
            self.bulk.show(sorted(self._chosen), len(listed))
            self.bulk.grid(row=1, column=0, sticky="ew", pady=(S, 0))
            self.note.show(texts.CHANNEL_HINT)
            self.prepare.grid_remove()
        else:
            self.removed.show_census(self._census)
            self.removed.grid(row=0, column=0, sticky="nsew")
            self.note.show(texts.REMOVED_HINT)
            self.prepare.grid_remove()

    @staticmethod
    def _tab_names() -> dict[str, str]:
        return {"people": texts.PEOPLE_TAB, "channels": texts.CHANNELS_TAB, "removed": texts.REMOVED_TAB}

    def _show_opened(self, opened: tuple[Channel, ...]) -> None:
        if not opened:
            self.opened.grid_remove()
            return
        self.opened.show(
            texts.OPENED_TITLE.format(names=names_of(opened)),
            texts.OPENED_TEXT,
            action=texts.OPENED_ANSWER,
            command=lambda: self._ask_opened(opened[0]),
        )
        self.opened.grid()

    def find(self) -> str:
        """Called by Ctrl+F: the search field."""
        self.search.focus()
        return "break"

    def _open(self, tab: str) -> None:
        self._tab = tab
        self._render()

    # ---- members ---------------------------------------------------------------------------------

    def _member_switched(self, member_id: int, _: str, value: bool) -> None:
        assert self._census is not None
        name = next(member.display_name for member in self._census.members if member.id == member_id)
        form = texts.INCLUDED_AGAIN if value else texts.LEFT_OUT
        self._include(member_id, value, form.format(name=name), undo=lambda: self._include(member_id, not value, ""))

    def _include(self, member_id: int, value: bool, told: str, *, undo: Callable[[], Any] | None = None) -> None:
        def change() -> None:
            self.panel.store.members.set_excluded(member_id, not value)
            if not value:
                mark_models(self.panel.store.workspace, time.time(), reason="a member was left out")

        self.panel.ask(change, lambda _: (self.panel.toast(told or texts.UNDONE, undo=undo), self._read()))

    def _member_menu(self, member_id: int, x: int, y: int) -> None:
        assert self._census is not None
        member = next(m for m in self._census.members if m.id == member_id)
        menu = popup_menu(self, self.theme)
        if not member.is_opted_out:
            words_ = texts.MENU_INCLUDE if member.is_excluded else texts.MENU_EXCLUDE
            menu.add_command(label=words_, command=lambda: self._member_switched(member_id, "", member.is_excluded))
        menu.add_command(label=texts.MENU_FORGET, command=lambda: self._ask_forget(member_id, member.display_name))
        menu.tk_popup(x, y)

    def _ask_forget(self, member_id: int, name: str) -> None:
        self.panel.confirm(
            texts.FORGET_TITLE.format(name=name),
            texts.FORGET_TEXT,
            [(texts.CANCEL, "secondary", None), (texts.FORGET_GO, "danger", lambda: self._forget(member_id))],
        )

    def _forget(self, member_id: int) -> None:
        self._delete(lambda: Deletions(self.panel.store).delete_member(member_id, by=OWNER))

    def _delete(self, work: Callable[[], Deletion]) -> None:
        self.panel.ask(
            work,
            lambda gone: (
                self.panel.toast(texts.FORGOTTEN.format(count=words.plural(gone.messages, "message")), tone="good"),
                self._read(),
            ),
            slow=True,
        )

    # ---- channels --------------------------------------------------------------------------------

    def _channel_of(self, channel_id: int) -> Channel:
        assert self._census is not None
        return next(channel for channel in self._census.channels if channel.id == channel_id)

    def _channel_switched(self, channel_id: int, key: str, value: bool) -> None:
        if key == "chosen":
            self._chosen ^= {channel_id}
            self._render()
            return
        self.switches.flip(self._channel_of(channel_id), key, value)

    def _choose_all(self, is_wanted: bool) -> None:
        listed = {row.key for row in self.channels.rows if not self._channel_of(row.key).is_access_lost}
        self._chosen = listed if is_wanted else set()
        self._render()

    def _ask_opened(self, channel: Channel) -> None:
        def answer(is_private: bool) -> None:
            self._change(lambda: self.panel.store.channels.switch(channel.id, is_private=is_private))

        self.panel.confirm(
            texts.OPENED_ASK_TITLE.format(name=channel.name),
            texts.OPENED_ASK_TEXT.format(name=channel.name),
            [
                (texts.OPENED_LATER, "quiet", None),
                (texts.OPENED_CLOSE, "secondary", lambda: answer(True)),
                (texts.OPENED_OPEN, "secondary", lambda: answer(False)),
            ],
        )

    def _channel_menu(self, channel_id: int, x: int, y: int) -> None:
        menu = popup_menu(self, self.theme)
        menu.add_command(label=texts.RATE_MENU_GENERAL, command=lambda: self._set_rate(channel_id, None))
        menu.add_separator()
        for rate in RATES:
            menu.add_command(label=words.percent(rate), command=partial(self._set_rate, channel_id, rate))
        menu.add_separator()
        menu.add_command(label=texts.MENU_EMPTY_CHANNEL, command=lambda: self._ask_empty(channel_id))
        menu.tk_popup(x, y)

    def _ask_empty(self, channel_id: int) -> None:
        channel = self._channel_of(channel_id)

        def empty() -> None:
            self._delete(lambda: Deletions(self.panel.store).delete_channel(channel_id, by=OWNER))

        self.panel.confirm(
            texts.EMPTY_CHANNEL_TITLE.format(name=channel.name),
            texts.EMPTY_CHANNEL_TEXT,
            [(texts.CANCEL, "secondary", None), (texts.FORGET_GO, "danger", empty)],
        )

    def _set_rate(self, channel_id: int, rate: float | None) -> None:
        self.switches.set_rate(self._channel_of(channel_id), rate)

    def _change(self, work: Any) -> None:
        self.panel.ask(work, lambda _: self._read())

    # ---- import ----------------------------------------------------------------------------------

    def _choose_file(self) -> None:
        choose_exports(self.panel)

    def ask_import(self, *paths: Path) -> None:
        """The question before an import; the file dialog ends here."""
        ask_import(self.panel, *paths)
