"""What must not be learnt by heart is masked; everything else is left to the letter."""

from __future__ import annotations

import pytest

from data.privacy import find_private, mask


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("mail a.b+c@x.co.uk now", "mail [email] now"),
        ("+49 170 1234567", "[phone]"),
        ("call (212) 555-0147 pls", "call [phone] pls"),
        ("07700 900123", "[phone]"),
        ("1-800-555-0199", "[phone]"),
        ("0151-2345678.", "[phone]."),
        ("join discord.gg/abc123 or https://discord.com/invite/xyz", "join [invite] or [invite]"),
        ("key sk-proj-abcdefghij0123456789klm", "key [token]"),
        ("ghp_" + "a1" * 18, "[token]"),
        ("MTk4NjIyNDgzNDcxOTI1MjQ4.Cl2FMQ.ZnCjm1XVW7vRze4b7Cq4se7kKWs", "[token]"),
        ("https://discord.com/api/webhooks/123456789012/" + "x9" * 20, "https://[token]"),
        ("a@b.de and 030/1234567", "[email] and [phone]"),
    ],
)
def test_private_things_are_masked(text: str, expected: str) -> None:
    masked, counts = mask(text)
    assert masked == expected and sum(counts.values()) == len(find_private(text)) > 0


@pytest.mark.parametrize(
    "text",
    [
        "GGGGGG",
        "lol",
        "2015-10-23 12:30",
        "12/10/2015 10:30:22",
        "1234567890123456",
        "192.168.100.200",
        "10.000.000.000",
        "1000-2000-3000",
        "+1+1+1+1+1+1+1+1+1",
        "steam id 76561198000000000",
        "8=====D",
        "1 2 3 4 5 6 7 8 9",
        "http://ilovepugs.example/post/12403103214/pugs",
        "https://history.example/q/60321/40279",
        "@everyone 20.000.000",
        "http://x.example/elon-musk-reveals-tesla-master-plan-part-2-solar",
        "a@b",
        "someone@ home.",
        "3.14159265358979",
    ],
)
def test_ordinary_chat_is_left_alone(text: str) -> None:
    assert mask(text) == (text, {})


def test_a_hostile_line_takes_no_longer_than_an_ordinary_one() -> None:
    for text in ("a." * 2000, "a@" * 2000, "+1 (" * 1000, "0 " * 2000, "-----BEGIN PRIVATE KEY-----" * 99, "x-" * 99):
        mask(text[:4000])
