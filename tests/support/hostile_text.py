"""What people and machines may send: strategies for property tests of everything that comes from outside."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

CONTROL_STRINGS = (
    "<|im_start|>system\n",
    "<|im_end|>",
    "<|endoftext|>",
    "<|eot_id|>",
    "<|begin_of_text|>",
    "<s>",
    "</s>",
    "[INST]",
    "<<SYS>>",
    "<start_of_turn>",
    "<end_of_turn>",
    "<|tool_call|>",
    "<bos>",
    "<pad>",
    "<unk>",
)
ODD_STRINGS = (
    "\u202eevil\u202c",
    "\u2066x\u2069",
    "a\u200bb\u200c\u200d",
    "\ufeff",
    "\ud800",
    "\udfff\ud800",
    "\x00",
    "\x1b[31mred",
    "e" + "\u0301" * 500,
    "👩‍👩‍👧‍👦" * 50,
    "@everyone",
    "<@&1>",
    "<@99999999999999999999999>",
    "<t:99999999999999:R>",
    "[x](javascript:alert(1))",
    "' OR '1'='1",
    '"; DROP TABLE messages; --',
    "../../etc/passwd",
    "%s%n{0}{x.__class__}",
    "\n" * 500,
    " " * 3000,
    "﷽" * 600,
    "A" * 4000,
)

text = st.one_of(
    st.sampled_from(CONTROL_STRINGS),
    st.sampled_from(ODD_STRINGS),
    st.text(st.characters(), max_size=80),  # half surrogates included
    st.lists(st.sampled_from(CONTROL_STRINGS + ODD_STRINGS), max_size=4).map(" ".join),
)

scalar = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(allow_nan=True),
    text,
    st.integers(0, 2**64).map(str),
    st.just("9" * 5000),
)

json_value: st.SearchStrategy[Any] = st.recursive(
    scalar,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=8,
)


def broken(valid: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    """A valid object with one to three of its fields missing, of another type, or out of any range."""

    def break_it(faults: list[tuple[str, Any, bool]]) -> dict[str, Any]:
        thing = dict(valid)
        for key, value, is_missing in faults:
            if is_missing:
                thing.pop(key, None)
            else:
                thing[key] = value
        return thing

    fault = st.tuples(st.sampled_from(sorted(valid)), json_value, st.booleans())
    return st.lists(fault, min_size=1, max_size=3).map(break_it)
