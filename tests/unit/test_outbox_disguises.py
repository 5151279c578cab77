"""What is hidden in a reply is found before it leaves: normalised to a fixed point first, checked last."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.outbox import Outgoing, Refused, clean, prepare, shortened
from storage.settings import Settings
from storage.text import bare

CONTROL = re.compile(r"<\|[^\s|<>]{1,40}\|>|</?s>|\[/?INST\]|<(?:start|end)_of_turn>")
HIDING = [
    "\u202a",
    "\u202e",
    "\u2066",
    "\x01",
    "\x7f",
    "\u200b",
    "\u2060",
    "\ufeff",
    "\u00ad",
    "\ud800",
    "\u200d",
    "\u200e",
]


def send(text: str, **settings: object) -> Outgoing | Refused:
    return prepare(text, Settings().with_values(settings))


@pytest.mark.parametrize("mark", HIDING)
@pytest.mark.parametrize("control", ["<|im_end|>", "</s>", "[INST]", "<end_of_turn>", "<|eot_id|>"])
def test_a_mark_inside_a_control_string_does_not_carry_it_out(mark: str, control: str) -> None:
    """Fault 89."""
    for hidden in (mark.join(control), control[:2] + mark + control[2:], control[:3] + mark * 3 + control[3:]):
        result = send(f"hi {hidden} you")
        assert isinstance(result, Refused) or not any(CONTROL.search(bare(burst)) for burst in result.bursts)


@given(
    st.lists(
        st.sampled_from(["<|", "im", "_", "end", "|>", "</s>", "<", "s", ">", "[INST]", "＜", "｜", " ", *HIDING]),
        max_size=20,
    )
)
def test_no_control_string_leaves_however_it_is_put_together(pieces: list[str]) -> None:
    """Fault 89."""
    text = "".join(pieces)
    assert clean(clean(text)) == clean(text)
    result = send(text)
    assert isinstance(result, Refused) or not any(CONTROL.search(bare(burst)) for burst in result.bursts)


@pytest.mark.parametrize(
    "said",
    [
        "foo",
        "FOO",
        "f\u200boo",
        "f\u2060o\u00ado",
        "ｆｏｏ",
        "𝐟𝐨𝐨",
        "𝓯𝓸𝓸",
        "fоо",
        "f\u200do\u200co",
        "f**o**o",
        "f||o||o",
        "_foo_",
        "~~foo~~",
        "f\u0336o\u0336o\u0336",
        "f\x01oo",
        "ⓕⓞⓞ",
        "f\\oo",
        "\u202efoo",
    ],
)
def test_a_forbidden_word_is_found_in_every_dress(said: str) -> None:
    """Fault 89."""
    assert send(f"that is {said}!", blocked_words="foo, bar") == Refused("reply held a blocked word (foo)")


@pytest.mark.parametrize("said", ["foot", "f o o", "food court", "föö"])
def test_other_words_are_not_taken_for_it(said: str) -> None:
    assert send(said, blocked_words="foo, bar") == Outgoing((said,))


def test_a_forbidden_word_may_be_written_in_any_dress_by_the_owner_too() -> None:
    assert isinstance(send("so schön", blocked_words="SCHÖN"), Refused)
    assert isinstance(send("это слово", blocked_words="слово"), Refused)


@pytest.mark.parametrize(
    "token",
    [
        "hf_" + "a1B2" * 9,
        "glpat-abcdefghij0123456789",
        "AIza" + "a1_b-" * 7,
        "hf_a1B2a1\u200bB2a1B2a1B2a1B2a1B2",
        "ｈｆ_" + "a1B2" * 9,
    ],
)
def test_every_kind_of_token_is_refused_disguised_or_not(token: str) -> None:
    """Fault 89: the outbox reads the same list as masking and logs."""
    assert send(f"use {token}") == Refused("reply held something that looks like a secret")
    assert send(f"use {token}", mask_replies=False) == Refused("reply held something that looks like a secret")


def test_the_bots_token_is_found_with_marks_in_it() -> None:
    """Fault 48."""
    assert isinstance(prepare("hunter2\u200d-hunter2", Settings(), secrets=("hunter2-hunter2",)), Refused)


def test_private_data_is_masked_in_what_is_sent_unless_the_owner_says_no() -> None:
    """Fault 89."""
    text = "mail ana@host.example or call 0170 1234567, password: hunter2"
    assert send(text) == Outgoing(("mail [email] or call [phone], password: [password]",))
    assert send(text, mask_replies=False) == Outgoing((text,))


@pytest.mark.parametrize(
    "text", ["👨‍👩‍👧 🏳️‍🌈 ❤️", "می‌خواهم", "שלום\u200f!", "naïve café", "<@123456789012345678> hi", "a\tb"]
)
def test_emoji_scripts_and_mentions_are_sent_as_they_are(text: str) -> None:
    assert send(text) == Outgoing((text,))


def test_answers_to_commands_hold_no_secret_either() -> None:
    assert shortened("the step failed: GET /?api_key=q1w2e3r4") == "the step failed: GET /?api_key=[secret]"
