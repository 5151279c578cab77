"""What the owner and the members think of replies teaches, and goes with whatever it was made of."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from data.chat.rows import JudgedRow, PreferenceRow, read_rows
from data.taught import OWNER_WEIGHT, read_taught
from gui.presenters.comparison import ComparedAnswers, Side, judgement
from storage.forgetting import forget_member
from storage.live import ReplyNote
from storage.records import PLAYGROUND_CHANNEL, Channel, PlaygroundEntry, Turn
from storage.store import Store
from storage.teaching import JudgedReply, Opinion
from tests.support.full_workspace import MIRA, holding, message, messages, prepare

BOT, REPLY, FAN, GROUCH = 99, 5_000_001, 10, 12
SECRET = "jabberwockyphrase"


def talk_with_reply(store: Store, *, learn: bool = True) -> JudgedReply:
    """Two members and the bot's answer to them, as the running bot keeps it."""
    store.channels.add([Channel(1, "general", learn=learn, recall=True, speak=True, is_private=False)])
    asked = [message(MIRA, 5000, "who hosts tonight"), message(11, 5000.5, "grumpy never does")]
    store.messages.save(asked)
    said = message(BOT, 5001, f"only if {SECRET} brings the snacks", name="bot", is_own=True)
    store.messages.save([said])
    note = ReplyNote(said.id, 1, asked[-1].id, 1.0, "voice-3", (said.id,), tuple(m.id for m in asked))
    store.notes.add(note)
    reply = store.live.judged(note)
    assert reply is not None
    return reply


def test_better_words_stand_against_what_was_said_as_often_as_the_owner_counts(store: Store, tmp_path: Path) -> None:
    store.messages.save(messages())
    reply = talk_with_reply(store)
    store.teaching.judge(reply, Opinion.BAD, better="grumpy pays then")
    out = tmp_path / "set"
    prepare(store.workspace, out)
    pairs = [r for r in read_rows(out / "preferences.jsonl", PreferenceRow.parse) if r.place.id == str(reply.reply_id)]
    assert [(p.chosen, p.rejected, p.model) for p in pairs] == [
        ("grumpy pays then", reply.text, "voice-3")
    ] * OWNER_WEIGHT
    assert [turn.text for turn in pairs[0].place.conversation.turns] == ["who hosts tonight", "grumpy never does"]
    judged = [r for r in read_rows(out / "kto.jsonl", JudgedRow.parse) if r.place.id == str(reply.reply_id)]
    assert {(r.place.reply, r.is_liked) for r in judged} == {("grumpy pays then", True), (reply.text, False)}
    manifest = json.loads((out / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["preferences"]["taught"] == {"good": 0, "bad": 0, "better": 1}
    assert manifest["counts"]["taught"] == 1


def test_a_good_reply_is_a_liked_one_and_a_bad_one_is_known_to_be_no_more_than_that(
    store: Store, tmp_path: Path
) -> None:
    store.messages.save(messages())
    reply = talk_with_reply(store)
    store.teaching.judge(reply, Opinion.GOOD)
    chat = (Turn("friend", "anyone up?"),)
    store.teaching.judge(JudgedReply(-7, PLAYGROUND_CHANNEL, "nah", "voice-3", chat=chat), Opinion.BAD)
    out = tmp_path / "set"
    prepare(store.workspace, out)
    pairs = [r for r in read_rows(out / "preferences.jsonl", PreferenceRow.parse) if r.chosen == reply.text]
    assert len({pair.rejected for pair in pairs}) == OWNER_WEIGHT
    judged = {r.place.id: r.is_liked for r in read_rows(out / "kto.jsonl", JudgedRow.parse) if r.model}
    assert judged == {str(reply.reply_id): True, "chat-7": False}


def test_the_owners_word_counts_before_members_reactions_and_theirs_by_majority(store: Store) -> None:
    reply = talk_with_reply(store)
    for member in (FAN, 13, 14):
        store.teaching.judge(reply, Opinion.GOOD, judge_id=member)
    store.teaching.judge(reply, Opinion.BAD, judge_id=GROUCH)
    (place,) = read_taught(store, layout=2).places
    assert (place.is_liked, place.weight) == (True, 2)
    store.teaching.judge(reply, Opinion.BAD)
    (place,) = read_taught(store, layout=2).places
    assert (place.is_liked, place.weight) == (False, OWNER_WEIGHT)


def test_an_opted_out_members_reaction_teaches_nothing(store: Store) -> None:
    """Fault 170."""
    reply = talk_with_reply(store)
    store.teaching.judge(reply, Opinion.GOOD, judge_id=FAN)
    store.members.set_opted_out(FAN, True, name="fan")
    assert store.teaching.all() == []
    assert not store.teaching.judge(reply, Opinion.GOOD, judge_id=FAN)
    assert store.teaching.all() == []
    store.members.set_opted_out(FAN, False)
    assert store.teaching.judge(reply, Opinion.GOOD, judge_id=FAN), "who comes back may react again"


def test_a_judgement_goes_with_any_message_it_was_made_of(store: Store) -> None:
    """Fault 171."""
    reply = talk_with_reply(store)
    store.teaching.judge(reply, Opinion.BAD, better="something else")
    store.messages.delete([reply.context_ids[0]])
    assert store.teaching.all() == []


def test_the_owners_own_word_about_a_reply_outlives_its_deletion_on_discord(store: Store) -> None:
    reply = talk_with_reply(store)
    store.teaching.judge(reply, Opinion.BAD)
    store.teaching.judge(reply, Opinion.BAD, judge_id=GROUCH)
    store.messages.delete([reply.reply_id])
    assert [judgement.is_owners for judgement in store.teaching.all()] == [True]


def test_nothing_taught_holds_a_byte_of_a_forgotten_member(store: Store, tmp_path: Path) -> None:
    """Fault 171: their messages' replies, what repeats their words, and what they thought of others."""
    reply = talk_with_reply(store)
    store.teaching.judge(reply, Opinion.GOOD)
    store.messages.save([message(MIRA, 5100, f"my {SECRET} is safe")])
    chat = (Turn("friend", f"she said my {SECRET} is safe"),)
    store.teaching.judge(JudgedReply(-8, PLAYGROUND_CHANNEL, "oh no", "voice-3", chat=chat), Opinion.GOOD)
    forget_member(store, MIRA)
    assert store.teaching.all() == []
    files = [Path(name).name for name in holding([store.workspace.root], SECRET)]
    assert files == [] or files == ["messages.db"], files  # the bot's own reply in the channel is the channel's


def test_replies_where_nothing_is_learnt_or_somebody_left_teach_nothing(store: Store) -> None:
    reply = talk_with_reply(store, learn=False)
    store.teaching.judge(reply, Opinion.GOOD)
    read = read_taught(store, layout=2)
    assert not read.places
    assert dict(read.left_out) == {"replies in channels not learnt from": 1}
    store.channels.switch(1, learn=True)
    assert len(read_taught(store, layout=2).places) == 1
    store.members.set_excluded(11, True)
    assert not read_taught(store, layout=2).places


def test_the_better_of_a_comparison_is_chosen_against_the_other_one(store: Store, tmp_path: Path) -> None:
    store.channels.add([Channel(1, "general", learn=True, recall=True, speak=True, is_private=False)])
    store.messages.save(messages())
    seen = next(m for page in store.messages.in_channel(1) for m in page)
    before = [PlaygroundEntry(1, "owner", "hello", 1.0), PlaygroundEntry(2, "bot", "hey", 2.0, answers_id=1)]
    recalled = {"recalled": [{"message_id": seen.id}], "model": "voice-2"}
    first = PlaygroundEntry(4, "bot", "no idea", 3.0, answers_id=3, details=recalled)
    second = PlaygroundEntry(6, "bot", "only if you pay", 4.0, answers_id=5, details={"model": "voice-3"})
    compared = ComparedAnswers("game tonight?", (Side("a"), Side("b")), question_id=5, first=first)
    history = [*before, PlaygroundEntry(5, "owner", "game tonight?", 3.5), second]
    assert judgement(compared, history, is_second_better=True) is None, "there is nothing to choose from yet"
    found = judgement(replace(compared, second=second), history, is_second_better=True)
    assert found is not None
    reply, better = found
    store.teaching.judge(reply, Opinion.BAD, better=better)
    out = tmp_path / "set"
    prepare(store.workspace, out)
    pairs = [r for r in read_rows(out / "preferences.jsonl", PreferenceRow.parse) if r.place.id == "chat-4"]
    assert {(p.chosen, p.rejected, p.model) for p in pairs} == {("only if you pay", "no idea", "voice-2")}
    assert [(t.text, t.is_self) for t in pairs[0].place.conversation.turns] == [
        ("hello", False),
        ("hey", True),
        ("game tonight?", False),
    ]
    store.messages.delete([seen.id])
    assert store.teaching.all() == [], "it went with the line that was recalled for it"
