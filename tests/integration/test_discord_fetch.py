"""First contact in the terminal, and the fetch behind it."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import pytest

from data.fetch_arguments import add_fetch_arguments
from data.fetcher import FetchSummary
from data.fetcher_api import FetchError
from data.first_contact import discover, fetch_from_discord, summary_lines
from storage import policy
from storage.errors import ConfigurationError
from storage.paths import Workspace
from storage.store import Store
from tests.support.discord_server import DiscordServer
from tests.support.discord_world import World

MIRA = 7_000_000_000_000_001


@pytest.fixture
def server() -> Iterator[DiscordServer]:
    world = World()
    world.add_member(MIRA, "Mira")
    for name, is_private in (("general", False), ("staff", True), ("memes", False)):
        world.write(world.add_channel(name, is_private=is_private), MIRA, f"hello {name}")
    with DiscordServer(world) as running:
        yield running


@pytest.fixture
def store(server: DiscordServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    for key, value in server.environment.items():
        monkeypatch.setenv(key, value)
    with Store.open(Workspace.at(tmp_path)) as opened:
        yield opened


class Owner:
    """Answers questions in order; keeps what was shown."""

    def __init__(self, *answers: str) -> None:
        self.answers = list(answers)
        self.shown: list[str] = []

    def say(self, text: str) -> None:
        self.shown.append(text)

    def ask(self, question: str) -> str:
        self.shown.append(question)
        return self.answers.pop(0)


def fetch(store: Store, *arguments: str, owner: Owner | None = None) -> FetchSummary:
    parser = argparse.ArgumentParser()
    add_fetch_arguments(parser)
    terminal = owner or Owner()
    return fetch_from_discord(store, parser.parse_args(arguments), say=terminal.say, ask=owner.ask if owner else None)


def test_the_rule_is_shown_and_the_public_channels_are_suggested(store: Store) -> None:
    owner = Owner("yes", "")
    assert fetch(store, owner=owner).new == 2
    text = "\n".join(owner.shown)
    assert "forbids training" in text
    assert "[ ]  2  #staff  (private)" in text
    answer = store.consents.latest(policy.POLICY)
    assert (answer.answer, answer.wording) == ("yes", policy.POLICY_TEXT)
    assert {c.name for c in store.channels.all() if c.learn} == {"general", "memes"}


def test_a_no_is_recorded_and_nothing_is_asked_of_discord(store: Store, server: DiscordServer) -> None:
    with pytest.raises(FetchError, match="answer was no"):
        fetch(store, owner=Owner("no"))
    assert store.consents.latest(policy.POLICY).answer == "no"
    assert server.requests == []


def test_questions_are_asked_once(store: Store) -> None:
    fetch(store, owner=Owner("yes", "1"))
    assert fetch(store, owner=Owner()).new == 0


def test_a_private_channel_is_asked_about_on_its_own(store: Store) -> None:
    owner = Owner("yes", "1,2", "no")
    fetch(store, owner=owner)
    assert any("#staff is private" in line for line in owner.shown)
    assert [c.name for c in store.channels.all() if c.learn] == ["general"]
    assert fetch(store, "--include-private", "staff").new == 1
    assert store.channels.trainable()[-1].name == "staff"


def test_learn_recall_and_speak_are_answered_one_by_one(store: Store) -> None:
    """Fault 74: on the command line, and with the yes to a private channel."""
    fetch(store, "--accept-policy", "--learn-from", "general", "--recall-from", "staff", "--speak-in", "public")
    fetch(store, "--include-private", "staff")

    def chosen(name: str) -> list[str]:
        return sorted(channel.name for channel in store.channels.all() if getattr(channel, name))

    assert (chosen("learn"), chosen("recall"), chosen("speak")) == (
        ["general", "staff"],
        ["staff"],
        ["general", "memes"],
    )


def test_without_a_terminal_the_missing_answer_is_named(store: Store) -> None:
    with pytest.raises(FetchError, match="--accept-policy"):
        fetch(store)
    with pytest.raises(FetchError, match="--learn-from"):
        fetch(store, "--accept-policy")
    assert fetch(store, "--learn-from", "memes").new == 1
    with pytest.raises(FetchError, match="no channel 'nonsense'"):
        fetch(store, "--learn-from", "nonsense")


def test_a_large_server_found_without_a_terminal_waits_for_the_panels_answer(
    store: Store, server: DiscordServer
) -> None:
    """Fault 167: the panel's owner was told to start a terminal."""
    server.world.member_count = 500
    parser = argparse.ArgumentParser()
    add_fetch_arguments(parser)
    policy.record_policy(store.consents, accepted=True, given_by="owner")
    discover(store, parser.parse_args(["--discover"]))
    question = policy.open_question(store.facts, store.consents)
    assert question is not None
    assert "500 members" in question.text
    policy.choose_channels(store.channels, [c.id for c in policy.preselected(store.channels.all())])
    with pytest.raises(FetchError) as refused:
        fetch(store)
    assert "panel" in refused.value.cure
    policy.record_large_server(store.consents, question.server_id, question.text, accepted=True, given_by="owner")
    assert policy.open_question(store.facts, store.consents) is None
    assert fetch(store).new == 2


def test_a_large_server_is_confirmed_once(store: Store, server: DiscordServer) -> None:
    server.world.member_count = 500
    with pytest.raises(FetchError, match="not confirmed"):
        fetch(store, owner=Owner("yes", "no"))
    owner = Owner("yes", "")
    assert fetch(store, owner=owner).new == 2
    assert any("about 500 members" in line for line in owner.shown)


def test_looking_at_the_server_lists_its_channels_and_reads_no_message(store: Store, server: DiscordServer) -> None:
    parser = argparse.ArgumentParser()
    add_fetch_arguments(parser)
    view = discover(store, parser.parse_args([]))
    assert [(c.name, c.is_private) for c in view.as_result().channels] == [
        ("general", False),
        ("staff", True),
        ("memes", False),
    ]
    assert not any(c.learn for c in store.channels.all())
    assert not server.asked("GET", ".*/messages")


def test_a_missing_server_id_says_where_it_goes(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SERVER_ID")
    with pytest.raises(ConfigurationError, match="SERVER_ID"):
        fetch(store, "--accept-policy")


def test_the_summary_names_each_channel_with_what_was_skipped(store: Store, server: DiscordServer) -> None:
    server.do(lambda world: world.write(int(world.guild_channels()[0]["id"]), MIRA, "https://example.org"))
    lines = dict(summary_lines(fetch(store, "--accept-policy", "--learn-from", "public")))
    assert lines["new"] == 2
    assert lines["#general"] == "1 new, 0 edited, 0 deleted, 1 skipped (bare link)"
