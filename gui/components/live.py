"""Live: what the bot hears, why it speaks or stays silent, what it is writing; and what the owner does about it.

Everything comes from the databases and goes through them: this window may die, and the bot never waits for it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from gui import texts
from gui.components.basics import Card, RowFrame
from gui.components.button import Button
from gui.components.choices import Choice
from gui.components.feed import Feed
from gui.components.inputs import Field, Switch
from gui.components.live_parts import WIDTH, DraftStrip, TaughtCard, WhyCard
from gui.components.live_reading import LiveData, ask_bot, judge, read_live
from gui.components.notices import EmptyState
from gui.components.room import WIDEST, M, Panel, PollingPace, Room, S
from gui.presenters.live import DraftView, FeedLine, draft_view, feed_lines, why_view
from gui.presenters.snapshot import Pulse
from storage.live import WATCHED_FACT, LiveEntry
from storage.records import CommandKind
from storage.settings import QUIET_UNTIL
from storage.teaching import Opinion

READ_SECONDS, WATCH_SECONDS, OUTCOME_SECONDS = 0.4, 2.0, 12.0
LINES = 40
QUIET_SECONDS = 3600
DAY = 86_400.0
ALL = ""


class LiveRoom(Room):
    """The feed on the left; on the right why, and what was taught."""

    key, title, scrolls = "live", texts.LIVE, False

    def __init__(self, master: Any, panel: Panel) -> None:
        super().__init__(master, panel)
        self._pace = PollingPace(READ_SECONDS)
        self._watched_at = 0.0
        self._mark: tuple[Any, ...] = ()
        self._entries: dict[int, LiveEntry] = {}
        self._lines: dict[int, FeedLine] = {}
        self._data = LiveData(None)
        self._channel_id: int | None = None
        self._is_empty: bool | None = None
        self._draft: DraftView | None = None
        self._is_wide = False
        self._wanted = 0

    def build(self) -> Iterator[None]:
        """Called once, before the room is first shown; each `yield` lets the window breathe."""
        page, theme = self.page, self.theme
        page.grid_rowconfigure(0, weight=1)
        self._tools()
        yield
        self.card = Card(page, pad=8)
        self.card.grid(row=0, column=0, sticky="nsew")
        body = self.card.body
        body.grid_columnconfigure(0, weight=1)
        body.grid_rowconfigure(0, weight=1)
        self.feed = Feed(body, self._picked)
        self.feed.grid(row=0, column=0, sticky="nsew")
        for key, name in (("g", "good"), ("b", "bad")):
            self.feed.text.bind(f"<KeyPress-{key}>", partial(self._key, name))
        self.feed.text.bind("<KeyPress-e>", lambda _: self._edit())
        self.empty = EmptyState(body, icon="chat", title=texts.LIVE_EMPTY_TITLE, text=texts.LIVE_EMPTY)
        self.draft = DraftStrip(body, self.panel, self._stop_reply)
        self.draft.grid(row=1, column=0, sticky="ew", pady=(theme.px(S), 0))
        self.draft.grid_remove()
        yield
        bar = RowFrame(body)
        bar.grid(row=2, column=0, sticky="ew", pady=(theme.px(S), 0))
        bar.grid_columnconfigure(0, weight=1)
        self.say = Field(bar, placeholder=texts.LIVE_SAY_CHOOSE, height=36)
        self.say.grid(row=0, column=0, sticky="ew", padx=(0, S))
        self.say.bind("<Return>", lambda _: self.say_line())
        self.send_button = Button(bar, texts.CHAT_SEND, self.say_line, icon="send", height=36)
        self.send_button.grid(row=0, column=1)
        yield
        self.side = RowFrame(page)
        self.side.grid(row=0, column=1, sticky="nsew", padx=(theme.px(M), 0))
        self.side.configure(width=theme.px(WIDTH))
        self.side.grid_propagate(False)
        self.side.grid_columnconfigure(0, weight=1)
        hands: dict[str, Callable[..., Any]] = {
            "good": partial(self.mark, "good"),
            "bad": partial(self.mark, "bad"),
            "better": self._better,
            "delete": self._ask_delete,
        }
        self.why = WhyCard(self.side, self.panel, hands)
        self.why.grid(row=0, column=0, sticky="new")
        yield
        self.taught = TaughtCard(self.side, self.panel)
        self.taught.grid(row=1, column=0, sticky="new", pady=(theme.px(M), 0))
        self.side.grid_rowconfigure(2, weight=1)
        page.bind("<Configure>", self._resized, add="+")
        yield

    def _tools(self) -> None:
        gap = (0, self.theme.px(S))
        self.channel = Choice(self.tools, [ALL], self._choose, labels={ALL: texts.LIVE_ALL}, width=150)
        self.channel.grid(row=0, column=0, padx=gap)
        self.mute = Button(self.tools, "", self._flip_mute, kind="quiet")
        self.mute.grid(row=0, column=1, padx=gap)
        self.mute.grid_remove()
        self.spoken = Switch(self.tools, texts.LIVE_SPOKEN, lambda _: self._again())
        self.spoken.grid(row=0, column=2, padx=gap)
        self.quiet = Button(self.tools, texts.BUTTON_QUIET, self._flip_quiet, icon="moon")
        self.quiet.grid(row=0, column=3)

    # ---- life ------------------------------------------------------------------------------------

    def shown(self) -> None:
        """Called when the room comes to the front."""
        self._watched_at = 0.0
        self._pace.soon()

    def beat(self, pulse: Pulse) -> None:
        """Called with each new reading of the databases while the room is in front."""
        is_quiet = pulse.settings[QUIET_UNTIL] > pulse.now
        self.quiet.show(texts.BUTTON_UNQUIET if is_quiet else texts.BUTTON_QUIET)
        self._show_hands()

    def frame(self) -> None:
        """Called every turn of the loop, while visible."""
        now = time.monotonic()
        if now - self._watched_at > WATCH_SECONDS and self._is_online:
            self._watched_at = now
            self.panel.ask(lambda: self.panel.store.facts.set(WATCHED_FACT, time.time()))
        if self._pace.is_due():
            channel, spoken, mark = self._channel_id, self.spoken.value, self._mark
            self.panel.ask(
                lambda: read_live(self.panel.store, channel_id=channel, only_spoken=spoken, unless=mark),
                self._arrived,
                failed=lambda _: self._pace.done(),
            )

    @property
    def _is_online(self) -> bool:
        pulse = self.panel.pulse
        return pulse is not None and pulse.is_alive and pulse.status is not None and pulse.status.is_connected

    def _again(self) -> None:
        self._mark = ()
        self._pace.soon()

    def _arrived(self, data: LiveData) -> None:
        self._pace.done()
        self._show_draft(data)
        if data.reading is None:
            return
        self._data, self._mark = data, data.reading.mark
        names = {number: channel.name for number, channel in data.channels.items()}
        lines = feed_lines(data.reading, names, data.marks, data.members)
        self._entries = {entry.id: entry for entry in data.reading.entries}
        self._lines = {line.id: line for line in lines}
        self._show_channels()
        self._show_empty(not lines)
        self.feed.show(lines)
        if self._wanted in self._lines:
            wanted, self._wanted = self._wanted, 0
            self.after(60, lambda: self.feed.pick(wanted))
        self.taught.show(data.taught)
        self._show_why()
        self._show_hands()

    def open(self, line: str) -> None:
        """Choose a line, named by its number."""
        self._wanted = int(line)

    # ---- drawing ---------------------------------------------------------------------------------

    def _show_draft(self, data: LiveData) -> None:
        pulse = self.panel.pulse
        pid = pulse.status.pid if pulse is not None and pulse.status is not None and pulse.is_alive else None
        names = {number: channel.name for number, channel in self._data.channels.items()}
        view = draft_view(data.drafts, names, channel_id=self._channel_id, pid=pid, now=time.time())
        self._draft = view
        if view is not None:
            self.draft.show(view)
            self.draft.grid()
        elif self.draft.winfo_ismapped():
            self.draft.gone()
            self.draft.grid_remove()

    def _show_empty(self, is_empty: bool) -> None:
        if is_empty == self._is_empty:
            return
        self._is_empty = is_empty
        if is_empty:
            self.feed.grid_remove()
            self.empty.grid(row=0, column=0)
        else:
            self.empty.grid_remove()
            self.feed.grid()

    def _show_channels(self) -> None:
        chosen = [c for c in self._data.channels.values() if (c.speak or c.learn or c.recall) and not c.is_access_lost]
        chosen.sort(key=lambda channel: channel.name)
        labels = {str(c.id): (texts.LIVE_CHANNEL if c.speak else texts.LIVE_MUTED).format(name=c.name) for c in chosen}
        self.channel.set_values([ALL, *labels], {ALL: texts.LIVE_ALL} | labels)
        here = self._data.channels.get(self._channel_id or 0)
        if here is None:
            self.mute.grid_remove()
            return
        self.mute.show((texts.LIVE_MUTE if here.speak else texts.LIVE_UNMUTE).format(name=here.name))
        self.mute.grid()

    def _show_hands(self) -> None:
        here = self._data.channels.get(self._channel_id or 0)
        is_ready = here is not None and self._is_online
        if here is None:
            hint = texts.LIVE_SAY_CHOOSE
        else:
            hint = texts.LIVE_SAY.format(name=here.name) if is_ready else texts.LIVE_SAY_OFFLINE
        if self.say.cget("placeholder_text") != hint:
            self.say.configure(placeholder_text=hint)
        self.send_button.set_enabled(is_ready)

    def _resized(self, event: Any) -> None:
        # On a very wide screen the lines stay as long as one can follow, and the room stays empty beside them.
        is_vast = event.width > self.theme.px(WIDEST + WIDTH)
        self.page.grid_columnconfigure(0, weight=0 if is_vast else 1, minsize=self.theme.px(WIDEST) if is_vast else 0)
        self.page.grid_columnconfigure(2, weight=1 if is_vast else 0)
        is_wide = event.width >= self.theme.px(760)
        if is_wide != self._is_wide:
            self._is_wide = is_wide
            self._place_side()

    def _place_side(self) -> None:
        (self.side.grid if self._is_wide or self.feed.picked else self.side.grid_remove)()

    # ---- what is chosen --------------------------------------------------------------------------

    def _picked(self, _ids: tuple[int, ...]) -> None:
        self._place_side()
        self._show_why()

    def _show_why(self) -> None:
        replies = self._replies()
        if len(self.feed.picked) > 1:
            self.why.show_many(len(replies), can_delete=self._is_online and bool(replies))
            return
        entry = self._entries.get(self.feed.picked[0]) if self.feed.picked else None
        if entry is None:
            self.why.empty()
            return
        note = entry.note
        if note is not None and note.recalled_ids:
            self.panel.ask(lambda: tuple(self.panel.store.live.lines(note.recalled_ids)), partial(self._explain, entry))
        self._explain(entry, ())

    def _explain(self, entry: LiveEntry, recalled: tuple[tuple[str, str], ...]) -> None:
        if self.feed.picked != (entry.id,):
            return
        names = {number: channel.name for number, channel in self._data.channels.items()}
        channel = self._data.channels.get(entry.channel_id)
        mark = self._data.marks.get(entry.id)
        view = why_view(
            entry,
            names,
            recalled=recalled,
            members=self._data.members.get(entry.id),
            learns=channel is not None and channel.learn,
        )
        line = self._lines.get(entry.id)
        self.why.show(
            view,
            said=entry.text or "",
            teaches=line is not None and line.can_teach,
            can_delete=entry.is_own and self._is_online,
            verdict=int(mark.verdict) if mark is not None else 0,
            better=mark.better if mark is not None else "",
        )

    def _replies(self) -> list[FeedLine]:
        return [line for number in self.feed.picked if (line := self._lines.get(number)) is not None and line.can_teach]

    # ---- hands -----------------------------------------------------------------------------------

    def mark(self, name: str) -> None:
        """What the owner thinks of the replies that are chosen; with one chosen, the same again takes it back."""
        verdict = Opinion.GOOD if name == "good" else Opinion.BAD
        ids = [line.id for line in self._replies()]
        store, flip = self.panel.store, len(ids) == 1
        self.panel.ask(lambda: [judge(store, number, verdict, flip=flip) for number in ids], lambda _: self._again())

    def _key(self, name: str, _: object) -> str:
        self.mark(name)
        self.feed.move(1, only=lambda line: line.can_teach)
        return "break"

    def _edit(self) -> str:
        self.why.open_editor()
        return "break"

    def _better(self, words: str) -> None:
        ids = [line.id for line in self._replies()][:1]
        store = self.panel.store
        self.panel.ask(
            lambda: [judge(store, number, Opinion.BAD, better=words) for number in ids], lambda _: self._again()
        )

    def _ask_delete(self) -> None:
        ids = [n for n in self.feed.picked if (line := self._lines.get(n)) is not None and line.is_own]
        if not ids:
            return
        title = texts.TEACH_DELETE_TITLE if len(ids) == 1 else texts.TEACH_DELETE_MANY.format(count=len(ids))
        self.panel.confirm(
            title,
            texts.TEACH_DELETE_TEXT,
            [(texts.CANCEL, "secondary", None), (texts.TEACH_DELETE, "danger", lambda: self._delete(ids))],
        )

    def _delete(self, ids: list[int]) -> None:
        for number in ids:
            entry = self._entries.get(number)
            if entry is not None:
                details = {"channel_id": entry.channel_id, "reply_id": number}
                self._command(CommandKind.DELETE_REPLY, details, texts.LIVE_DELETE_FAILED)

    def _stop_reply(self, channel_id: int) -> None:
        self._command(CommandKind.STOP_REPLY, {"channel_id": channel_id}, texts.LIVE_STOP_FAILED)

    def say_line(self) -> str:
        """Say what stands in the field as the bot."""
        text = self.say.get().strip()
        if text and self.send_button.is_enabled:
            self.say.set_text("")
            details = {"channel_id": self._channel_id, "text": text}
            self._command(CommandKind.SAY, details, texts.LIVE_SAY_FAILED, lambda: self._unsaid(text))
        return "break"

    def _unsaid(self, text: str) -> None:
        if not self.say.get():
            self.say.set_text(text)

    def _command(self, kind: CommandKind, details: dict[str, Any], failed: str, undo: Any = lambda: None) -> None:
        def refused(outcome: str) -> None:
            undo()
            self.panel.toast(failed, outcome[:1].upper() + outcome[1:] or texts.LIVE_NO_ANSWER, tone="bad")

        ask_bot(self, self.panel, kind, details, self._again, refused)

    def _choose(self, value: str) -> None:
        self._channel_id = int(value) if value else None
        self._show_channels()
        self._again()

    def _flip_mute(self) -> None:
        channel = self._data.channels.get(self._channel_id or 0)
        if channel is None:
            return
        told = (texts.LIVE_MUTED_TOLD if channel.speak else texts.LIVE_UNMUTED_TOLD).format(name=channel.name)
        self.panel.ask(
            lambda: self.panel.store.channels.switch(channel.id, speak=not channel.speak),
            lambda _: (self.panel.toast(told), self._again()),
        )

    def _flip_quiet(self) -> None:
        pulse = self.panel.pulse
        is_quiet = pulse is not None and pulse.settings[QUIET_UNTIL] > pulse.now
        self.panel.set_setting(QUIET_UNTIL, 0.0 if is_quiet else time.time() + QUIET_SECONDS)


__all__ = ["LiveRoom"]
