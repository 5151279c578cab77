"""What of a model's output is said aloud: no thoughts, nobody else's lines, no name in front.

Models write more than their own words: a thought before the answer, the next line of somebody else, their own name as
it stands in the prompt. These rules know nothing of tokens or Discord: the engine asks them while a reply grows, and
what is sent passes them once more.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from storage.records import Conversation

# Opening and closing of a thought, family by family. The first are what most use.
THOUGHT_TAGS: tuple[tuple[str, str], ...] = (
    ("<think>", "</think>"),
    ("[THINK]", "[/THINK]"),
    ("◁think▷", "◁/think▷"),
    ("<seed:think>", "</seed:think>"),
    ("<|START_THINKING|>", "<|END_THINKING|>"),
    ("<|channel>thought", "<channel|>"),
    ("<|channel|>analysis", "<|channel|>final<|message|>"),
)
_NAMES = "think|thinking|thought|thoughts|reasoning|seed:think|antthinking|thinker"
_OPENING = re.compile(
    rf"<(?:{_NAMES})(?:\s[^<>]{{0,80}})?>|◁think▷|<\|(?:START_THINKING|begin_of_thought|think)\|>"
    r"|<\|channel>\s?thought\b|<unused94>(?:thought\b)?|<\|channel\|>\s?(?:analysis|commentary)\b|(?-i:\[THINK\])",
    re.IGNORECASE,
)
_CLOSING = re.compile(
    rf"</(?:{_NAMES})\s*>|◁/think▷|<\|(?:END_THINKING|end_of_thought|/think)\|>|<channel\|>|<unused95>"
    r"|<\|channel\|>\s?final\s?(?:<\|message\|>)?|(?-i:\[/THINK\])",
    re.IGNORECASE,
)
# What stands between a thought and the answer in the families that write a document of channels and solutions.
_FRAME = re.compile(
    r"<\|(?:start|message|begin_of_solution|START_RESPONSE|END_RESPONSE|end_of_solution)\|>(?:assistant)?"
)
_DECORATION = re.compile(r"^[\s>*_~`\"'<\[(@-]+|[\s*_~`\"'>\])]+$")
_LONGEST_LABEL = 80
# How data.chat.markup writes attachments and stickers.
_FILES_ALONE = re.compile(r"(?:\[(?:image|video|audio|file|sticker: [^\]\n]{0,80})\]\s*)+")
# Words that people put in front of what they say themselves ("note: ..."). Any other one in front of a further line is
# a speaker the model made up.
_OWN_LABELS = frozenset(
    "note notes edit update ps pps nb fyi fwiw btw tldr imo imho also example eg ie re question answer correction"
    " warning spoiler hint tip protip reminder today tomorrow tonight me".split()
)
_LABEL_WORD = re.compile(r"([^\W\d_][\w.'-]{0,23}):(?=\s)")
# A reply goes out a message a line; more than this in a row is a model that has lost its thread.
MOST_LINES = 5


def without_thoughts(text: str) -> str:
    """The text without thoughts: between their tags, before a closing tag alone (the prompt may hold the opening one),
    behind an opening tag alone. What is left keeps its form."""
    if not _may_hold_a_mark(text):
        return text
    while True:
        opening, closing = _OPENING.search(text), _CLOSING.search(text)
        if closing and (opening is None or closing.start() < opening.start()):
            text = text[closing.end() :]
        elif opening:
            end = _CLOSING.search(text, opening.end())
            text = text[: opening.start()] + (text[end.end() :] if end else "")
        else:
            break
    text = _FRAME.sub("", text)
    stripped = text.strip()
    is_cut_mark = len(stripped) > 3 and any(tag.startswith(stripped) for pair in THOUGHT_TAGS for tag in pair)
    return "" if is_cut_mark else text


def is_thinking(text: str) -> bool:
    """True while a growing text is inside a thought."""
    opened = [match.end() for match in _OPENING.finditer(text)]
    return bool(opened) and _CLOSING.search(text, opened[-1]) is None


def thought_mark(token_text: str) -> str:
    """A control token's spelling where it marks a thought, '' otherwise: those tokens are read, never written."""
    is_mark = (
        _OPENING.fullmatch(token_text)
        or _CLOSING.fullmatch(token_text)
        or token_text in ("<|channel|>", "<|message|>", "<|channel>", "<|start|>")
    )
    return token_text if is_mark else ""


@dataclass(frozen=True)
class Speakers:
    """Whose lines can be told apart in a reply. others: people of the talk; own: what the voice itself is called, both
    as `label_key` writes them. is_transcript: the prompt is lines of names, so that any name may follow."""

    others: frozenset[str] = frozenset()
    own: frozenset[str] = frozenset()
    is_transcript: bool = False

    @classmethod
    def of(cls, conversation: Conversation, *, is_transcript: bool = False, own_name: str = "") -> Speakers:
        """Everybody who speaks in a conversation or is recalled in it."""
        people = [turn.name for turn in (*conversation.turns, *conversation.recalled) if not turn.is_self]
        mine = [turn.name for turn in conversation.turns if turn.is_self]
        return cls.named(people, [*mine, conversation.own_name, own_name], is_transcript=is_transcript)

    @classmethod
    def named(cls, others: Iterable[str], own: Iterable[str] = (), *, is_transcript: bool = False) -> Speakers:
        """From names as people write them."""
        mine = _keys(own)
        return cls(_keys(others) - mine, mine, is_transcript)


def own_words(text: str, speakers: Speakers) -> tuple[str, bool]:
    """What of a reply the voice itself says, and whether somebody else's line began behind it.

    A name in front is taken off; the reply ends where a line begins with another's name ("Ana: ..."). In a transcript
    it ends with its line, unless the voice's own name opens the next one, where it begins to say the same again, where
    another name stands behind its own, and after as many lines as anybody writes in a row. What stands for a picture is
    not said: there is none.
    """
    kept: list[str] = []
    lines = text.split("\n")
    for number, line in enumerate(lines):
        label, rest = _label(line, speakers)
        if not any(kept):
            while label:
                line = rest
                label, rest = _label(line, speakers)
        elif label in speakers.own and label:
            line = rest
        elif label or (speakers.is_transcript and not _may_become_own(line, speakers)):
            return "\n".join(kept), True
        if speakers.is_transcript and any(kept):
            said = {each.strip().casefold() for each in kept}
            # While it grows, the last line may become another one than it looks like.
            is_said_again = number + 1 < len(lines) and line.strip().casefold() in said
            if is_said_again or len(kept) >= MOST_LINES or _has_made_up_speaker(line):
                return "\n".join(kept), True
        if not (speakers.is_transcript and _FILES_ALONE.fullmatch(line.strip())):
            kept.append(line)
    return "\n".join(kept), False


def spoken(text: str, speakers: Speakers) -> str:
    """`own_words` of what is no thought, without blanks around it."""
    return own_words(without_thoughts(text).strip(), speakers)[0].strip()


def label_key(name: str) -> str:
    """A name as two spellings of it compare equal: one line, without decoration, folded."""
    return " ".join(_DECORATION.sub("", _DECORATION.sub("", name)).split()).casefold()


def _label(line: str, speakers: Speakers) -> tuple[str, str]:
    """The name that opens a line as its key, and the rest; ('', line) where none does."""
    at = line.find(":")
    while 0 < at <= _LONGEST_LABEL:
        after = line[at + 1 :]
        if not after or after[0].isspace() or after.startswith(("**", "__")):
            key = label_key(line[:at])
            if key in speakers.others or key in speakers.own:
                return key, after.lstrip("*_").lstrip()
        at = line.find(":", at + 1)
    return "", line


def _has_made_up_speaker(line: str) -> bool:
    """Whether a line begins with a word and a colon, and the word is not one that people put there themselves."""
    found = _LABEL_WORD.match(line.lstrip())
    return found is not None and found[1].casefold() not in _OWN_LABELS


def _may_become_own(line: str, speakers: Speakers) -> bool:
    """While it grows, a line may still turn out to begin with the voice's own name."""
    start = label_key(line)
    return not start or any(f"{name}:".startswith(start) for name in speakers.own)


def _keys(names: Iterable[str]) -> frozenset[str]:
    return frozenset(filter(None, map(label_key, names)))


def _may_hold_a_mark(text: str) -> bool:
    return any(sign in text for sign in "<[◁")
