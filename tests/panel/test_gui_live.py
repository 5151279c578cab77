"""Live: what is heard and why, what the owner thinks of it, and what they do through the bot."""

from __future__ import annotations

import os
import time

import pytest

from bot_controller import ControllerState
from gui import texts
from storage.live import WATCHED_FACT, Draft
from storage.records import Command, CommandKind
from storage.store import Store
from storage.teaching import Opinion
from tests.support.live_talk import LOUNGE, WILLOW, Talk, on_discord
from tests.support.panel import PanelDriver, StillController, open_panel

pytestmark = pytest.mark.usefixtures("display")


def online(store: Store) -> StillController:
    controller = StillController(store)
    controller.become(ControllerState.RUNNING, on_discord())
    return controller


def words(room: object) -> str:
    return room.feed.text.get("1.0", "end")  # type: ignore[attr-defined]


def taken(panel: PanelDriver, store: Store) -> Command:
    """The command that the panel gave, as a bot takes it."""
    return panel.wait(lambda: store.commands.take(pid=os.getpid()), "the command")


def test_messages_come_with_their_reasons_and_a_deleted_one_goes(store: Store) -> None:
    """Fault 171."""
    talk = Talk(store)
    talk.hear("anyone up for a game?")
    with open_panel(store, online(store), size=(1200, 760)) as panel:
        room = panel.go("live")
        panel.wait(lambda: "anyone up for a game?" in words(room), "the first line")
        assert "stayed silent · 5\u2009% chance, not this time" in words(room).replace("5 %", "5\u2009%")
        asked = talk.hear("@bot you in?", reason="mentioned", spoke=True)
        panel.wait(lambda: "answers · it was mentioned" in words(room), "the reason")
        reply = talk.answer(asked, "only if grumpy hosts")
        panel.wait(lambda: "only if grumpy hosts" in words(room), "the reply")
        x, y = panel.wait(lambda: room.feed.place_of(reply), "its place")
        panel.click_at(room.feed.text.winfo_rootx() + x, room.feed.text.winfo_rooty() + y)
        panel.wait(lambda: "stoat: @bot you in?" in room.why.recalled.cget("text"), "what it remembered")
        store.messages.delete([asked])
        panel.wait(lambda: "@bot you in?" not in words(room), "the deleted words to go")
        assert texts.LIVE_WORDS_GONE in words(room)
        store.members.set_opted_out(21, True, name="stoat")
        panel.wait(lambda: "anyone up" not in words(room), "the words of who left to go")


def test_good_bad_and_better_words_are_kept_and_taken_back(store: Store) -> None:
    talk = Talk(store)
    replies = [talk.answer(talk.hear(f"line {n}", reason="mentioned", spoke=True), f"reply {n}") for n in range(3)]
    with open_panel(store, online(store), size=(1200, 760)) as panel:
        room = panel.go("live")
        panel.wait(lambda: "reply 2" in words(room), "the replies")
        room.feed.pick(replies[0])
        panel.wait(room.why.good.winfo_ismapped, "the buttons")
        panel.click(room.why.good)
        panel.wait(lambda: store.teaching.of_owner(replies), "the mark")
        panel.wait(lambda: room.why.good.kind == "active", "the mark shown")
        panel.click(room.why.good)
        panel.wait(lambda: not store.teaching.of_owner(replies), "the mark taken back")
        # Several at once.
        room.feed.pick(replies[1], more=True)
        panel.wait(lambda: room.why.title.cget("text") == texts.WHY_MANY.format(count=2), "two chosen")
        panel.click(room.why.bad)
        marks = panel.wait(lambda: len(found := store.teaching.of_owner(replies)) == 2 and found, "both marks")
        assert {mark.verdict for mark in marks.values()} == {Opinion.BAD}
        # In better words.
        room.feed.pick(replies[2])
        panel.wait(room.why.better.winfo_ismapped, "the editor's button")
        panel.click(room.why.better)
        panel.type("no chance")
        panel.click(room.why.save)
        better = panel.wait(lambda: store.teaching.of_owner(replies).get(replies[2]), "the better words")
        assert (better.better, better.reply, better.model) == ("no chance", "reply 2", "server-voice 3")
        panel.wait(lambda: "better: no chance" in words(room), "them in the feed")
        panel.click(room.taught.see)
        room = panel.wait(lambda: panel.app.window.front.key == "taught" and panel.app.window.front, "the list")
        panel.wait(lambda: len(room.table._rows) == 3, "three judgements")
        room.remove((replies[2], 0))
        panel.wait(lambda: len(store.teaching.all()) == 2, "one taken back")


def test_by_keyboard_a_mark_moves_on_to_the_next_reply(store: Store) -> None:
    talk = Talk(store)
    replies = [talk.answer(talk.hear(f"line {n}", reason="mentioned", spoke=True), f"reply {n}") for n in range(2)]
    with open_panel(store, online(store), size=(1200, 760)) as panel:
        room = panel.go("live")
        panel.wait(lambda: "reply 1" in words(room), "the replies")
        room.feed.pick(replies[0])
        room.feed.text.focus_force()
        panel.turn(0.2)
        panel.key("g")
        panel.wait(lambda: room.feed.picked == (replies[1],), "the next one")
        panel.key("b")
        panel.wait(lambda: len(store.teaching.of_owner(replies)) == 2, "both marks")
        found = store.teaching.of_owner(replies)
        assert [found[n].verdict for n in replies] == [Opinion.GOOD, Opinion.BAD]


def test_a_reply_is_seen_growing_and_stopped_and_no_dead_bots_is_shown(store: Store) -> None:
    """Fault 172."""
    talk = Talk(store)
    asked = talk.hear("tell me all", reason="mentioned", spoke=True)
    with open_panel(store, online(store), size=(1200, 760)) as panel:
        room = panel.go("live")
        panel.wait(lambda: store.facts.get(WATCHED_FACT, 0.0) > time.time() - 5, "the bot to be told that one watches")
        store.notes.write_drafts([Draft(LOUNGE, asked, 4711, "of another time", time.time(), time.time())])
        panel.turn(1.0)
        assert not room.draft.winfo_ismapped()
        store.notes.write_drafts([Draft(LOUNGE, asked, os.getpid(), "a lifestyle", time.time(), time.time())])
        panel.wait(lambda: "a lifestyle" in room.draft.words.cget("text"), "the draft")
        panel.click(room.draft.button)
        command = taken(panel, store)
        assert (command.kind, command.details) == (CommandKind.STOP_REPLY, {"channel_id": LOUNGE})
        store.notes.drop_drafts()
        store.commands.finish(command.id, "done")
        panel.wait(lambda: not room.draft.winfo_ismapped(), "the draft to go")


def test_a_channel_is_muted_and_something_said_as_the_bot(store: Store) -> None:
    """Fault 173: what was refused comes back into the field, with the reason."""
    talk = Talk(store)
    talk.hear("hello", author=WILLOW, name="willow")
    with open_panel(store, online(store), size=(1200, 760)) as panel:
        room = panel.go("live")
        panel.wait(lambda: "hello" in words(room), "the line")
        assert not room.send_button.is_enabled, "nothing is said before a channel is chosen"
        room._choose(str(LOUNGE))
        room.channel.set_value(str(LOUNGE))
        panel.wait(room.mute.winfo_ismapped, "Mute")
        panel.click(room.mute)
        panel.wait(lambda: not store.channels.get(LOUNGE).speak, "the channel to be muted")
        panel.wait(lambda: room.mute.text == texts.LIVE_UNMUTE.format(name="lounge"), "the way back")
        panel.click(room.mute)
        panel.wait(lambda: store.channels.get(LOUNGE).speak, "it to speak again")
        panel.wait(lambda: room.send_button.is_enabled, "sending")
        panel.click(room.say)
        panel.type("game at nine")
        panel.key("Return")
        command = taken(panel, store)
        assert (command.kind, command.details) == (CommandKind.SAY, {"channel_id": LOUNGE, "text": "game at nine"})
        store.commands.finish(command.id, "no permission to write here")
        panel.wait(lambda: texts.LIVE_SAY_FAILED in panel.app.toasts.titles, "the reason")
        panel.wait(lambda: room.say.get() == "game at nine", "the words back in the field")
