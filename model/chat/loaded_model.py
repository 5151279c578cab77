"""A model in memory with everything that hangs on it: weights, context, channels' caches, prompts.

It can be given back to the system and opened again, and replaced by another file. All but `encode` and `abort` is for
the thread that computes.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from model.catalog import shown_name
from model.chat.engine import Engine
from model.chat.offload import Offload
from model.chat.prompting import PromptBuilder
from model.draft_scorer import read_scorer, scorer_path
from model.layouts import layout_of
from model.llama_cpp_api import ContextOptions, NativeModel
from model.prompts import CHATML, ChatTemplate, transcript_layout
from storage.settings import TRANSCRIPT


class LoadedModel:
    """Raises ModelFileError when the file or the adapter cannot be used. template: the prompt layout's setting.

    offload: how many layers go onto a graphics card; None leaves that to the options.
    """

    def __init__(
        self,
        path: Path,
        options: ContextOptions,
        *,
        n_ctx: int,
        template: str,
        adapter: Path | None,
        park_bytes: int,
        clock: Callable[[], float],
        offload: Offload | None = None,
    ) -> None:
        self._offload = offload
        self._options, self.n_ctx, self._wanted_template = options, n_ctx, template
        self._park_bytes, self._clock = park_bytes, clock
        # Guards the vocabulary against being freed while another thread tokenises.
        self._vocabulary = threading.RLock()
        self.is_released = False
        self._open(path, adapter)

    def _open(self, path: Path, adapter: Path | None) -> None:
        # Asked at every loading: another model, and what is free on the card by then.
        opened = self._offload.open if self._offload is not None else NativeModel
        native = opened(path, self._options)
        try:
            if adapter is not None:
                native.set_adapter(adapter)
        except BaseException:
            native.close()
            raise
        self.is_released = False
        self.threads = native.threads
        self.path, self.adapter = path, adapter
        self.size_bytes = native.header.size_bytes
        try:
            self.template = template_in(native, self._wanted_template, adapter)
        except BaseException:
            native.close()
            raise
        self.engine = Engine(native, park_bytes=self._park_bytes, clock=self._clock)
        self.native = native
        self.scorer = read_scorer(scorer_path(adapter or path))
        self.prompts = PromptBuilder(self.template, native.encode, self.n_ctx)

    @property
    def name(self) -> str:
        """What the model and its adapter are called."""
        return shown_name(self.path, self.adapter)

    def encode(self, text: str, special: bool) -> list[int] | None:
        """Token ids of a text, from any thread; None while the memory is given back."""
        with self._vocabulary:
            return None if self.is_released else self.native.encode(text, special)

    def abort(self) -> None:
        """Make the running computation stop, from any thread."""
        self.native.abort()

    def release(self) -> None:
        """Give the memory back. Safe to call twice."""
        with self._vocabulary:
            if not self.is_released:
                self.is_released = True
                self.engine.close()

    def reopen(self) -> None:
        """Load again what was released."""
        with self._vocabulary:
            if self.is_released:
                self._open(self.path, self.adapter)

    def switch(self, path: Path, adapter: Path | None) -> None:
        """Another file in place of this one, which is freed first. When the new one fails the old one is opened again
        and the error is raised."""
        from model.files.model_kind import check_adapter, check_chat_model

        header = check_chat_model(path)
        if adapter is not None:
            check_adapter(adapter, base=header)
        before = (self.path, self.adapter)
        with self._vocabulary:
            self.release()
            try:
                self._open(path, adapter)
            except BaseException:
                self._open(*before)
                raise

    def set_adapter(self, adapter: Path | None) -> None:
        """Another LoRA adapter, or none, on the same weights; everything computed is dropped."""
        self.reopen()
        template = template_in(self.native, self._wanted_template, adapter)
        self.native.set_adapter(adapter)
        self.clear()
        self.adapter, self.template = adapter, template
        self.scorer = read_scorer(scorer_path(adapter or self.path))
        self.prompts = PromptBuilder(template, self.native.encode, self.n_ctx)

    def forget(self, channel: int) -> None:
        """Drop everything computed for a channel."""
        if not self.is_released:
            self.engine.forget(channel)
            self.prompts.forget(channel)

    def clear(self) -> None:
        """Drop everything computed."""
        if not self.is_released:
            self.engine.clear()
            self.prompts.clear()


def template_in(native: NativeModel, wanted: str, adapter: Path | None = None) -> ChatTemplate:
    """How turns are marked: one of the setting's choices, 'auto' as the model was trained. Raises ModelFileError."""
    from model.chat.chat_templates import template_of

    bos, eos = native.token_text(native.bos), native.token_text(native.eos)
    start = bos if native.adds_bos else ""
    layout = layout_of(native.path, adapter) if wanted == "auto" else wanted
    if layout == TRANSCRIPT:
        return transcript_layout(bos=start, eos=eos)
    if layout == "chatml":
        return replace(CHATML, start=start)
    return template_of(
        native.chat_template(),
        bos=bos,
        eos=eos,
        name=native.path.name,
        adds_bos=native.adds_bos,
        has_chatml=len(native.encode(CHATML.user_open.partition("user")[0], True)) == 1,
    )
