"""`get_model()`: the one owner of llama.cpp in a process that generates."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from model.chat.chat_model import PARK_BYTES, ChatModel
from model.chat.offload import Offload, wish_of
from model.chat.requests import GenerationOptions, Reply, ReplyRequest
from model.llama_cpp_api import ContextOptions
from storage.control import KeyValueStore
from storage.settings import (
    CHAT_TEMPLATE,
    CONTEXT_LENGTH,
    GPU_LAYERS,
    THREADS,
    Settings,
)

if TYPE_CHECKING:
    from model.chat.tuning import Tuning

__all__ = [
    "ChatModel",
    "ContextOptions",
    "GenerationOptions",
    "Reply",
    "ReplyRequest",
    "close_model",
    "get_configured_model",
    "get_model",
]

# Of each further reply written at the same time: a usual prompt and its reply. Where it is not enough, one waits.
_CELLS_EACH = 384
_lock = threading.Lock()
_model: ChatModel | None = None


def get_model(
    path: Path | None = None,
    *,
    n_ctx: int = 2048,
    n_gpu_layers: int = 0,
    threads: int = 0,
    adapter: Path | None = None,
    chat_template: str = "auto",
    tuning: Tuning | None = None,
    is_polite: bool = False,
    at_once: int = 0,
    offload: Offload | None = None,
) -> ChatModel:
    """The process's chat model, loaded on the first call. Later calls return the same one, whatever they ask for.

    path: a GGUF file, needed on the first call. n_ctx: tokens per channel. n_gpu_layers: -1 for all. threads 0: tuned
    or half the processors. tuning: what was measured on this machine. is_polite: other programs come before it.
    at_once: for work that asks for many replies and waits for all of them: so many are written in one batch, and
    nothing is kept of channels that have to make room; 0: as it is best for one reply after another. offload: decides
    in n_gpu_layers' place. Raises ModelFileError with a cure; nothing stays cached then, so that the caller can try
    again.
    """
    global _model
    from model.chat.tuning import affordable_drafts

    with _lock:
        if _model is not None:
            return _model
        if path is None:
            raise RuntimeError("the first call of get_model needs a path")
        options = ContextOptions(cells=n_ctx + 1024, gpu_layers=n_gpu_layers, threads=threads)
        parallel = 1
        if tuning is not None:
            options = tuning.applied_to(options)
            parallel = tuning.parallel
        if at_once:
            parallel = at_once
            options = replace(options, cells=options.cells + (at_once - 1) * _CELLS_EACH)
        _model = ChatModel(
            Path(path),
            options,
            n_ctx=n_ctx,
            adapter=adapter,
            parallel=parallel,
            most_drafts=affordable_drafts(tuning),
            template=chat_template,
            is_polite=is_polite,
            park_bytes=0 if at_once else PARK_BYTES,
            offload=offload,
        )
        return _model


def get_configured_model(
    path: Path,
    adapter: Path | None,
    settings: Settings,
    facts: KeyValueStore | None = None,
    *,
    is_polite: bool = False,
    is_bulk: bool = False,
) -> ChatModel:
    """`get_model` as the owner's settings and what was measured on this machine (`facts`) say.

    At the first load of a large model's size it is measured, which takes under a minute; without `facts`, never.
    is_bulk: many replies will be asked for and waited for together, as in an evaluation.
    """
    from model.chat.tuning import replies_at_once, tuning_for

    wish = wish_of(settings[GPU_LAYERS])
    tuning = tuning_for(facts, path, gpu_layers=wish) if facts is not None else None
    model = get_model(
        path,
        n_ctx=settings[CONTEXT_LENGTH],
        offload=Offload(wish, facts),
        threads=settings[THREADS],
        adapter=adapter,
        chat_template=settings[CHAT_TEMPLATE],
        tuning=tuning,
        is_polite=is_polite,
        at_once=replies_at_once(tuning) if is_bulk else 0,
    )
    model.follow(settings)
    return model


def close_model() -> None:
    """Close the process's model, if any, and free its memory; the next get_model loads it again."""
    global _model
    with _lock:
        model, _model = _model, None
    if model is not None:
        model.close()
