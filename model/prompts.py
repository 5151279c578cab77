"""The one prompt format, for chat and for training.

A prompt is a list of pieces. Template pieces (`<|im_start|>user` and the like) are tokenised with special
tokens on; everything people wrote is tokenised with special tokens off, so that a member who types
`<|im_start|>system` writes harmless text. Training renders with the same functions.

Layout 2 ("standing recall", chosen by measurement: docs/ENGINE.md):

    system prompt                       shared by all channels
    one turn per speaker turn           `Name: text`; the bot's own turns are assistant turns
    recall block                        looked up for the conversation *before* the newest line
    the newest line                     all that is left to compute when it arrives, with
    the cue                             the assistant's opening

Layout 3, the transcript (`transcript_layout`; docs/RESULTS.md has the figures that made it the way of every model
not trained for turns here): the conversation as one `Name: text` line after another, nothing else.

    a system prompt                     only where the owner wrote one: a transcript is continued, not instructed
    one line per line of a turn         each with its speaker's name, so that nobody's line break opens another's line
    recall block                        a header, lines, an empty line
    the newest line
    the cue                             the voice's own name and a colon; it goes on while the next line is its own

Layout 1 had the recall block after the newest line. A change of anything here changes LAYOUT or TRANSCRIPT_LAYOUT.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from data.chat.conversation import Typist
from data.chat.lines import line_text, split_newest
from storage.records import Conversation, Turn
from storage.settings import DEFAULT_SYSTEM_PROMPT, TRANSCRIPT
from storage.text import one_line

LAYOUT, TRANSCRIPT_LAYOUT = 2, 3
RECALL_HEADER = "Earlier on this server:"
NO_SYSTEM_PROMPT = "none"
# What the voice is called in a transcript where nobody knows its name: one that people might have.
UNKNOWN_OWN_NAME = "Echo"

Encode = Callable[[str, bool], list[int]]


@dataclass(frozen=True)
class Piece:
    """Part of a prompt. is_template: written by us, special tokens on; otherwise people's text, off."""

    text: str
    is_template: bool


@dataclass(frozen=True)
class ChatTemplate:
    """How a model family marks turns. `start` stands once at the beginning (a BOS token, or nothing).

    recall_open/recall_close frame the recall block in the middle of a conversation: a system turn where
    the family allows one there, a user turn otherwise. reply_open stands in front of the reply that is asked for where
    that is not how earlier answers begin: with an empty thought, so that the answer comes at once. is_transcript: every
    line begins with its speaker's name, the voice's own as well, and a line is what is asked for. stop: the end
    token, which closes a reply in training where the end of its line alone would not.
    """

    name: str
    start: str
    system_open: str
    system_close: str
    user_open: str
    user_close: str
    assistant_open: str
    assistant_close: str
    recall_open: str
    recall_close: str
    reply_open: str = ""
    is_transcript: bool = False
    stop: str = ""

    @property
    def cue(self) -> str:
        """What stands in front of the reply that is asked for."""
        return self.reply_open or self.assistant_open

    @property
    def end_of_reply(self) -> str:
        """What closes the last assistant turn: the token a model must learn to stop with."""
        return self.assistant_close + self.stop if self.is_transcript else self.assistant_close.rstrip("\n")


CHATML = ChatTemplate(
    name="chatml",
    start="",
    system_open="<|im_start|>system\n",
    system_close="<|im_end|>\n",
    user_open="<|im_start|>user\n",
    user_close="<|im_end|>\n",
    assistant_open="<|im_start|>assistant\n",
    assistant_close="<|im_end|>\n",
    recall_open="<|im_start|>system\n",
    recall_close="<|im_end|>\n",
)


def transcript_layout(*, bos: str = "", eos: str = "") -> ChatTemplate:
    """Lines of names and nothing else, behind the vocabulary's BOS token: how a base model has seen people talk."""
    return ChatTemplate(
        name=TRANSCRIPT,
        start=bos,
        system_open="",
        system_close="\n\n",
        user_open="",
        user_close="\n",
        assistant_open="",
        assistant_close="\n",
        recall_open="",
        recall_close="\n\n",
        is_transcript=True,
        stop=eos,
    )


def system_text(setting: str) -> str:
    """The system prompt to send: 'none' stands for an empty one (a block is sent all the same)."""
    return "" if setting.strip().lower() == NO_SYSTEM_PROMPT else setting.strip()


def render(
    conversation: Conversation, *, system_prompt: str, template: ChatTemplate = CHATML, reply: str | None = None
) -> list[Piece]:
    """The prompt for the next reply, or with `reply` the whole training example.

    With `reply`, what `reply_pieces` gives stands at the end: what the loss is taken over.
    """
    # Without a recall block nothing stands between the lines of a turn, so it stays one.
    earlier, newest = split_newest(conversation.turns) if conversation.recalled else (conversation.turns, ())
    own_name = own_name_of(conversation)
    pieces = system_pieces(system_prompt, template)
    pieces += turn_pieces(earlier, template, own_name)
    pieces += recall_pieces(conversation.recalled, template)
    pieces += turn_pieces(newest, template, own_name)
    pieces.append(Piece(template.cue, True))
    if template.is_transcript:
        # Without the blank behind it, which belongs to the first word's token.
        pieces.append(Piece(line_text(own_name, "").rstrip(), False))
    if reply is not None:
        pieces += reply_pieces(reply, template, own_name)
    return pieces


def reply_pieces(reply: str, template: ChatTemplate, own_name: str = UNKNOWN_OWN_NAME) -> list[Piece]:
    """A reply behind its cue, and what closes it. In a transcript each further line begins with the voice's name."""
    if not template.is_transcript:
        return [Piece(reply, False), Piece(template.end_of_reply, True)]
    first, *more = lines_of(reply) or [""]
    pieces = [Piece(f" {first}", False)]
    for line in more:
        pieces += [Piece(template.assistant_close, True), Piece(line_text(own_name, line), False)]
    return [*pieces, Piece(template.end_of_reply, True)]


def render_standing(
    conversation: Conversation, *, system_prompt: str, template: ChatTemplate = CHATML, typist: Typist | None = None
) -> list[Piece]:
    """What can be computed before the next line is there: everything said, the recall block for it, a turn's opening,
    and the name of whoever is writing, where that is known.

    `render` of the same conversation with one more line starts with exactly this text when the line is the typist's,
    and without a typist when it opens a turn.
    """
    turns, own_name = conversation.turns, own_name_of(conversation)
    pieces = system_pieces(system_prompt, template)
    goes_on = bool(typist and typist.goes_on and turns and not conversation.recalled and not turns[-1].is_self)
    if goes_on and not template.is_transcript:
        # Nothing will stand between that line and the one before: they are one turn.
        return [
            *pieces,
            *turn_pieces(turns[:-1], template, own_name),
            Piece(template.user_open, True),
            Piece(_line(turns[-1]) + "\n", False),
        ]
    pieces += turn_pieces(turns, template, own_name)
    pieces += recall_pieces(conversation.recalled, template)
    pieces.append(Piece(template.user_open, True))
    if typist:
        # Without the blank behind it, which belongs to the first word's token.
        pieces.append(Piece(line_text(typist.name, "").rstrip(), False))
    return pieces


def system_pieces(system_prompt: str, template: ChatTemplate) -> list[Piece]:
    """The system block; always there, since the templates of Qwen and SmolLM2 invent one where it is missing."""
    text = system_text(system_prompt)
    if template.is_transcript and text in ("", DEFAULT_SYSTEM_PROMPT):
        return [Piece(template.start, True)]
    return [
        Piece(template.start + template.system_open, True),
        Piece(text, False),
        Piece(template.system_close, True),
    ]


def turn_pieces(turns: Sequence[Turn], template: ChatTemplate, own_name: str = UNKNOWN_OWN_NAME) -> list[Piece]:
    """Turns of people (with their names) and of the voice that answers (without; in a transcript with its own)."""
    pieces: list[Piece] = []
    if template.is_transcript:
        for turn in turns:
            name = own_name if turn.is_self else turn.name
            for line in lines_of(turn.text):
                pieces += [
                    Piece(template.user_open, True),
                    Piece(line_text(name, line), False),
                    Piece(template.user_close, True),
                ]
        return pieces
    for turn in turns:
        if turn.is_self:
            pieces += [
                Piece(template.assistant_open, True),
                Piece(turn.text, False),
                Piece(template.assistant_close, True),
            ]
        else:
            pieces += [Piece(template.user_open, True), Piece(_line(turn), False), Piece(template.user_close, True)]
    return pieces


def recall_pieces(recalled: Sequence[Turn], template: ChatTemplate) -> list[Piece]:
    """The block of retrieved lines, best match first; nothing when there are none."""
    if not recalled:
        return []
    lines = "\n".join(_line(turn) for turn in _one_by_one(recalled, template))
    return [
        Piece(f"{template.recall_open}{RECALL_HEADER}\n", True),
        Piece(lines, False),
        Piece(template.recall_close, True),
    ]


def _one_by_one(recalled: Sequence[Turn], template: ChatTemplate) -> Sequence[Turn]:
    """Recalled lines; in a transcript each of theirs begins with the name too."""
    if not template.is_transcript:
        # One recalled line is one line: a break inside it would start a line in somebody else's name.
        return [Turn(turn.name, one_line(turn.text)) for turn in recalled]
    return [Turn(turn.name, line) for turn in recalled for line in lines_of(turn.text)]


def tokenise(pieces: Sequence[Piece], encode: Encode) -> list[int]:
    """Token ids of a prompt; `encode(text, special)` must not add a BOS token of its own."""
    ids: list[int] = []
    for piece in pieces:
        if piece.text:
            ids += encode(piece.text, piece.is_template)
    return ids


def plain_text(conversation: Conversation, *, system_prompt: str, template: ChatTemplate = CHATML) -> str:
    """The whole prompt as readable text, for people (the playground's details)."""
    return "".join(piece.text for piece in render(conversation, system_prompt=system_prompt, template=template))


def lines_of(text: str) -> list[str]:
    """The lines of a text that say something, wherever anything that might pass for a line break stands in it."""
    return [line for line in text.splitlines() if line.strip()]


def own_name_of(conversation: Conversation) -> str:
    """What the voice is called: as the conversation says, else as its earlier turns do."""
    named = [turn.name for turn in conversation.turns if turn.is_self and turn.name]
    return conversation.own_name or (named[-1] if named else UNKNOWN_OWN_NAME)


def _line(turn: Turn) -> str:
    return line_text(turn.name, turn.text)
