"""A loaded chat model: requests in, replies out.

A `ChatModel` has one worker thread, and only that thread touches llama.cpp's context. Everybody else leaves requests:

- `submit(request)` gives a future; mentions before random replies, bounded, fair between channels, with a deadline;
- `listen(channel, conversation, system_prompt)` lets the worker compute what has been said while nobody waits;
- `prepare(request)` lets it compute the prompt of a reply that will be asked for in a moment;
- cancelling a future, or a reply arriving while the worker listens, stops a computation within one operation.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import CancelledError, Future
from pathlib import Path
from typing import Any

from data.chat.conversation import Typist
from model.chat.host_load import Lookout
from model.chat.loaded_model import LoadedModel
from model.chat.offload import Offload
from model.chat.prefill_queue import PrefillRequest
from model.chat.reply_queue import QueuedReply, ReplyFuture, ReplyQueue, gave_way
from model.chat.requests import Reply, ReplyRequest, being_replaced
from model.chat.worker import InferenceThread, InferenceWork
from model.llama_cpp_api import ContextOptions
from model.prompts import ChatTemplate, own_name_of, reply_pieces, tokenise
from storage.records import Conversation
from storage.settings import CHAT, FREE_MEMORY, KEEP_CACHE_SECONDS, LISTENING, TRANSCRIPT, Settings

_MAX_WAITING = 32
# Most memory for what was computed for channels that had to make room.
PARK_BYTES = 64 << 20
# No channel of Discord has this number.
_SCORING = -1


class ChatModel:
    """A loaded chat model. Built by `get_model`; usable from any thread, and `submit` from an event loop."""

    def __init__(
        self,
        path: Path,
        options: ContextOptions,
        *,
        n_ctx: int = 2048,
        template: str = CHAT,
        adapter: Path | None = None,
        keep_seconds: float = 600.0,
        park_bytes: int = PARK_BYTES,
        parallel: int = 1,
        most_drafts: int = 1,
        max_waiting: int = _MAX_WAITING,
        is_polite: bool = False,
        lookout: Lookout | None = None,
        offload: Offload | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.n_ctx, self.is_listening_allowed = n_ctx, True
        self._clock, self._limit = clock, max_waiting
        self._lookout = lookout or Lookout()
        started = time.monotonic()
        self._loaded = LoadedModel(
            path,
            options,
            n_ctx=n_ctx,
            template=template,
            adapter=adapter,
            park_bytes=park_bytes,
            clock=clock,
            offload=offload,
        )
        self.load_seconds = time.monotonic() - started
        self._work = InferenceWork(ReplyQueue(max_waiting))
        self._worker = InferenceThread(
            self._loaded,
            self._work,
            parallel=parallel,
            most_drafts=most_drafts,
            keep_seconds=keep_seconds,
            is_polite=is_polite,
            lookout=self._lookout,
            clock=clock,
        )
        self._worker.start()

    @property
    def path(self) -> Path:
        """The file in use."""
        return self._loaded.path

    @property
    def name(self) -> str:
        """What people know it by: the files' names without endings."""
        return self._loaded.name

    @property
    def adapter(self) -> Path | None:
        """The LoRA adapter in use."""
        return self._loaded.adapter

    @property
    def size_bytes(self) -> int:
        """What the weights take in memory."""
        return self._loaded.size_bytes

    @property
    def template(self) -> ChatTemplate:
        """How turns are marked for this model."""
        return self._loaded.template

    @property
    def layout(self) -> str:
        """TRANSCRIPT or CHAT: how it reads a conversation, and which sampling it is asked with by default."""
        return TRANSCRIPT if self.template.is_transcript else CHAT

    # ---- for everybody --------------------------------------------------------------------------------

    @property
    def at_once(self) -> int:
        """How many replies are written in one batch."""
        return self._worker.parallel

    @property
    def queue_length(self) -> int:
        """Replies waiting or being written."""
        return len(self._work.queue) + self._worker.replies_at_work

    def encode(self, text: str, special: bool) -> list[int]:
        """Token ids of a text. special: control strings become control tokens (for template pieces only)."""
        tokens = self._loaded.encode(text, special)
        if tokens is not None:
            return tokens
        self.ask(self._loaded.reopen)
        return self.encode(text, special)

    def count_tokens(self, text: str) -> int:
        """How many tokens a text of a person is."""
        return len(self.encode(text, False))

    def submit(self, request: ReplyRequest) -> ReplyFuture:
        """Ask for a reply. The future gives a Reply, or raises ModelBusyError or ReplyTooLateError."""
        job = QueuedReply(request, ReplyFuture(self._cancel), self._clock())
        with self._work.changed:
            if self._work.is_closing:
                raise being_replaced()
            victim = self._work.queue.add(job)
            self._worker.interrupt_idle_work(except_for=request.channel_id)
            self._work.changed.notify_all()
        if victim is not None:
            victim.future.set_exception(gave_way(self._limit))
        return job.future

    def generate(self, request: ReplyRequest) -> Reply:
        """Ask for a reply and wait for it."""
        return self.submit(request).result()

    def cancel(self, future: Future[Reply]) -> bool:
        """Stop a reply, waiting or being written."""
        return future.cancel()

    def listen(
        self,
        channel_id: int,
        conversation: Conversation,
        system_prompt: str,
        *,
        keep_turns: int = 5,
        typist: Typist | None = None,
    ) -> None:
        """Compute a channel's conversation while nobody waits, so that a reply pays for its newest line only.

        Call it after every message that is not answered, after every reply, and when somebody begins to write: their
        name (`typist`) is computed too then. `conversation.recalled`: lines looked up for this conversation; pass the
        same ones with the next reply's conversation.
        """
        if not self.is_listening_allowed or self._loaded.is_released or self._lookout.look().is_quiet_time:
            return
        with self._work.changed:
            self._work.listening.hear(
                PrefillRequest(channel_id, conversation, system_prompt, keep_turns, typist=typist)
            )
            self._work.changed.notify_all()

    def prepare(self, request: ReplyRequest) -> None:
        """A reply will be asked for in a moment: compute its prompt meanwhile, before what is merely heard.

        Unlike `listen` this happens on battery too and with reading along switched off, since the reply would have to
        do the same work; a model whose memory was given back is loaded. When more is said before it is asked for,
        prepare it again.
        """
        with self._work.changed:
            self._work.listening.hear(
                PrefillRequest(
                    request.channel_id,
                    request.conversation,
                    request.system_prompt,
                    request.keep_turns,
                    request.options.max_tokens,
                )
            )
            self._worker.interrupt_reading_ahead(except_for=request.channel_id)
            self._work.changed.notify_all()

    def wait_until_idle(self, *, timeout_seconds: float) -> bool:
        """Wait until nothing is left to answer or to compute; False when the time is over."""
        with self._work.changed:
            return self._work.changed.wait_for(
                lambda: not (self.queue_length or self._work.listening or self._work.tasks or self._worker.heard),
                timeout_seconds,
            )

    def log_probabilities(self, request: ReplyRequest, reply: str) -> list[float]:
        """Natural log-probability of each token of `reply` as the answer to a request, behind the prompt it would get
        in a channel that nothing was said in before."""
        # Without what closes it; the pieces' borders are the prompt's.
        own_name = own_name_of(request.conversation)
        target = tokenise(reply_pieces(reply, self.template, own_name)[:-1], self.encode)

        def prompt() -> list[int]:
            self._loaded.reopen()
            prompts = self._loaded.prompts
            try:
                return prompts.reply_tokens(
                    _SCORING,
                    request.conversation,
                    request.system_prompt,
                    keep_turns=request.keep_turns,
                    max_tokens=max(request.options.max_tokens, len(target)),
                )
            finally:
                prompts.forget(_SCORING)

        return self.score_tokens(self.ask(prompt), target)

    def score_tokens(self, prompt: Sequence[int], target: Sequence[int]) -> list[float]:
        """Natural log-probability of each target token after the prompt (its end, where it is too long)."""
        room = self.n_ctx - len(target)
        if not target or room < 1:
            return []
        self.ask(self._loaded.reopen)
        found: list[float] = self.ask(lambda: self._loaded.engine.log_probabilities(_SCORING, prompt[-room:], target))
        return found

    def forget_channels(self, channel_ids: Collection[int]) -> None:
        """`forget_channel` for many, done when it returns; waits for replies being written."""
        self.ask(lambda: [self._worker.forget(channel_id) for channel_id in channel_ids])

    def forget_channel(self, channel_id: int) -> None:
        """Drop everything computed for a channel (its messages changed, or it may no longer be read)."""
        with self._work.changed:
            self._work.listening.forget(channel_id)
            self._later(lambda: self._worker.forget(channel_id))
            self._worker.drop_reading(channel_id)

    def free_caches(self) -> None:
        """Drop everything computed for all channels."""
        self._later(self._worker.clear)

    def set_adapter(self, adapter: Path | None) -> None:
        """Switch the LoRA adapter without reloading the model; waits for the reply being written."""
        self.ask(lambda: self._change(self._loaded.set_adapter, adapter))

    def switch(self, path: Path, adapter: Path | None = None) -> None:
        """Load another model in place of this one: the old one is freed first, so there are never two in memory.

        When the new file cannot be loaded the old one is opened again and the error is raised.
        """
        self.ask(lambda: self._change(self._loaded.switch, path, adapter))

    def _change(self, change: Callable[..., None], *files: Path | None) -> None:
        change(*files)
        self._worker.memory.clear()  # what another model said is not repeated

    @property
    def is_released(self) -> bool:
        """True while the model's memory is given back."""
        return self._loaded.is_released

    def release(self) -> Future[None]:
        """Give the model's memory back (a game wants the graphics card), after the replies being written. The future
        tells when; the next reply loads it again."""
        return self._later(self._worker.release)

    def follow(self, settings: Settings) -> None:
        """Take over what can change while the model is loaded: reading along, how long a channel is kept, and when the
        memory is given back on its own."""
        self.is_listening_allowed = settings[LISTENING]
        self._worker.keep_seconds = settings[KEEP_CACHE_SECONDS]
        self._worker.free_memory = settings[FREE_MEMORY]

    def ask(self, task: Callable[[], Any]) -> Any:
        """Run something on the worker thread, between replies, and wait for its result."""
        return self._later(task).result()

    def _later(self, task: Callable[[], Any]) -> Future[Any]:
        future: Future[Any] = Future()
        with self._work.changed:
            if self._work.is_closing:
                raise being_replaced()
            self._work.tasks.append((task, future))
            self._worker.interrupt_idle_work()
            self._work.changed.notify_all()
        return future

    def close(self) -> None:
        """Cancel everything and free the model's memory. Safe to call twice."""
        with self._work.changed:
            self._work.is_closing = True
            waiting = self._work.queue.drain()
            self._worker.stop_replies()
            self._work.changed.notify_all()
        for job in waiting:  # an error, not a cancellation: whoever waits is still there and wants to know
            if not job.future.done():
                job.future.set_exception(being_replaced())
        self._worker.join()

    def _cancel(self, future: Future[Reply]) -> None:
        with self._work.changed:
            if self._work.queue.remove(future) and not future.cancelled():
                future.set_exception(CancelledError())  # it had begun and waited for room
            self._worker.stop_reply(future)
