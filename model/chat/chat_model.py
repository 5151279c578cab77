"""A loaded chat model: requests in, replies out.

A `ChatModel` has one worker thread, and only that thread touches llama.cpp's context. Everybody else leaves requests:

- `submit(request)` gives a future; mentions before random replies, bounded, fair between channels, with a deadline;
- `listen(channel, conversation, system_prompt)` lets the worker compute what has been said while nobody waits;
- `prepare(request)` lets it compute the prompt of a reply that will be asked for in a moment;
- cancelling a future, or a reply arriving while the worker listens, stops a computation within one operation.
"""
from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from model.chat.engine import Interrupted
from model.chat.guest import Lookout, threads_for
from model.chat.listening import Heard, Listening
from model.chat.loaded import LoadedModel
from model.chat.prompting import PromptBuilder
from model.chat.reply_queue import Job, ReplyFuture, ReplyQueue, gave_way, too_late
from model.chat.requests import ModelClosedError, Reply, ReplyRequest
from model.chat.running_reply import ReplyMemory, RunningReply, never_begun
from model.chat.sampling import ReplyText, Sampler
from model.native import ContextOptions
from model.process import lower_thread_priority
from model.prompts import ChatTemplate
from storage.records import Conversation, Turn

log = logging.getLogger(__name__)

_MAX_WAITING = 32
_TIDY_SECONDS = 5.0
# No channel of Discord has this number.
_SCORING = -1


class ChatModel:
    """A loaded chat model. Built by `get_model`; usable from any thread, and `submit` from an event loop."""

    def __init__(self, path: Path, options: ContextOptions, *, n_ctx: int = 2048, template: ChatTemplate | None = None,
                 adapter: Path | None = None, keep_seconds: float = 600.0, park_bytes: int = 64 << 20,
                 parallel: int = 1, max_waiting: int = _MAX_WAITING, is_polite: bool = False,
                 lookout: Lookout | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self.n_ctx, self.keep_seconds, self.parallel = n_ctx, keep_seconds, max(parallel, 1)
        self.is_listening_allowed = True
        self._clock, self._is_polite = clock, is_polite
        self._lookout = lookout or Lookout()
        self._limit = max_waiting
        self._queue = ReplyQueue(max_waiting)
        self._listening = Listening()
        self._tasks: list[tuple[Callable[[], Any], Future[Any]]] = []
        self._running: list[RunningReply] = []
        self._starting: Job | None = None
        self._heard: Heard | None = None
        self._is_closing = False
        self._changed = threading.Condition()
        self._memory = ReplyMemory()
        started = time.monotonic()
        self._loaded = LoadedModel(path, options, n_ctx=n_ctx, template=template, adapter=adapter,
                                   park_bytes=park_bytes, clock=clock)
        self._threads = self._loaded.threads
        self.load_seconds = time.monotonic() - started
        self._thread = threading.Thread(target=self._work, name="model", daemon=True)
        self._thread.start()

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
        return self._loaded.size_bytes

    @property
    def template(self) -> ChatTemplate:
        """How turns are marked for this model."""
        return self._loaded.template

    # ---- for everybody --------------------------------------------------------------------------------

    @property
    def queue_length(self) -> int:
        """Replies waiting or being written."""
        return len(self._queue) + len(self._running) + (self._starting is not None)

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
        job = Job(request, ReplyFuture(self._cancel), self._clock())
        with self._changed:
            if self._is_closing:
                raise ModelClosedError("The model is being replaced.", "Ask again in a moment.")
            victim = self._queue.add(job)
            self._interrupt_idle_work(except_for=request.channel_id)
            self._changed.notify_all()
        if victim is not None:
            victim.future.set_exception(gave_way(self._limit))
        return job.future

    def generate(self, request: ReplyRequest) -> Reply:
        """Ask for a reply and wait for it."""
        return self.submit(request).result()

    def cancel(self, future: Future[Reply]) -> bool:
        """Stop a reply, waiting or being written."""
        return future.cancel()

    def listen(self, channel_id: int, conversation: Conversation, system_prompt: str, *, keep_turns: int = 5,
               writer: str = "") -> None:
        """Compute a channel's conversation while nobody waits, so that a reply pays for its newest line only.

        Call it after every message that is not answered, after every reply, and when somebody begins to write: their
        name (`writer`) is computed too then. `conversation.recalled`: lines looked up for this conversation; pass the
        same ones (`standing_recall`) with the next reply's conversation.
        """
        if not self.is_listening_allowed or self._loaded.is_released or self._lookout.look().is_quiet_time:
            return
        with self._changed:
            self._listening.hear(Heard(channel_id, conversation, system_prompt, keep_turns, writer=writer))
            self._changed.notify_all()

    def prepare(self, request: ReplyRequest) -> None:
        """A reply will be asked for in a moment: compute its prompt meanwhile, before what is merely heard.

        Unlike `listen` this happens on battery too and with reading along switched off, since the reply would have to
        do the same work. When more is said before it is asked for, prepare it anew.
        """
        if self._loaded.is_released:
            return
        with self._changed:
            self._listening.hear(Heard(request.channel_id, request.conversation, request.system_prompt,
                                       request.keep_turns, request.options.max_tokens))
            if self._heard is not None and not self._heard.is_due:
                self._interrupt_idle_work(except_for=request.channel_id)
            self._changed.notify_all()

    def standing_recall(self, channel_id: int) -> tuple[Turn, ...] | None:
        """The recalled lines given with the last `listen` for a channel, or None when nothing stands ready."""
        return self._listening.recalled(channel_id)

    def wait_until_idle(self, *, timeout_seconds: float) -> bool:
        """Wait until nothing is left to answer or to compute; False when the time is over."""
        with self._changed:
            return self._changed.wait_for(lambda: not (self.queue_length or self._listening or self._tasks
                                                       or self._heard), timeout_seconds)

    def log_probabilities(self, request: ReplyRequest, reply: str) -> list[float]:
        """Natural log-probability of each token of `reply` as the answer to a request, behind the prompt it would get
        in a channel that nothing was said in before."""
        target = self.encode(reply, False)

        def prompt() -> list[int]:
            self._loaded.reopen()
            prompts = self._loaded.prompts
            try:
                return prompts.reply_tokens(_SCORING, request.conversation, request.system_prompt,
                                            keep_turns=request.keep_turns,
                                            max_tokens=max(request.options.max_tokens, len(target)))
            finally:
                prompts.forget(_SCORING)

        return self.score_tokens(self.ask(prompt), target)

    def score_tokens(self, prompt: Sequence[int], target: Sequence[int]) -> list[float]:
        """Natural log-probability of each target token after the prompt (its end, where it is too long)."""
        room = self.n_ctx - len(target)
        if not target or room < 1:
            return []
        self.ask(self._loaded.reopen)
        return self.ask(lambda: self._loaded.engine.log_probabilities(_SCORING, prompt[-room:], target))

    def forget_channel(self, channel_id: int) -> None:
        """Drop everything computed for a channel (its messages changed, or it may no longer be read)."""
        with self._changed:
            self._listening.forget(channel_id)
            self._later(lambda: self._loaded.forget(channel_id))
            if self._heard is not None and self._heard.channel_id == channel_id:
                self._heard = None  # what is being read is interrupted now, and not to be taken up again

    def free_caches(self) -> None:
        """Drop everything computed for all channels."""
        self._later(self._loaded.clear)

    def set_adapter(self, adapter: Path | None) -> None:
        """Switch the LoRA adapter without reloading the model; waits for the reply being written."""
        self.ask(lambda: self._loaded.set_adapter(adapter))

    def switch(self, path: Path, adapter: Path | None = None) -> None:
        """Load another model in place of this one: the old one is freed first, so there are never two in memory.

        When the new file cannot be loaded the old one is opened again and the error is raised.
        """
        self.ask(lambda: self._change(path, adapter))

    def _change(self, path: Path, adapter: Path | None) -> None:
        self._loaded.switch(path, adapter)
        self._threads = self._loaded.threads

    def release(self) -> None:
        """Give the model's memory back (a game wants the graphics card); the next request loads it again."""
        self.ask(self._loaded.release)

    def set_threads(self, threads: int) -> None:
        """Use so many processor threads from the next token on."""
        self._threads = threads

    def ask(self, task: Callable[[], Any]) -> Any:
        """Run something on the worker thread, between replies, and wait for its result."""
        return self._later(task).result()

    def _later(self, task: Callable[[], Any]) -> Future[Any]:
        future: Future[Any] = Future()
        with self._changed:
            if self._is_closing:
                raise ModelClosedError("The model is being replaced.", "Ask again in a moment.")
            self._tasks.append((task, future))
            self._interrupt_idle_work()
            self._changed.notify_all()
        return future

    def close(self) -> None:
        """Cancel everything and free the model's memory. Safe to call twice."""
        with self._changed:
            self._is_closing = True
            waiting = self._queue.drain()
            for running in self._running:
                running.job.is_cancelled = True
            if self._starting is not None:
                self._starting.is_cancelled = True
            self._loaded.abort()
            self._changed.notify_all()
        for job in waiting:  # an error, not a cancellation: whoever waits is still there and wants to know
            if not job.future.done():
                job.future.set_exception(ModelClosedError("The model is being replaced.", "Ask again in a moment."))
        if self._thread is not threading.current_thread():
            self._thread.join()

    # ---- the worker thread ----------------------------------------------------------------------------

    def _work(self) -> None:
        if self._is_polite:
            lower_thread_priority()
        try:
            while self._turn():
                pass
        finally:
            for running in self._running:
                running.stop = "cancelled"
                self._finish(running)
            self._loaded.release()
            for _, future in self._tasks:
                future.cancel()

    def _turn(self) -> bool:
        """One round: a task, a new reply, a token for each running reply, or idle work. False at the end."""
        with self._changed:
            self._changed.wait_for(self._has_work, _TIDY_SECONDS)
            if self._is_closing:
                return False
            task = self._tasks.pop(0) if self._tasks and not self._running else None
            job = None
            if task is None and len(self._running) < self.parallel:
                job = self._next_job()
                self._starting = job
        if task is not None:
            _run_task(*task)
        elif job is not None:
            self._start(job)
        elif self._running:
            self._step()
        else:
            self._idle()
        with self._changed:
            self._changed.notify_all()
        return True

    def _has_work(self) -> bool:
        return bool(self._is_closing or self._tasks or self._running or len(self._queue) or self._listening)

    def _next_job(self) -> Job | None:
        at_work = {running.channel_id for running in self._running}
        job, late = self._queue.take(now=self._clock(), except_channels=at_work)
        for missed in late:
            if not missed.future.cancelled():
                missed.future.set_exception(too_late(missed))
        return job

    def _start(self, job: Job) -> None:
        """Compute a reply's prompt and draw its first token."""
        request = job.request
        try:
            if not job.future.set_running_or_notify_cancel():
                return
            answer = self._memory.find(request, now=self._clock())
            if answer is not None:
                job.future.set_result(answer)
                return
            started = self._clock()
            loaded = self._loaded
            loaded.reopen()
            loaded.native.follow_load(threads_for(self._threads, self._lookout.look().busy_processors))
            channel = request.channel_id
            tokens = loaded.prompts.reply_tokens(channel, request.conversation, request.system_prompt,
                                                 keep_turns=request.keep_turns, max_tokens=request.options.max_tokens)
            self._listening.answered(channel)
            computed = loaded.engine.prefill(
                channel, tokens, shared=loaded.prompts.shared_length(request.system_prompt),
                is_stopped=lambda: self._is_over(job),
                pinned=[running.channel_id for running in self._running])
            sampler = Sampler(loaded.native, request.options, context=tokens[-256:])
            running = RunningReply(job, sampler, ReplyText(request.options.stop), len(tokens), computed, started,
                                   min(request.options.max_tokens, self.n_ctx - len(tokens)))
            self._running.append(running)
            self._starting = None  # counted once
            running.draw(loaded.native, loaded.engine.last_row, now=self._clock())
        except Interrupted:
            _resolve(job, never_begun(job, now=self._clock()))
        except BaseException as error:
            # What the context holds of this channel is not to be trusted any more.
            self._loaded.forget(request.channel_id)
            _fail(job, error)
        finally:
            self._starting = None
            self._finish_done()

    def _step(self) -> None:
        """One more token for every running reply, in one batch."""
        try:
            self._loaded.engine.step([(running.channel_id, running.next_token) for running in self._running],
                              lambda: any(self._is_over(running.job) for running in self._running))
            for index, running in enumerate(self._running):
                running.draw(self._loaded.native, index, now=self._clock())
        except Interrupted:
            pass
        except BaseException as error:
            # They share one batch: none of them can go on, and whoever waits must hear of it.
            for running in self._running:
                self._loaded.engine.forget(running.channel_id)
                _fail(running.job, error)
                running.sampler.close()
            self._running.clear()
        for running in self._running:
            if self._is_over(running.job):
                running.stop = "cancelled"
        self._finish_done()

    def _finish_done(self) -> None:
        for running in [running for running in self._running if running.stop]:
            self._running.remove(running)
            self._finish(running)

    def _finish(self, running: RunningReply) -> None:
        running.sampler.close()
        now = self._clock()
        reply = running.reply(now=now)
        self._memory.keep(running.job.request, reply, now=now)
        _resolve(running.job, reply)

    # ---- listening ------------------------------------------------------------------------------------

    def _idle(self) -> None:
        """Compute what was heard; otherwise tidy up."""
        with self._changed:
            heard = self._heard = self._listening.take()
        if self._loaded.is_released:
            self._heard = None
            return
        if heard is None:
            self._lookout.look()
            self._expire()
            return
        try:
            prompts = self._loaded.prompts
            self._loaded.engine.prefill(heard.channel_id, _tokens_of(heard, prompts), wants_logits=False,
                                        shared=prompts.shared_length(heard.system_prompt), is_stopped=self._is_wanted)
        except Interrupted:
            with self._changed:
                if self._heard is heard:
                    self._listening.put_back(heard)
        except Exception:
            # Reading along is a courtesy: replies go on without it.
            log.exception("Reading along in channel %s failed; its cache is dropped.", heard.channel_id)
            self._loaded.forget(heard.channel_id)
        finally:
            self._heard = None

    def _is_wanted(self) -> bool:
        return bool(self._is_closing or len(self._queue) or self._tasks or self._is_overtaken())

    def _is_overtaken(self) -> bool:
        with self._changed:
            return self._heard is not None and not self._heard.is_due and self._listening.has_due

    def _interrupt_idle_work(self, *, except_for: int | None = None) -> None:
        # A reply in the channel being read along needs the same tokens: let that chunk finish.
        if self._heard is not None and self._heard.channel_id != except_for:
            self._loaded.abort()

    def _expire(self) -> None:
        for channel in self._loaded.engine.expire(older_than=self._clock() - self.keep_seconds):
            if isinstance(channel, int):
                self._loaded.prompts.forget(channel)
                with self._changed:
                    self._listening.forget(channel)

    # ---- ends -----------------------------------------------------------------------------------------

    def _cancel(self, future: Future[Reply]) -> None:
        with self._changed:
            self._queue.remove(future)
            at_work = [running.job for running in self._running] + ([self._starting] if self._starting else [])
            for job in at_work:
                if job.future is future:
                    job.is_cancelled = True
                    self._loaded.abort()

    def _is_over(self, job: Job) -> bool:
        return job.is_cancelled or self._is_closing or self._clock() > job.deadline_at


def _tokens_of(heard: Heard, prompts: PromptBuilder) -> list[int]:
    """What can be computed now: all of a prompt that will be asked for, otherwise what the next line leaves alone."""
    if heard.reply_tokens is None:
        return prompts.standing_tokens(heard.channel_id, heard.conversation, heard.system_prompt,
                                       keep_turns=heard.keep_turns, writer=heard.writer)
    return prompts.reply_tokens(heard.channel_id, heard.conversation, heard.system_prompt,
                                keep_turns=heard.keep_turns, max_tokens=heard.reply_tokens)


def _resolve(job: Job, reply: Reply) -> None:
    if not job.future.done():
        job.future.set_result(reply)


def _fail(job: Job, error: BaseException) -> None:
    log.error("A reply failed: %s: %s", type(error).__name__, error)
    if not job.future.done():
        job.future.set_exception(error)


def _run_task(task: Callable[[], Any], future: Future[Any]) -> None:
    try:
        future.set_result(task())
    except BaseException as error:  # raised again where the result is awaited
        future.set_exception(error)
