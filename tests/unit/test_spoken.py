"""What of a model's output is said aloud: thoughts are not, other people's lines are not, style stays."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.chat.spoken import THOUGHT_TAGS, Speakers, label_key, own_words, spoken, thought_mark, without_thoughts
from model.chat.sampling import ReplyText
from storage.records import Conversation, Turn

TALK = Speakers.named(["Ana", "Bo", "DJ: Mike", "Zoë 🌙", "(╯°□°)╯", "Mr. Smith"], ["Vex", "vex_bot"])

THOUGHTS = {
    "<think>Ana greets me. I should act like a friend.</think>\n\nyo": "yo",
    "<think>Okay, so the user is saying hi. I need": "",
    "Okay, the user says hi. Keep it short.\n</think>\n\nhey": "hey",
    "<think>\n\n</think>\n\nsup": "sup",
    "<THINKING>\nhm\n</THINKING> sup": "sup",
    "<thought>hm</thought>sup": "sup",
    "<reasoning effort='low'>hm</reasoning>\nsup": "sup",
    "[THINK]hm[/THINK]sup": "sup",
    "[THINK]hm": "",
    "◁think▷hm◁/think▷sup": "sup",
    "hm◁/think▷sup": "sup",
    "<seed:think>hm</seed:think>sup": "sup",
    "<|START_THINKING|>hm<|END_THINKING|><|START_RESPONSE|>sup<|END_RESPONSE|>": "sup",
    "<|begin_of_thought|>hm<|end_of_thought|><|begin_of_solution|>sup<|end_of_solution|>": "sup",
    "<|channel|>analysis<|message|>hm<|end|><|start|>assistant<|channel|>final<|message|>sup": "sup",
    "<|channel|>analysis<|message|>hm<|start|>assistant": "",
    "<|channel|>final<|message|>sup": "sup",
    "<|channel>thought\nhm<channel|>sup": "sup",
    "<unused94>thought\nhm<unused95>sup": "sup",
    "<think>one</think>sup<think>two</think> dude": "sup dude",
    "sup <think>and now?": "sup",
    "<think": "",
    "<think>a</think>": "",
}


@pytest.mark.parametrize(("written", "said"), THOUGHTS.items())
def test_cases_a_thought_is_never_said_and_the_answer_behind_it_is(written: str, said: str) -> None:
    """Fault 85."""
    assert spoken(written, TALK) == said
    assert spoken(said, TALK) == said


@pytest.mark.parametrize(("written", "said"), THOUGHTS.items())
def test_cases_a_growing_reply_never_shows_a_thought_at_any_token(written: str, said: str) -> None:
    """Fault 85: at the level of bytes, with stop strings that stand in the thought."""
    text = ReplyText(["hm", "Okay, the user"], TALK)
    shown = []
    for byte in written.encode():
        if text.add(bytes([byte])):
            break
        shown.append(text.text)
    if written.startswith(("<", "[", "◁")):
        assert all("hm" not in each and "Ana greets" not in each for each in shown)
        assert text.text == said


def test_text_that_only_looks_a_little_like_a_thought_stays() -> None:
    """Fault 85: style is left alone."""
    for text in (
        "i think so",
        "a < b > c",
        "<3 <3",
        "[thinking face]",
        "hmm... thinking",
        "<t:1700000000:R>",
        "[think]",
    ):
        assert without_thoughts(text) == text


def test_control_tokens_that_mark_thoughts_are_seen_and_others_are_not() -> None:
    """Fault 85: they have no bytes of their own."""
    assert thought_mark("<|channel|>")
    assert thought_mark("[THINK]")
    assert thought_mark("</think>")
    assert not thought_mark("<|im_end|>")
    assert not thought_mark("hello")


@given(st.text(max_size=60), st.sampled_from(THOUGHT_TAGS[:4]), st.text("abc \n", max_size=20))
def test_nothing_between_the_tags_of_a_thought_comes_through(answer: str, tags: tuple[str, str], thought: str) -> None:
    """Fault 85."""
    secret = f"{thought}SECRET"
    assert "SECRET" not in without_thoughts(f"{tags[0]}{secret}{tags[1]}{answer}")
    assert "SECRET" not in without_thoughts(f"{tags[0]}{secret}")


# ---- whose line it is ---------------------------------------------------------------------------------

LINES = {
    "yo\nAna: what\nBo: lol": "yo",
    "yo\n\nana: what": "yo",
    "yo\n**Ana:** what": "yo",
    "yo\n@Bo: what": "yo",
    "yo\n<Ana> : what": "yo",
    "yo\nDJ: Mike: drop": "yo",
    "yo\nZoë 🌙: hi": "yo",
    "yo\n(╯°□°)╯: hi": "yo",
    "yo\nMr. Smith: hi": "yo",
    "yo\nAna:": "yo",
    "Vex: yo": "yo",
    "vex:  yo": "yo",
    "Vex: Vex: yo": "yo",
    "**Vex**: yo": "yo",
    "Vex:\nyo": "yo",
    "Ana: yo": "yo",
    "yo\nVex: and more\nBo: lol": "yo\nand more",
    "Bo: ": "",
}
STYLE = (
    "Note: bring snacks",
    "yo\nPS: bring snacks",
    "lol: x",
    "12:30 works\n13:45 too",
    "see https://ana.example/x\nhttp://bo:80/",
    "Ana, look: this",
    "tell Ana: no",
    "yo\nAna is here",
    "yo\nAna:what",
    "ratio: 2:1\nresult: fine",
    "me: exists\nmy mom: get up",
    ":wave: Ana",
    "```py\nx: int\n```",
)


@pytest.mark.parametrize(("written", "said"), LINES.items())
def test_cases_a_reply_ends_where_another_persons_line_begins_and_starts_with_no_name(written: str, said: str) -> None:
    """Fault 85."""
    assert spoken(written, TALK) == said


@pytest.mark.parametrize("text", STYLE)
def test_cases_a_colon_is_style_where_no_name_of_the_talk_stands_before_it(text: str) -> None:
    """Fault 85."""
    assert spoken(text, TALK) == text
    assert spoken(text, Speakers()) == text


@given(st.text(max_size=200), st.lists(st.text(max_size=12), max_size=4), st.lists(st.text(max_size=12), max_size=2))
def test_what_may_be_said_stays_the_same_when_it_is_asked_again(text: str, people: list[str], own: list[str]) -> None:
    """Fault 85: engine, responder and outbox all ask."""
    speakers = Speakers.named(people, own)
    once = spoken(text, speakers)
    assert spoken(once, speakers) == once


def test_a_growing_reply_ends_as_soon_as_the_other_name_is_there() -> None:
    """Fault 85: nothing is computed that will not be said."""
    text = ReplyText([], TALK)
    ends = [text.add(character.encode()) for character in "yo\nAna: what"]
    assert ends.index(True) == len("yo\nAna:") - 1
    assert text.text == "yo"


def test_in_a_transcript_a_reply_is_a_line_and_goes_on_only_under_its_own_name() -> None:
    """Fault 86."""
    plain = Speakers.named(["Ana"], ["Vex"], is_transcript=True)
    assert own_words("lol no\nRandom Guy: hi", plain) == ("lol no", True)
    assert own_words("lol no\nVex: sorry\nAna: hm", plain) == ("lol no\nsorry", True)
    assert own_words("lol no\nVe", plain) == ("lol no\nVe", False)
    assert own_words("lol no\nand", plain) == ("lol no", True)
    text = ReplyText([], plain)
    assert [text.add(piece) for piece in (b" lol", b"\n", b"Ve", b"ra: hi")] == [False, False, False, True]
    assert text.text == "lol"


def test_the_speakers_of_a_conversation_are_its_people_the_recalled_and_the_voice() -> None:
    talk = Conversation((Turn("Ana", "hi"), Turn("Old", "hm", True)), (Turn("Eve", "x"),), "Vex")
    speakers = Speakers.of(talk)
    assert speakers.others == {"ana", "eve"}
    assert speakers.own == {"old", "vex"}
    assert label_key("  **Ana  B** ") == "ana b"


LINES = Speakers.named(["Ada", "Bob"], ["Vex"], is_transcript=True)


@pytest.mark.parametrize(
    ("text", "expected", "is_over"),
    [
        ("no\nVex: wait\nVex: what", "no\nwait\nwhat", False),
        ("no\nVex: No \nVex: no", "no", True),
        ("no\nVex: no", "no\nno", False),
        ("a\nVex: b\nVex: c\nVex: d\nVex: e\nVex: f", "a\nb\nc\nd\ne", True),
        ("[image]\nVex: look [image]\nVex: [image] [sticker: wave]", "look [image]", False),
        ("yes\nBob: no", "yes", True),
        # A speaker the model made up, and what people write in front of their own words.
        ("ask him\nVex: jon: he's 32", "ask him", True),
        ("no\nVex: note: it's at 8", "no\nnote: it's at 8", False),
        ("no\nVex: see https://a.b and 10:30", "no\nsee https://a.b and 10:30", False),
        ("spoon: still missing", "spoon: still missing", False),
    ],
)
def test_in_a_transcript_a_reply_is_a_few_lines_and_none_of_them_twice(text: str, expected: str, is_over: bool) -> None:
    assert own_words(text, LINES) == (expected, is_over)
