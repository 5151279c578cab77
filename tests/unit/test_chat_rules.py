"""The rules that training, the live bot and evaluation share: what is kept, what gives way, who is alive."""

from __future__ import annotations

import pytest

from bot.channel_log import ChannelLog, Writer, readable_by
from data.chat.conversation import Typist
from data.chat.keeping import Skip, is_kept, skip_reason
from data.chat.liveness import BOT_FRESH_SECONDS, is_bot_alive, is_bot_serving, is_supervised
from data.chat.recall import recalled_text
from data.chat.window import end_of_text, fit
from data.privacy import skip_reason as skip_reason_of_object
from storage.records import BotPhase, BotStatus, Conversation, Message, Supervisor, Turn
from storage.settings import Settings

MINUTE = 60_000
READ = readable_by(99, "Echo", channel_names={}, role_names={})


def message(number: int, minute: float, author: int, text: str, **more: object) -> Message:
    return Message(number, 1, author, f"member{author}", text, round(minute * MINUTE), **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "kind", "files", "reason"),
    [
        ("hi", 0, (), None),
        ("hi", 19, (), None),
        ("hi", 7, (), Skip.SYSTEM),
        ("<https://example.org> || www.x.example ||", 0, (), Skip.LINK),
        ("https://example.org", 0, ("cat.png",), None),
        (" \n", 0, (), Skip.EMPTY),
        ("", 0, ("cat.png",), None),
    ],
)
def test_a_message_seen_live_is_kept_exactly_where_a_fetched_one_is(
    text: str, kind: int, files: tuple[str, ...], reason: Skip | None
) -> None:
    assert skip_reason(kind=kind, content=text, has_files=bool(files)) is reason
    assert is_kept(message(1, 0, 7, text, kind=kind, attachments=files)) is (reason is None)
    raw = {"type": kind, "content": text, "attachments": [{"filename": name} for name in files], "author": {}}
    assert skip_reason_of_object(raw) is reason


def talk(*messages: Message, until: int | None = None) -> list[tuple[str, str, bool]]:
    log = ChannelLog(list(messages))
    return [(turn.name, turn.text, turn.is_self) for turn in log.talk(Settings(), READ, until_id=until).turns]


def test_live_too_one_persons_lines_are_one_turn_only_within_a_minute() -> None:
    said = [message(1, 0, 7, "chess?"), message(2, 0.9, 7, "anyone"), message(3, 2, 7, "guess not")]
    assert [text for _, text, _ in talk(*said)] == ["chess?\nanyone", "guess not"]


def test_a_bare_link_is_context_neither_live_nor_in_training_unless_it_is_what_is_answered() -> None:
    said = [message(1, 0, 7, "look"), message(2, 0.1, 8, "https://example.org/cat")]
    assert [text for _, text, _ in talk(*said)] == ["look"]
    assert [text for _, text, _ in talk(*said, until=2)] == ["look", "https://example.org/cat"]


def test_an_answer_across_a_long_silence_brings_what_it_answers_along() -> None:
    said = [message(1, 0, 7, "old news"), message(2, 0.1, 8, "later"), message(3, 300, 9, "wait what", reply_to_id=1)]
    assert [text for _, text, _ in talk(*said)] == ["old news", "wait what"]


def test_whoever_writes_goes_on_with_the_last_turn_only_while_it_is_fresh() -> None:
    for minute, goes_on in ((1, True), (1.1, False)):
        log = ChannelLog([message(1, 0, 7, "hm")], writer=Writer(7, "member7", round(minute * MINUTE)))
        assert log.talk(Settings(), READ).typist == Typist("member7", goes_on)


def test_a_recalled_line_names_the_channels_it_speaks_of() -> None:
    line = message(1, 0, 7, "see <#5> and <#6>", attachments=("cat.png",))
    assert recalled_text(line, {5: "general"}) == "see #general and #channel"


def cost(conversation: Conversation) -> int:
    return 10 + sum(len(turn.name) + len(turn.text) for turn in (*conversation.turns, *conversation.recalled))


@pytest.mark.parametrize("budget", range(10, 60, 3))
def test_what_is_cut_always_fits_and_the_newest_words_go_last(budget: int) -> None:
    whole = Conversation(tuple(Turn("ab", f"line {n}") for n in range(4)), (Turn("c", "recalled"), Turn("d", "worse")))

    def shorten(text: str, tokens: int) -> str:
        return end_of_text(text, tokens, count_tokens=len)

    for share in (1.0, 0.7):
        fitted = fit(whole, budget=budget, cost=cost, shorten=shorten, share=share)
        assert cost(fitted) <= budget
        if fitted.turns:
            assert "line 3".endswith(fitted.turns[-1].text)
        if fitted.recalled:
            assert fitted.turns[-1] == whole.turns[-1]
            assert fitted.recalled == whole.recalled[: len(fitted.recalled)]


@pytest.mark.parametrize(
    ("changes", "age", "is_alive", "is_serving"),
    [
        ({}, 1, True, True),
        ({}, -3600, True, True),
        ({}, BOT_FRESH_SECONDS, False, False),
        ({"phase": BotPhase.STOPPING}, 1, True, False),
        ({"phase": BotPhase.STOPPED}, 1, False, False),
        ({"exit_code": 0}, 1, False, False),
    ],
)
def test_a_bot_is_alive_while_it_stamps_its_row(
    changes: dict[str, object], age: float, is_alive: bool, is_serving: bool
) -> None:
    values: dict[str, object] = {"pid": 1, "phase": BotPhase.RUNNING, "heartbeat_at": 1000.0, "started_at": 0.0}
    status = BotStatus(**(values | changes))  # type: ignore[arg-type]
    assert (is_bot_alive(status, now=1000 + age), is_bot_serving(status, now=1000 + age)) == (is_alive, is_serving)
    assert not is_bot_alive(None, now=0)
    assert not is_supervised(None, now=0)
    assert is_supervised(Supervisor(1, 1000.0), now=1010)
    assert not is_supervised(Supervisor(1, 1000.0), now=1030)
