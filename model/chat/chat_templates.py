"""Turn markers of a model, read off the chat template inside its file.

The Jinja template is rendered with marker words as contents, as llama.cpp and transformers render it; what stands
between the markers is what the family puts around turns. Nothing of a conversation ever passes through Jinja.
A model that thinks before it answers is asked not to: its switch is off, and the reply begins behind an empty thought.
"""

from __future__ import annotations

import json
import logging
import re
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from data.chat.spoken import THOUGHT_TAGS
from model.prompts import CHATML, ChatTemplate, transcript_layout
from storage.errors import ModelFileError

if TYPE_CHECKING:
    from jinja2.sandbox import ImmutableSandboxedEnvironment

log = logging.getLogger(__name__)

_S, _U, _A, _V, _R = ("\u2063S\u2063", "\u2063U\u2063", "\u2063A\u2063", "\u2063V\u2063", "\u2063R\u2063")
# A control string is one piece: what two texts have in common never ends inside one.
_PIECES = re.compile(r"<[^<>\s]{1,60}>|\[/?[A-Z_]{2,30}\]|\s+|\w+|.", re.DOTALL)
_CHATML_MARK = "<|im_start|>"


class TemplateError(ModelFileError):
    """A chat template that cannot be rendered or understood."""


def template_of(
    jinja_source: str | None,
    *,
    bos: str = "",
    eos: str = "",
    name: str = "model",
    adds_bos: bool = False,
    has_chatml: bool = False,
) -> ChatTemplate:
    """The turn markers of a model file: its template's, else ChatML where its vocabulary has the marks (`has_chatml`),
    else a plain transcript, for a base model was never taught any.

    adds_bos: the file asks for its BOS token before every text. Raises TemplateError for a template that is there but
    cannot be read.
    """
    start = bos if adds_bos else ""
    if not (jinja_source or "").strip():
        return replace(CHATML, start=start) if has_chatml else transcript_layout(bos=start)
    try:
        template = _derive(_Renderer(str(jinja_source), bos, eos), str(jinja_source), name)
    except Exception as error:  # foreign code: whatever it raises means the same to us
        log.debug("The chat template of %s", name, exc_info=True)
        raise TemplateError(
            f"The chat template inside {name} cannot be read ({_short(error)}).",
            "Choose another file of this model, or set Settings > Model > Prompt layout to 'chatml' (for most models "
            "that answer) or 'transcript' (for any).",
        ) from error
    if start and not (template.start + template.system_open).startswith(start):
        template = replace(template, start=start + template.start)
    return CHATML if replace(template, name=CHATML.name) == CHATML else template


def _short(error: Exception) -> str:
    words = " ".join(str(error).split())
    return f"{type(error).__name__}: {words}"[:160]


class _Renderer:
    """Renders messages as llama.cpp and transformers do: same functions, same filters, same variables."""

    def __init__(self, source: str, bos: str, eos: str) -> None:
        self._template = _environment().from_string(source)
        self._variables = {
            "bos_token": bos,
            "eos_token": eos,
            "tools": None,
            "documents": None,
            # The switches of the families that think: Qwen3, SmolLM3 and GLM; DeepSeek and Kimi; gpt-oss.
            "enable_thinking": False,
            "thinking": False,
            "reasoning_effort": "low",
        }
        self._is_typed = False
        self._is_typed = not self._takes_text()  # families that look and listen want a list of typed parts

    def __call__(self, *turns: tuple[str, str], cue: bool = False) -> str:
        messages = [{"role": role, "content": self._content(text)} for role, text in turns]
        return self._template.render(messages=messages, add_generation_prompt=cue, **self._variables)

    def _takes_text(self) -> bool:
        try:
            return _U in self(("user", _U))
        except Exception as error:  # foreign code; if typed parts do not help either, that error is told
            log.debug("No plain text: %s", error)
            return False

    def _content(self, text: str) -> Any:
        return [{"type": "text", "text": text}] if self._is_typed else text


def _environment() -> ImmutableSandboxedEnvironment:
    from jinja2 import nodes
    from jinja2.ext import Extension
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    class Generation(Extension):
        """`{% generation %}` marks the assistant's words for training; for a prompt it is nothing."""

        tags = {"generation"}  # noqa: RUF012 - as the base class declares it

        def parse(self, parser: Any) -> list[nodes.Node]:
            next(parser.stream)
            return list(parser.parse_statements(("name:endgeneration",), drop_needle=True))

    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols", Generation]
    )
    environment.globals["raise_exception"] = _raise
    environment.globals["strftime_now"] = lambda form: datetime.now().strftime(form)
    environment.filters["tojson"] = _to_json
    return environment


def _raise(message: str) -> Any:
    raise ValueError(message)


def _to_json(value: Any, ensure_ascii: bool = False, indent: int | None = None, **options: Any) -> str:
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, **options)


def _derive(render: _Renderer, source: str, name: str) -> ChatTemplate:
    talk = render(("user", _U), ("assistant", _A), ("user", _V))
    to_answer, to_question = _between(talk, _U, _A), _between(talk, _A, _V)
    # A template may add something of its own at the end where no answer is asked for: it is in neither of the others.
    asked = _after(render(("user", _U), cue=True), _U)
    user_close = _common(_common(_after(render(("user", _U)), _U), asked), to_answer)
    assistant_open, cue = to_answer[len(user_close) :], asked[len(user_close) :]
    if assistant_open.strip() == cue.strip():
        assistant_open = cue  # a blank between them belongs to the first word
    ended = _after(render(("user", _U), ("assistant", _A)), _A)
    assistant_close = _common(ended, to_question)
    if not assistant_close and ended.strip():  # the last turn ends in another way than those before it
        assistant_close = _PIECES.findall(to_question)[0]
    user_open = to_question[len(assistant_close) :]
    head = talk.split(_U)[0]
    system_open, system_close, is_folded = _system(render, user_open, user_close)
    recall_open, recall_close = _recall(render, assistant_close, user_open, user_close)
    reply_open = _without_thinking(assistant_open, cue, source)
    return ChatTemplate(
        name=name,
        start=head.removesuffix(user_open) if is_folded else "",
        system_open=system_open,
        system_close=system_close,
        user_open=user_open,
        user_close=user_close,
        assistant_open=assistant_open,
        assistant_close=assistant_close,
        recall_open=recall_open,
        recall_close=recall_close,
        reply_open="" if reply_open == assistant_open else reply_open,
    )


def _without_thinking(assistant_open: str, cue: str, source: str) -> str:
    """How a reply begins so that the answer comes at once: where earlier answers begin, or behind an empty thought."""
    if assistant_open.startswith(cue):
        cue = assistant_open  # gpt-oss: earlier answers stand in a channel that the cue leaves open
    for opening, closing in THOUGHT_TAGS:
        if closing in cue:
            return cue
        if cue.rstrip().endswith(opening):
            return f"{cue.rstrip()}\n\n{closing}\n\n"
    # No switch, and yet the template speaks of thoughts: it would open one on its own (DeepSeek R1, QwQ, Magistral).
    has_switch = "enable_thinking" in source
    for opening, closing in THOUGHT_TAGS:
        if closing in source and not has_switch and not opening.startswith("<|channel"):
            return f"{cue}{opening}\n\n{closing}\n\n"
    return cue


def _system(render: _Renderer, user_open: str, user_close: str) -> tuple[str, str, bool]:
    """Opening and closing of the system block; a user turn for families without system prompts."""
    try:
        text = render(("system", _S), ("user", _U))
        before, rest = text.split(_S)
        middle = rest.split(_U)[0]
        if not middle.endswith(user_open):
            return user_open, user_close, True
        return before, middle[: len(middle) - len(user_open)], False
    except Exception as error:  # foreign code refuses in its own way; the family has no system turn
        log.debug("No system turn: %s", error)
        return user_open, user_close, True


def _recall(render: _Renderer, assistant_close: str, user_open: str, user_close: str) -> tuple[str, str]:
    """Frame of a system turn in the middle of a conversation, if the family has such a thing."""
    try:
        text = render(("system", _S), ("user", _U), ("assistant", _A), ("system", _R), ("user", _V))
        opening = _without_prefix(text.split(_A)[1].split(_R)[0], assistant_close)
        middle = text.split(_R)[1].split(_V)[0]
        if opening and middle.endswith(user_open):
            return opening, middle[: len(middle) - len(user_open)]
    except Exception as error:  # as above
        log.debug("No system turns inside a conversation: %s", error)
    return user_open, user_close


def _after(text: str, mark: str) -> str:
    _, found, rest = text.partition(mark)
    if not found:
        raise ValueError("it leaves out what was said")
    return rest


def _between(text: str, first: str, second: str) -> str:
    middle, found, _ = _after(text, first).partition(second)
    if not found:
        raise ValueError("it leaves out what was said")
    return middle


def _common(first: str, second: str) -> str:
    """The start two texts have in common, in whole words and control strings."""
    length = 0
    for one, other in zip(_PIECES.findall(first), _PIECES.findall(second), strict=False):
        if one != other:
            break
        length += len(one)
    return first[:length]


def _without_prefix(text: str, prefix: str) -> str:
    if not text.startswith(prefix):
        raise ValueError(f"{text!r} does not start with {prefix!r}")
    return text[len(prefix) :]
