"""What the owner is told and asked before messages are collected, and the record of the answers.

The terminal and the panel show these words and call these functions, so both ask the same thing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from storage.control import KeyValueStore
from storage.people import Channels, Consents
from storage.records import Channel

POLICY = "collection_policy"
LARGE_SERVER = "large_server"
PRIVATE_CHANNEL = "private_channel"
YES, NO = "yes", "no"
# The bot is made for a group of friends; above this many members the owner confirms explicitly.
LARGE_SERVER_MEMBERS = 100

POLICY_TEXT = """\
Before this program reads your server, please know:

  - It stores what members write in the channels you choose, on this computer only, and can train a language
    model on it. The model may repeat things people wrote.
  - Discord's developer policy (rule 21, July 2024) forbids training models on message content obtained through
    its API without Discord's express permission. That holds for private servers too. This program does not make
    that permission unnecessary; whether to go on is your decision and your responsibility.
  - An alternative is to import exports that members made of their own data.
  - Tell your members. They can type !botdata to see what is stored, !optout to be left out and !forgetme to have
    their messages deleted. Messages deleted on Discord are deleted here at once while the bot runs; otherwise the
    next fetch hides them, and they are erased when fetches on three days did not find them."""

POLICY_QUESTION = "Do you want to collect messages from your server under these conditions?"


def is_accepted(consents: Consents) -> bool:
    """True when the owner's latest answer to the policy is yes."""
    answer = consents.latest(POLICY)
    return answer is not None and answer.answer == YES


def record_policy(consents: Consents, *, accepted: bool, given_by: str) -> None:
    """Keep the owner's answer with the words that were shown."""
    consents.record(POLICY, YES if accepted else NO, wording=POLICY_TEXT, given_by=given_by)


def is_large(members: int, *, is_discoverable: bool) -> bool:
    """True for a server that needs an explicit confirmation: open to everyone, or not a small group."""
    return is_discoverable or members > LARGE_SERVER_MEMBERS


def large_server_text(name: str, members: int, *, is_discoverable: bool) -> str:
    """The question about such a server."""
    what = "is listed in Discord's public server directory" if is_discoverable else f"has about {members:,} members"
    return (
        f"The server '{name}' {what}. This program is made for a private group of friends whose members know about "
        "it; it must not be used to collect messages from strangers. Do all members know, and do you still want to "
        "go on?"
    )


def is_large_server_confirmed(consents: Consents, server_id: int) -> bool:
    """True when the owner confirmed this server."""
    answer = consents.latest(LARGE_SERVER, subject_id=server_id)
    return answer is not None and answer.answer == YES


def record_large_server(consents: Consents, server_id: int, wording: str, *, accepted: bool, given_by: str) -> None:
    """Keep the owner's answer about a large server."""
    consents.record(LARGE_SERVER, YES if accepted else NO, wording=wording, given_by=given_by, subject_id=server_id)


@dataclass(frozen=True, slots=True)
class OpenQuestion:
    """A large server that waits for the owner's answer. asked_at: when it was found (epoch seconds)."""

    server_id: int
    text: str
    asked_at: float


def ask_about_large_server(facts: KeyValueStore, server_id: int, text: str, *, now: float) -> None:
    """Keep the question where the panel finds it: whoever found the server has nobody to ask."""
    facts.set(LARGE_SERVER, {"id": server_id, "text": text, "at": now})


def open_question(facts: KeyValueStore, consents: Consents) -> OpenQuestion | None:
    """The large server nobody has said yes to; None when there is none."""
    kept = facts.get(LARGE_SERVER, {})
    if not isinstance(kept.get("id"), int) or is_large_server_confirmed(consents, kept["id"]):
        return None
    return OpenQuestion(kept["id"], str(kept.get("text", "")), float(kept.get("at", 0.0)))


def private_channel_text(name: str) -> str:
    """The question about a channel that not everyone may read."""
    return (
        f"#{name} is private: not every member may read it. A trained model has no access control, so it may repeat "
        f"what was said there to anyone. Do you want to learn from #{name} all the same?"
    )


def preselected(channels: Iterable[Channel]) -> list[Channel]:
    """The channels suggested at first: those everyone can read."""
    return [channel for channel in channels if not channel.is_private]


def choose_channels(
    channels: Channels, chosen_ids: Iterable[int], *, switches: Iterable[str] = ("learn", "recall", "speak")
) -> None:
    """Switch these three, or some of them, on in the channels. Private ones stay off: learning from one goes through
    `allow_private`, and the others are switched one by one."""
    wanted = dict.fromkeys(switches, True)
    for channel_id in chosen_ids:
        channel = channels.get(channel_id)
        if channel is not None and not channel.is_private:
            channels.switch(channel_id, **wanted)


def allow_private(channels: Channels, consents: Consents, channel: Channel, *, accepted: bool, given_by: str) -> None:
    """The owner's own yes or no to learning from one private channel, kept and put into force. Whether the bot looks
    lines up there or speaks there are switches of their own."""
    consents.record(
        PRIVATE_CHANNEL,
        YES if accepted else NO,
        wording=private_channel_text(channel.name),
        given_by=given_by,
        subject_id=channel.id,
    )
    if accepted:
        channels.switch(channel.id, learn=True, include_private=True)
    else:
        channels.switch(channel.id, learn=False, include_private=False)
