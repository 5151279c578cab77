"""Parts of the engine that need no model: the queue, the window, stop strings and whole characters."""

from __future__ import annotations

import random

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from data.chat.window import choose_window, fit
from model.chat.reply_queue import QueuedReply, ReplyFuture, ReplyQueue
from model.chat.requests import GenerationOptions, ReplyRequest
from model.chat.sampling import ReplyText
from storage.records import Conversation, Turn
from storage.settings import STOP_STRINGS, TEMPERATURE, Settings


def job(channel: int = 1, *, priority: int = 10, at: float = 0.0, deadline: float = 100.0) -> QueuedReply:
    request = ReplyRequest(Conversation(()), GenerationOptions(), "", channel, priority, deadline)
    return QueuedReply(request, ReplyFuture(lambda _future: None), at)


def order(queue: ReplyQueue) -> list[int]:
    found = []
    while (taken := queue.take(now=1.0)[0]) is not None:
        found.append(taken.request.channel_id)
    return found


def test_mentions_come_before_random_replies() -> None:
    queue = ReplyQueue(10)
    queue.add(job(1, priority=10))
    queue.add(job(2, priority=0))
    assert order(queue) == [2, 1]


def test_a_busy_channel_does_not_hold_up_the_others() -> None:
    queue = ReplyQueue(10)
    for channel in (1, 1, 1, 2, 3):
        queue.add(job(channel))
    assert order(queue) == [1, 2, 3, 1, 1]


def test_a_full_queue_drops_the_oldest_of_the_least_urgent() -> None:
    queue = ReplyQueue(2)
    first, second, third = job(1), job(2), job(3, priority=0)
    assert queue.add(first) is None
    assert queue.add(second) is None
    assert queue.add(third) is first
    assert order(queue) == [3, 2]


def test_a_request_past_its_deadline_is_handed_out_as_late() -> None:
    queue = ReplyQueue(5)
    queue.add(job(1, deadline=0.5))
    queue.add(job(2))
    taken, late = queue.take(now=1.0)
    assert taken is not None
    assert taken.request.channel_id == 2
    assert [missed.request.channel_id for missed in late] == [1]


def test_the_memory_of_served_channels_is_bounded() -> None:
    queue = ReplyQueue(5)
    for channel in range(2000):
        queue.add(job(channel))
        queue.take(now=0.0)
    assert len(queue._served) <= 256


# ---- the window ---------------------------------------------------------------------------------------


def talk(*texts: str) -> tuple[Turn, ...]:
    return tuple(Turn("Ada", text) for text in texts)


def test_the_windows_head_stays_until_it_is_cut_in_one_go() -> None:
    texts: list[str] = []
    window: tuple[Turn, ...] = ()
    heads = []
    for number in range(40):
        texts.append(f"message {number}")
        window = choose_window(talk(*texts[-30:]), window, keep=5, is_idle=True)
        heads.append(window[0].text)
        assert 5 <= len(window) <= 10 or number < 5
        assert window[-1].text == texts[-1]
    assert len(set(heads)) <= 8  # one cut every six messages instead of one each


def test_a_reply_that_is_due_does_not_cut_the_head() -> None:
    before = talk(*(f"m{number}" for number in range(10)))
    now = talk(*(f"m{number}" for number in range(12)))
    assert choose_window(now, before, keep=5, is_idle=False) == now
    assert choose_window(now, before, keep=5, is_idle=True) == now[-5:]


def test_more_lines_by_the_same_person_keep_the_window_in_place() -> None:
    before = (Turn("Ada", "one"), Turn("Bob", "two"))
    now = (Turn("Eve", "zero"), Turn("Ada", "one"), Turn("Bob", "two\nthree"))
    assert choose_window(now, before, keep=1, is_idle=False) == now[1:]


def test_repeated_texts_do_not_confuse_the_window() -> None:
    before = talk("lol", "a", "b")
    now = talk("x", "lol", "lol", "a", "b", "c")
    assert choose_window(now, before, keep=2, is_idle=False) == now[2:]


@given(
    st.lists(st.text(max_size=30), max_size=12),
    st.lists(st.text(max_size=30), max_size=4),
    st.integers(min_value=40, max_value=200),
)
def test_a_conversation_is_made_to_fit_and_keeps_its_newest_turn(
    said: list[str], recalled: list[str], budget: int
) -> None:
    """Fault 47."""
    conversation = Conversation(talk(*said), talk(*recalled))

    def cost(candidate: Conversation) -> int:
        return 20 + sum(len(turn.text) + 1 for turn in candidate.turns + candidate.recalled)

    fitted = fit(conversation, budget=budget, cost=cost, shorten=lambda text, size: text[max(len(text) - size, 0) :])
    assert cost(fitted) <= budget
    if said:
        assert said[-1].endswith(fitted.turns[-1].text)


# ---- text ---------------------------------------------------------------------------------------------


def pieces(text: str, seed: int) -> list[bytes]:
    data, found, rng = text.encode(), [], random.Random(seed)
    while data:
        size = rng.randint(1, 5)
        found.append(data[:size])
        data = data[size:]
    return found


def _has_marks_of_thought(text: str) -> bool:
    """Whether a thought may begin in it, which no reply shows."""
    return "<" in text or "[" in text


@given(
    st.text(max_size=40),
    st.text(max_size=40),
    st.sampled_from(["<|im_end|>", "\n\nUser:", "😀é", "a"]),
    st.integers(0, 1000),
)
def test_a_stop_string_is_found_wherever_token_borders_fall(before: str, after: str, stop: str, seed: int) -> None:
    whole = before + stop + after
    assume(not _has_marks_of_thought(before))
    text = ReplyText([stop])
    for piece in pieces(whole, seed):
        if text.add(piece):
            break
    assert text.text == whole[: whole.index(stop)].strip()


@given(st.text(min_size=1, max_size=30), st.integers(0, 40))
def test_a_character_is_never_cut(whole: str, cut: int) -> None:
    assume(not _has_marks_of_thought(whole))
    text = ReplyText([])
    data = whole.encode()[:cut]
    text.add(data)
    assert text.text == data.decode("utf-8", errors="ignore").strip()
    assert "\ufffd" not in text.text or "\ufffd" in whole


def test_the_earliest_of_several_stop_strings_counts() -> None:
    text = ReplyText(["later", "soon"])
    assert text.add(b"one soon two later")
    assert text.text == "one"


def test_options_come_from_the_settings() -> None:
    settings = Settings().with_values({TEMPERATURE.key: 0.3, STOP_STRINGS.key: '["END"]'})
    options = GenerationOptions.from_settings(settings)
    assert (options.temperature, options.stop, options.top_k) == (0.3, ("END",), 40)
    bare = Settings().with_values({STOP_STRINGS.key: "bare words"})
    assert GenerationOptions.from_settings(bare).stop == ("bare words",)


@pytest.mark.parametrize("stop", [(), ("",)])
def test_no_stop_strings_are_fine(stop: tuple[str, ...]) -> None:
    text = ReplyText(stop)
    assert not text.add(b"anything")
