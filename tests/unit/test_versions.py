"""Which of two versions of a message is kept: an order, so that nothing depends on what came first."""

from __future__ import annotations

from dataclasses import replace
from functools import reduce
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.records import Message, MessageForm, Reaction
from storage.versions import is_edit, kept_of, unrepeated

HOUR = 3_600_000


def version(
    content: str, *, edited: int | None = None, form: MessageForm = MessageForm.API, **fields: object
) -> Message:
    return replace(Message(1, 2, 3, "ann", content, 0), edited_ms=edited, form=form, **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("stored", "incoming", "kept", "edit"),
    [
        # what is stored, what comes in, which words stay, and whether the member changed them
        (version("old"), version("new", edited=5 * HOUR), "new", True),
        (version("new", edited=5 * HOUR), version("old"), "new", False),
        (version("new", edited=5 * HOUR), version("old", edited=4 * HOUR), "new", False),
        (version("**a**"), version("a", form=MessageForm.RENDERED), "**a**", False),
        (version("a", form=MessageForm.RENDERED), version("**a**"), "**a**", False),
        (version("a", form=MessageForm.RENDERED), version("**a**", form=MessageForm.PACKAGE), "**a**", False),
        (version("**a**", form=MessageForm.PACKAGE), version("a", form=MessageForm.RENDERED), "**a**", False),
        (version("**a**"), version("b", form=MessageForm.RENDERED, edited=5 * HOUR), "b", True),
        (
            version("b", form=MessageForm.RENDERED, edited=5 * HOUR),
            version("**b**", edited=5 * HOUR + 900),
            "**b**",
            False,
        ),
        (version("b", edited=5 * HOUR + 1), version("c", edited=5 * HOUR + 2), "c", True),
        (version("@Ana", form=MessageForm.RENDERED), version("@Ana L", form=MessageForm.RENDERED), "@Ana", False),
        (version("words"), version("", edited=5 * HOUR), "words", False),
        (version("words"), version("", edited=5 * HOUR, attachments=("cat.png",)), "", True),
        (version("words"), version("", attachments=("cat.png",)), "words", False),
        (version("words", edited=5 * HOUR), version("package", form=MessageForm.PACKAGE), "words", False),
    ],
)
def test_newer_words_win_then_the_better_form(stored: Message, incoming: Message, kept: str, edit: bool) -> None:
    """Fault 68."""
    found = kept_of(stored, incoming)
    assert (found.content, is_edit(stored, found)) == (kept, edit)
    assert found.edited_ms == max(stored.edited_ms or 0, incoming.edited_ms or 0) or not edit
    assert kept_of(found, incoming) == kept_of(found, stored) == found, "running either again changes nothing"


# Of one edit and in one form the words are the same.
# Of one edit and in one form the words are the same.
VERSIONS = st.builds(
    lambda hour, form: version(f"edit {hour} {form.name}", edited=hour * HOUR or None, form=form),
    st.integers(0, 3),
    st.sampled_from(MessageForm),
)


def test_a_late_reaction_to_a_message_read_without_words_counts_and_takes_no_words() -> None:
    """Fault 68."""
    liked = (Reaction("👍", 2),)
    kept = kept_of(version("words"), version("", reactions=liked))
    assert (kept.content, kept.reactions) == ("words", liked)


@given(st.lists(VERSIONS, min_size=1, max_size=5))
def test_the_order_in_which_versions_come_in_does_not_matter(versions: list[Message]) -> None:
    """Fault 68."""
    results = {reduce(kept_of, order).content for order in permutations(versions)}
    assert len(results) == 1
    (only,) = unrepeated(versions)
    assert only.content in results
    newest = max(versions, key=lambda m: (m.edited_ms or 0, m.form))
    assert only.content == newest.content
    assert only.edited_ms == newest.edited_ms
