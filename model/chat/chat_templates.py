"""Turn markers of models other than ChatML ones, read off the chat template inside the model's file.

The Jinja template is rendered with marker words as contents; what stands between the markers is what the
family puts around turns. Nothing of a conversation ever passes through Jinja.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any

from model.prompts import CHATML, ChatTemplate

log = logging.getLogger(__name__)

_S, _U, _A, _V, _R = ("\u2063S\u2063", "\u2063U\u2063", "\u2063A\u2063", "\u2063V\u2063", "\u2063R\u2063")


def template_of(jinja_source: str | None, *, bos: str = "", eos: str = "", name: str = "model") -> ChatTemplate:
    """The template of a model file; ChatML where the file has none or it cannot be understood."""
    if not jinja_source:
        return CHATML
    try:
        template = _derive(_Renderer(jinja_source, bos, eos), bos, name)
        return CHATML if replace(template, name=CHATML.name) == CHATML else template
    except Exception as error:  # foreign code: whatever it raises means the same to us
        log.warning("The chat template of %s could not be read (%r); using ChatML.", name, error)
        return CHATML


class _Renderer:
    def __init__(self, source: str, bos: str, eos: str) -> None:
        from jinja2.sandbox import ImmutableSandboxedEnvironment

        environment = ImmutableSandboxedEnvironment(
            trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"]
        )
        environment.globals["raise_exception"] = _raise
        self._template = environment.from_string(source)
        self._tokens = {"bos_token": bos, "eos_token": eos}

    def __call__(self, *turns: tuple[str, str], cue: bool = False) -> str:
        messages = [{"role": role, "content": text} for role, text in turns]
        return self._template.render(messages=messages, add_generation_prompt=cue, tools=None, **self._tokens)


def _raise(message: str) -> Any:
    raise ValueError(message)


def _derive(render: _Renderer, bos: str, name: str) -> ChatTemplate:
    talk = render(("user", _U), ("assistant", _A), ("user", _V))
    user_close = render(("user", _U)).split(_U)[1]
    assistant_open = _without_prefix(render(("user", _U), cue=True).split(_U)[1], user_close)
    between = talk.split(_A)[1].split(_V)[0]
    assistant_close = render(("user", _U), ("assistant", _A)).split(_A)[1]
    user_open = _without_prefix(between, assistant_close)
    system_open, system_close, folded = _system(render, user_open, user_close)
    start = bos if folded and bos and talk.startswith(bos) and not user_open.startswith(bos) else ""
    recall_open, recall_close = _recall(render, assistant_close, user_open, user_close)
    return ChatTemplate(
        name=name,
        start=start,
        system_open=system_open,
        system_close=system_close,
        user_open=user_open,
        user_close=user_close,
        assistant_open=assistant_open,
        assistant_close=assistant_close,
        recall_open=recall_open,
        recall_close=recall_close,
    )


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


def _without_prefix(text: str, prefix: str) -> str:
    if not text.startswith(prefix):
        raise ValueError(f"{text!r} does not start with {prefix!r}")
    return text[len(prefix) :]
