"""What must not be learnt by heart is masked; everything else is left to the letter."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.privacy import MASKS, find_private, mask
from storage.logs import configure_logging
from storage.masking.credentials import redact

DISCORD_TOKEN = "MTk4NjIyNDgzNDcxOTI1MjQ4.Cl2FMQ.ZnCjm1XVW7vRze4b7Cq4se7kKWs"
TOKENS = [
    DISCORD_TOKEN,
    "ghp_" + "a1" * 18,
    "hf_" + "a1B2" * 9,
    "sk-proj-abcdefghij0123456789klm",
    "AKIAABCDEFGHIJKLMNOP",
    "xoxb-123456789012-abcdefabcdef",
    "AIza" + "a1_b-" * 7,
    "glpat-abcdefghij0123456789",
    "eyJabcdefgh.eyJabcdefgh.abcdefghij",
    "1234567890:AA" + "abcdefg" * 5,
]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("mail a.b+c@x.co.uk now", "mail [email] now"),
        ("join discord.gg/abc123 or https://discord.com/invite/xyz", "join [invite] or [invite]"),
        ("https://discord.com/api/webhooks/123456789012/" + "x9" * 20, "https://[token]"),
        ("a@b.de and 030/1234567", "[email] and [phone]"),
        ("-----BEGIN RSA PRIVATE KEY-----\nabc\n-----END RSA PRIVATE KEY-----", "[token]"),
        *((f"key {token} !", "key [token] !") for token in TOKENS),
    ],
)
def test_private_things_are_masked(text: str, expected: str) -> None:
    masked, counts = mask(text)
    assert masked == expected
    assert sum(counts.values()) == len(find_private(text)) > 0


@pytest.mark.parametrize(
    "address",
    [
        "ana (at) host (dot) com",
        "ana [at] host [dot] com",
        "ana(at)host.de",
        "ana[at]host.co.uk",
        "ana at host dot com",
        "ana@host dot com",
        "ana @ host.com",
        "ana {at} host {dot} org",
        "ana at gmail.com",
        "ana arroba host punto com",
        "ana (ät) host punkt de",
        "ana.b@xn--bcher-kva.example",
        "ana AT host DOT com",
        "ana [@] host [.] com",
    ],
)
def test_disguised_addresses_are_masked(address: str) -> None:
    """Fault 88."""
    assert mask(f"write to {address} please") == ("write to [email] please", {"email": 1})


@pytest.mark.parametrize(
    "number",
    [
        "4111 1111 1111 1111",
        "4111-1111-1111-1111",
        "4111111111111111",
        "5555555555554444",
        "378282246310005",
        "3782 822463 10005",
        "30569309025904",
        "6011111111111117",
        "4222222222222",
        "4000 0000 0000 0000 006",
        "2223 0031 2200 3222",
        "3530111333300000",
        "6200000000000005",
    ],
)
def test_card_numbers_with_the_right_check_digit_are_masked(number: str) -> None:
    """Fault 88."""
    for text in (number, f"pay with {number} 12/27 123", f"card: {number}."):
        assert mask(text)[0] == text.replace(number, "[card]")


@pytest.mark.parametrize(
    "number",
    ["4111 1111 1111 1112", "1234567890123456", "4539578763621486124", "0000 0000 0000 0000", "2024 2025 2026 2027"],
)
def test_numbers_of_a_cards_length_that_are_none_stay(number: str) -> None:
    assert mask(number) == (number, {})


@pytest.mark.parametrize(
    "iban",
    [
        "DE89370400440532013000",
        "DE89 3704 0044 0532 0130 00",
        "de89 3704 0044 0532 0130 00",
        "GB82 WEST 1234 5698 7654 32",
        "FR14 2004 1010 0505 0001 3M02 606",
        "TR330006100519786457841326",
        "NL91ABNA0417164300",
        "CH93 0076 2011 6238 5295 7",
        "ES91-2100-0418-4502-0005-1332",
        "NO9386011117947",
        "PL61109010140000071219812874",
    ],
)
def test_ibans_with_and_without_blanks_are_masked(iban: str) -> None:
    """Fault 88."""
    assert mask(f"an {iban} bitte")[0] == "an [iban] bitte"


@pytest.mark.parametrize("text", ["DE88370400440532013000", "AB12 cd34", "de89 is not an account", "BE 2024 2025 2026"])
def test_what_only_begins_like_an_iban_stays(text: str) -> None:
    assert mask(text) == (text, {})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("password: hunter2", "password: [password]"),
        ("the password was hunter2", "the password was [password]"),
        ("ｐａｓｓｗｏｒｄ：ｈｕｎｔｅｒ２", "ｐａｓｓｗｏｒｄ：[password]"),
        ("密码是mima1234", "密码是[password]"),
        ("wifi pass: Sommer2024", "wifi pass: [password]"),
        ("clave: secreto1", "clave: [password]"),
        ("my pin is 4821", "my pin is [password]"),
        ("cvv: 123", "cvv: [password]"),
        ("Passwort: geheim123!", "Passwort: [password]"),
        ("my pw=abc123", "my pw=[password]"),
        ("the password is hunter2", "the password is [password]"),
        ("mot de passe : azerty", "mot de passe : [password]"),
        ("şifre: kedi123", "şifre: [password]"),
        ("contraseña=gato", "contraseña=[password]"),
        ("https://x.example/?api_key=abcdef&q=1", "https://x.example/?api_key=[password]&q=1"),
        ("https://x.example/a?token=q1w2e3#top", "https://x.example/a?token=[password]#top"),
        ('{"client_secret": "q1w2e3r4t5"}', '{"client_secret": "[password]"}'),
        ("secret=opensesame", "secret=[password]"),
        ("HF_TOKEN=q1w2e3r4", "HF_TOKEN=[password]"),
        ("Authorization: Bearer abcdefgh12345678", "Authorization: Bearer [password]"),
        ("git clone https://ana:hunter2@host.example/x", "git clone https://[password]@host.example/x"),
    ],
)
def test_what_stands_behind_a_word_for_a_secret_is_masked(text: str, expected: str) -> None:
    """Fault 88."""
    assert mask(text)[0] == expected


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
        "the password is wrong",
        "pass: the salt please",
        "pin: it to the board",
        "pass: 2 tickets",
        "the wifi is 5ghz only",
        "wifi is 100mbit",
        "12 m² und 45³ bei 20 °C",
        "secret: I hate pineapple",
        "token = os.getenv('X')",
        "max_tokens=4096",
        "n_token=120",
        "key: the blue door",
        "at some point in time",
        "look at youtube.com",
        "meet me at 10 dot something",
        "pass the salt",
        "127.0.0.1:8080",
        "10.0.0.1",
        "version 12.34.156.7",
        "a secret",
        "what is the token?",
    ],
)
def test_ordinary_chat_is_left_alone(text: str) -> None:
    assert mask(text) == (text, {})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("join 84.132.33.25:25565", "join [ip]"),
        ("my ip is 84.132.33.25 lol", "my ip is [ip] lol"),
        ("2a02:8108:1234:5678:9abc:def0:1234:5678", "[ip]"),
    ],
)
def test_the_address_of_somebodys_connection_is_masked(text: str, expected: str) -> None:
    """Fault 88."""
    assert mask(text)[0] == expected


PIECES = st.sampled_from(
    [
        *TOKENS,
        *MASKS.values(),
        "password: ",
        "token=",
        "+49",
        "0170",
        "1234567",
        "4111 1111 1111 1111",
        " ",
        "-",
        "(",
        ")",
        "/",
    ]
    + [
        "a@b.de",
        "DE89370400440532013000",
        ":",
        "=",
        "x",
        "7",
        "at host dot com",
        "tel ",
        "https://",
        "84.132.33.25",
        "\n",
        '"',
    ]
)
TEXTS = st.one_of(st.text(max_size=200), st.lists(PIECES, max_size=14).map("".join))


@given(TEXTS)
def test_masking_a_masked_text_changes_nothing(text: str) -> None:
    masked, _ = mask(text)
    assert mask(masked) == (masked, {})


@given(TEXTS)
def test_a_mask_is_at_most_four_times_as_long_as_what_it_replaces(text: str) -> None:
    assert len(mask(text)[0]) <= 4 * len(text)


@given(TEXTS)
def test_no_token_survives_whatever_stands_around_it(text: str) -> None:
    masked, _ = mask(f"{text} {DISCORD_TOKEN} {text}")
    assert DISCORD_TOKEN not in masked
    assert DISCORD_TOKEN not in redact(f"{text} {DISCORD_TOKEN} {text}")


HOSTILE = [
    "a.",
    "a@",
    "+1 (",
    "0 ",
    "-----BEGIN PRIVATE KEY-----",
    "x-",
    "password:",
    "password: ",
    "token=a",
    "1-",
    "(",
    "0170 ",
    "4111 ",
    "DE89",
    "name at ",
    "a at b dot ",
    "a(at)",
    "1.1.",
    "::",
    "eyJaaaaaaaa.eyJaaaaaaaa",
    "sk-a",
    "A" * 23 + ".",
    "discord.com/api/webhooks/1",
    "tel 1 ",
    "://a@",
    "whatsapp.com/send?a&",
    "<a",
    "()",
    "1",
    " 1)",
    "bearer aaaaaaaaaaaaaaaaa",
]


@pytest.mark.parametrize("piece", HOSTILE)
def test_a_hostile_text_ends_in_steps_that_grow_with_its_length_only(piece: str) -> None:
    """Thirty times Discord's longest message: with steps that grow with the square this would take minutes."""
    text = (piece * 60_000)[:60_000]
    mask(text)
    redact(text)


def test_a_log_shows_no_secret_of_any_kind(tmp_path: Path) -> None:
    """Faults 88 and 90: one list for training, replies and logs."""
    root = logging.getLogger()
    handlers = list(root.handlers)
    try:
        path = configure_logging(tmp_path, "test")
        for token in TOKENS:
            logging.getLogger("x").warning("sent %s to the host", token)
        logging.getLogger("x").warning("GET /?api_key=q1w2e3r4 password: hunter2")
        logging.getLogger("x").warning("Hello\n[2026-01-01 00:00:00] [ERROR] [bot] forged")
    finally:
        for handler in set(root.handlers) - set(handlers):
            handler.close()
        root.handlers[:] = handlers
    written = path.read_text(encoding="utf-8")
    assert not any(secret in written for secret in (*TOKENS, "q1w2e3r4", "hunter2"))
    assert written.count("[secret]") == 12
    assert "\n[2026-01-01 00:00:00] [ERROR]" not in written
