"""Discord markup in readable text, and back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.markup import to_discord_text, to_model_text, without_invented_mentions
from storage.records import Mention


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("hi <@1>", "hi @Ada"),
        ("hi <@!1>", "hi @Ada"),
        ("hi <@999>", "hi @someone"),
        ("see <#5>", "see #lounge"),
        ("see <#6>", "see #channel"),
        ("<@&7> up", "@Mods up"),
        ("<:wave:123> <a:party:456>", ":wave: :party:"),
        ("</play game:9>", "/play game"),
        ("at <t:1700000000:R>", "at 2023-11-14 22:13"),
        ("GGGGGG 😀 :)", "GGGGGG 😀 :)"),
        ("a < b && c > d <3", "a < b && c > d <3"),
        ("<@1", "<@1"),
        ("12:30:45", "12:30:45"),
    ],
)
def test_markup_becomes_text_a_person_would_read(content: str, text: str) -> None:
    assert to_model_text(content, [Mention(1, "Ada")], {5: "lounge"}, role_names={7: "Mods"}) == text


def test_a_mention_of_the_bot_carries_the_bots_name() -> None:
    assert to_model_text("<@9> you there?", bot_id=9, bot_name="Echo") == "@Echo you there?"


def test_attachments_and_stickers_leave_a_trace() -> None:
    assert (
        to_model_text("look", attachments=["cat.PNG", "notes.pdf"], stickers=["wave"])
        == "look\n[image] [file] [sticker: wave]"
    )
    assert to_model_text("", attachments=["clip.mp4"]) == "[video]"


@pytest.mark.parametrize(
    ("text", "content"),
    [
        ("hi @Ada", "hi <@1>"),
        ("hi @ada!", "hi <@1>!"),
        ("@Ada Lovelace rocks", "<@2> rocks"),
        ("@Adam", "@Adam"),
        ("mail me a@Ada", "mail me a@Ada"),
        (":wave: lol", "<:wave:77> lol"),
        (":unknown: x", ":unknown: x"),
        ("see #lounge", "see <#5>"),
        ("`@Ada`", "`@Ada`"),
        ("```\n@Ada :wave:\n```", "```\n@Ada :wave:\n```"),
        ("@everyone", "@everyone"),
        ("12:wave:30", "12:wave:30"),
    ],
)
def test_text_becomes_markup_only_where_the_name_is_known(text: str, content: str) -> None:
    assert to_discord_text(text, {"Ada": 1, "Ada Lovelace": 2}, {"wave": "<:wave:77>"}, {"lounge": 5}) == content


@given(st.sampled_from(["Ada", "Bob the Builder", "x_y"]), st.text(alphabet="abc !?.\n", max_size=20))
def test_a_mention_survives_the_way_to_the_model_and_back(name: str, rest: str) -> None:
    content = f"<@42> {rest}".strip()
    text = to_model_text(content, [Mention(42, name)])
    assert to_discord_text(text, {name: 42}) == content


@given(st.text(max_size=200))
def test_no_text_breaks_the_translation(text: str) -> None:
    to_discord_text(to_model_text(text), {"a": 1}, {"b": "<:b:1>"})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("@ada and @ghost", "@ada and ghost"),
        ("@Bo Ware hi, @bowling", "@Bo Ware hi, bowling"),
        ("<@12> @everyone @here", "<@12> everyone here"),
        ("me@example.org, @ 5pm, `@ghost`, @@x", "me@example.org, @ 5pm, `@ghost`, @@x"),
        ("(@ghost)\n@Mods", "(ghost)\n@Mods"),
    ],
)
def test_an_at_sign_stands_only_in_front_of_who_exists(text: str, expected: str) -> None:
    assert without_invented_mentions(text, ["Ada", "Bo Ware", "Mods", " "]) == expected
