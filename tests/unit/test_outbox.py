"""What may leave, and in which shape."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.outbox import (
    MAX_BURSTS,
    MAX_LENGTH,
    Outgoing,
    Refused,
    into_bursts,
    is_blank,
    pause_before,
    prepare,
    shortened,
)
from storage.settings import Settings

TOKEN = "MTIzNDU2Nzg5MDEyMzQ1Njc4OQ.GaBcDe.abcdefghijklmnopqrstuvwxyz0123456789"


def send(text: str, secrets: tuple[str, ...] = (), **settings: object) -> Outgoing | Refused:
    return prepare(text, Settings().with_values(settings), secrets=secrets)


@given(st.text(max_size=6000))
def test_whatever_the_model_writes_is_sendable_or_refused(text: str) -> None:
    """FAULTS 21."""
    result = send(text)
    if isinstance(result, Refused):
        assert result.reason
        return
    assert 1 <= len(result.bursts) <= MAX_BURSTS
    for burst in result.bursts:
        assert 0 < len(burst) <= MAX_LENGTH
        assert not is_blank(burst)
        burst.encode("utf-8")


@pytest.mark.parametrize("text", ["", "  \n ", "\u200b\u200d", "\u3164", "\x00\x07", "<|im_end|>", "\ud800"])
def test_nothing_visible_is_not_sent(text: str) -> None:
    assert send(text) == Refused("empty reply")


@pytest.mark.parametrize(
    "text", ["GGGGGG", "lol", "WHAT??!!", "he said 'no' -_-", "😂😂", "a  b", "```py\nx = 1\n\ny = 2\n```"]
)
def test_style_is_left_alone(text: str) -> None:
    assert send(text) == Outgoing((text,))


def test_five_thousand_characters_are_cut_into_messages_discord_takes() -> None:
    result = send("word " * 1000)
    assert isinstance(result, Outgoing)
    assert [len(burst) <= MAX_LENGTH for burst in result.bursts] == [True] * 3
    assert len("".join(result.bursts).replace(" ", "")) == 4000


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("hi<|im_end|>", "hi"),
        ("<|im_start|>assistant yo", "assistant yo"),
        ("a</s>b", "ab"),
        ("<start_of_turn>x", "x"),
        ("[INST] hm [/INST]", "hm"),
        ("<|im<|im_end|>_end|>hm", "hm"),
        ("<|eot_id|>ok", "ok"),
        ("i <3 u </3", "i <3 u </3"),
    ],
)
def test_control_strings_never_leave(text: str, expected: str) -> None:
    """FAULTS 44."""
    assert send(text) == Outgoing((expected,))


@pytest.mark.parametrize(
    "text",
    [
        f"my token is {TOKEN}",
        "ghp_abcdefghijklmnopqrstuvwxyz012345",
        "AKIAABCDEFGHIJKLMNOP",
        "-----BEGIN RSA PRIVATE KEY-----",
        "https://discord.com/api/webhooks/123456/abcdefghijklmnopqrstuvwx",
    ],
)
def test_what_looks_like_a_secret_is_not_sent(text: str) -> None:
    assert send(text) == Refused("reply held something that looks like a secret")


def test_the_bots_own_token_is_not_sent_whatever_it_looks_like() -> None:
    """FAULTS 48."""
    assert isinstance(send("here: hunter2-hunter2", secrets=("hunter2-hunter2",)), Refused)


def test_words_the_owner_forbade_are_matched_as_words() -> None:
    assert send("that is Foo!", blocked_words="foo, bar") == Refused("reply held a blocked word (foo)")
    assert send("foot bars", blocked_words="foo, bar") == Outgoing(("foot bars",))
    assert send("foo") == Outgoing(("foo",))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("look https://example.org/a?b=1", "look <https://example.org/a?b=1>"),
        ("<https://example.org>", "<https://example.org>"),
        ("[free nitro](https://evil.example)", "free nitro (<https://evil.example>)"),
        ("join discord.gg/abc", "join discord[.]gg/abc"),
        ("https://discord.com/invite/abc", "<https://discord[.]com/invite/abc>"),
    ],
)
def test_links_are_inert(text: str, expected: str) -> None:
    """FAULTS 43."""
    assert send(text) == Outgoing((expected,))
    assert send(text, suppress_links=False) == Outgoing((text,), has_previews=True)


def test_lines_become_messages_and_a_long_rest_stays_together() -> None:
    assert into_bursts("one\n\ntwo\nthree") == ["one", "two", "three"]
    assert into_bursts("\n".join("abcdefg")) == ["a", "b", "c", "d", "e\nf\ng"]
    assert 0.7 < pause_before("hi") < pause_before("a longer line than that") <= pause_before("x" * 1999) == 4.0


def test_answers_to_commands_fit_into_one_message() -> None:
    assert len(shortened("x" * 5000)) <= MAX_LENGTH
    assert shortened("") == "(nothing)"
