"""The thread that computes for a chat model: replies first, a token of each in turn; reading along while none is due.

Nothing but this thread touches llama.cpp's context. What it is asked for lies in `Work`, under one lock; whoever wants
it to stop what it is at calls `interrupt_idle_work` or `stop_reply`, which end a computation within one operation.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from typing import Any

from data.chat.spoken import Speakers
from model.chat.engine import ContextFullError, Interrupted
from model.chat.generation import (
    NO_SCORER,
    OTHERS_WAIT,
    TOO_SLOW,
    DraftGroup,
    ReplyMemory,
    RunningReply,
    never_begun,
)
from model.chat.host_load import Lookout, threads_for
from model.chat.loaded_model import LoadedModel
from model.chat.prefill_queue import PrefillQueue, PrefillRequest
from model.chat.prompting import PromptBuilder
from model.chat.reply_queue import QueuedReply, ReplyQueue, too_late
from model.chat.requests import Reply, ReplyRequest, being_replaced
from model.chat.sampling import ReplyText, Sampler
from storage.settings import FREE_MEMORY
from storage.system.priority import lower_thread_priority

log = logging.getLogger(__name__)

_TIDY_SECONDS = 5.0
# A model that thinks although it was asked not to gets so many tokens more, in the hope of an answer behind it.
_THOUGHT_TOKENS = 400


@dataclass
class InferenceWork:
    """What a chat model was asked for and has not begun. All of it is guarded by `changed`, which tells of news."""

    queue: ReplyQueue
    listening: PrefillQueue = field(default_factory=PrefillQueue)
    tasks: list[tuple[Callable[[], Any], Future[Any]]] = field(default_factory=list)
    is_closing: bool = False
    changed: threading.Condition = field(default_factory=threading.Condition)


class InferenceThread:
    """Works off `work` with a loaded model. `running`, `starting` and `heard` are what it is at, for anybody to read.

    parallel: replies written in one batch. most_drafts: of one reply, when nobody else waits. keep_seconds: a channel
    unused for longer is forgotten. is_polite: below other programs' priority. free_memory: when the model's memory is
    given back on its own, as the setting says.
    """

    def __init__(
        self,
        loaded: LoadedModel,
        work: InferenceWork,
        *,
        parallel: int,
        most_drafts: int,
        keep_seconds: float,
        is_polite: bool,
        lookout: Lookout,
        clock: Callable[[], float],
    ) -> None:
        self.loaded, self.work, self.lookout = loaded, work, lookout
        self.keep_seconds, self.parallel = keep_seconds, max(parallel, 1)
        self._most_drafts = most_drafts
        self._is_polite, self._clock = is_polite, clock
        self.free_memory = FREE_MEMORY.default
        # What a token is drawn for, and the replies they are drafts of; ended drafts wait in their group.
        self.running: list[RunningReply] = []
        self._groups: list[DraftGroup] = []
        self.starting: QueuedReply | None = None
        self.heard: PrefillRequest | None = None
        # No cells are left for one more reply until one of those being written is done.
        self._is_full = False
        self.memory = ReplyMemory()
        self._thread = threading.Thread(target=self._work, name="model", daemon=True)

    def start(self) -> None:
        """Begin to work."""
        self._thread.start()

    def join(self) -> None:
        """Wait for the end, which `work.is_closing` asked for."""
        if self._thread is not threading.current_thread():
            self._thread.join()

    # ---- for everybody, under the lock ----------------------------------------------------------------

    @property
    def replies_at_work(self) -> int:
        """Replies being written or begun."""
        return len(self._groups) + (self.starting is not None)

    def interrupt_idle_work(self, *, except_for: int | None = None) -> None:
        """Something else comes before what is being read along."""
        # A reply in the channel being read along needs the same tokens: let that chunk finish.
        if self.heard is not None and self.heard.channel_id != except_for:
            self.loaded.abort()

    def interrupt_reading_ahead(self, *, except_for: int) -> None:
        """A reply about to be asked for comes before what is merely heard, and after one that is due too."""
        if self.heard is not None and not self.heard.is_due:
            self.interrupt_idle_work(except_for=except_for)

    def drop_reading(self, channel_id: int) -> None:
        """What is being read of a channel is not to be taken up again once it is interrupted."""
        if self.heard is not None and self.heard.channel_id == channel_id:
            self.heard = None

    def stop_reply(self, future: Future[Reply]) -> None:
        """Cut off the reply of a future, if it is at work."""
        for job in self._at_work():
            if job.future is future:
                job.is_cancelled = True
                self.loaded.abort()

    def stop_replies(self) -> None:
        """Cut off everything that is being computed."""
        for job in self._at_work():
            job.is_cancelled = True
        self.loaded.abort()

    def _at_work(self) -> list[QueuedReply]:
        return [group.drafts[0].job for group in list(self._groups)] + ([self.starting] if self.starting else [])

    # ---- for tasks, on the thread ---------------------------------------------------------------------

    def forget(self, channel_id: int) -> None:
        """Drop what was computed for a channel, and replies that might be repeated."""
        self.memory.clear()
        self.loaded.forget(channel_id)

    def clear(self) -> None:
        """Drop everything computed."""
        self.memory.clear()
        self.loaded.clear()

    def release(self) -> None:
        """Give the model's memory back."""
        self.memory.clear()
        self.loaded.release()

    # ---- the thread -----------------------------------------------------------------------------------

    def _work(self) -> None:
        if self._is_polite:
            lower_thread_priority()
        try:
            while self._turn():
                pass
        finally:
            for running in self.running:
                running.stop = "cancelled"
            self._finish_done()
            self.loaded.release()
            for _, future in self.work.tasks:  # an error, not a cancellation: whoever waits is still there
                future.set_exception(being_replaced())

    def _turn(self) -> bool:
        """One round: a task, a new reply, a token for each running reply, or idle work. False at the end."""
        with self.work.changed:
            self.work.changed.wait_for(self._has_work, _TIDY_SECONDS)
            if self.work.is_closing:
                return False
            task = self.work.tasks.pop(0) if self.work.tasks and not self.running else None
            job = None
            if task is None and len(self._groups) < self.parallel and not (self._is_full and self.running):
                job = self._next_job()
                self.starting = job
        if task is not None:
            _run_task(*task)
        elif job is not None:
            self._start(job)
        elif self.running:
            self._step()
        else:
            self._idle()
        with self.work.changed:
            self.work.changed.notify_all()
        return True

    def _has_work(self) -> bool:
        work = self.work
        return bool(work.is_closing or work.tasks or self.running or len(work.queue) or work.listening)

    def _next_job(self) -> QueuedReply | None:
        at_work = {running.channel_id for running in self.running}
        job, late = self.work.queue.take(now=self._clock(), except_channels=at_work)
        for missed in late:
            if not missed.future.cancelled():
                missed.future.set_exception(too_late(missed))
        return job

    def _start(self, job: QueuedReply) -> None:
        """Compute a reply's prompt and draw its first token."""
        request = job.request
        try:
            if not job.is_begun and not job.future.set_running_or_notify_cancel():
                return
            answer = self.memory.find(request, now=self._clock())
            if answer is not None:
                job.future.set_result(answer)
                return
            started = self._clock()
            loaded = self.loaded
            loaded.reopen()
            loaded.native.follow_load(threads_for(self.loaded.threads, self.lookout.look().busy_processors))
            channel = request.channel_id
            tokens = loaded.prompts.reply_tokens(
                channel,
                request.conversation,
                request.system_prompt,
                keep_turns=request.keep_turns,
                max_tokens=request.options.max_tokens,
            )
            self.work.listening.answered(channel)
            computed = loaded.engine.prefill(
                channel,
                tokens,
                shared=loaded.prompts.shared_length(request.system_prompt),
                is_stopped=lambda: self._is_over(job),
                pinned=self._sequences(),
            )
            group = self._drafts(job, tokens, computed, started)
            self._groups.append(group)
            self.running += group.drafts
            self.starting = None  # counted once
            for draft in group.drafts:
                draft.draw(loaded.native, loaded.engine.last_row, now=self._clock())
        except Interrupted:
            _resolve(job, never_begun(job, now=self._clock()))
        except ContextFullError as error:
            self.loaded.forget(request.channel_id)
            if not self.running:  # alone, and still too long
                _fail(job, error)
            else:
                self._wait_for_room(job)
        except BaseException as error:
            # What the context holds of this channel is not to be trusted any more.
            self._give_up(request.channel_id)
            _fail(job, error)
        finally:
            self.starting = None
            self._finish_done()

    def _drafts(self, job: QueuedReply, tokens: list[int], computed: int, started: float) -> DraftGroup:
        """The drafts of a reply whose prompt is computed: the first in the channel's own cells, further ones in forks
        of them. Where no sequence is left there are fewer."""
        loaded, request = self.loaded, job.request
        channel, options = request.channel_id, request.options
        count, note = self._how_many(request)
        speakers = Speakers.of(request.conversation, is_transcript=loaded.template.is_transcript)
        room, most = loaded.n_ctx - len(tokens), options.max_tokens
        group = DraftGroup(note)
        for number in range(count):
            sequence: Hashable = (channel, number) if number else channel
            if number:
                try:
                    loaded.engine.fork(channel, sequence, pinned=[*self._sequences(), *_sequences(group)])
                except ContextFullError:
                    break
            # The first draft is what would be said without the others.
            seed = None if options.seed is None else options.seed + number
            sampler = Sampler(loaded.native, replace(options, seed=seed), context=tokens[-256:])
            text, limits = ReplyText(options.stop, speakers), (min(most, room), min(most + _THOUGHT_TOKENS, room))
            prompt = (len(tokens), computed, started)
            group.drafts.append(RunningReply(job, sampler, text, *prompt, *limits, sequence))
        return group

    def _how_many(self, request: ReplyRequest) -> tuple[int, str]:
        """Drafts of a reply, and why there is one where several were asked for. Who waits comes before a choice."""
        wanted, most = request.options.drafts, self._most_drafts
        if wanted <= 1:
            return 1, ""
        if self.loaded.scorer is None:
            return 1, NO_SCORER
        if most <= 1 or self.loaded.native.has_running_state:
            return 1, TOO_SLOW
        if self._groups or len(self.work.queue):
            return 1, OTHERS_WAIT
        return min(wanted, most), ""

    def _sequences(self) -> list[Hashable]:
        """The cells that replies at work hold, those of ended drafts too."""
        return [sequence for group in self._groups for sequence in _sequences(group)]

    def _give_up(self, channel: int) -> None:
        """Nothing of a reply in this channel goes on, and nothing stays of what was computed for it."""
        for group in [group for group in self._groups if group.drafts[0].channel_id == channel]:
            self._groups.remove(group)
            for draft in group.drafts:
                draft.sampler.close()
                self.loaded.engine.forget(draft.sequence)
                if draft in self.running:
                    self.running.remove(draft)
        for number in range(1, self._most_drafts):
            self.loaded.engine.forget((channel, number))
        self.loaded.forget(channel)

    def _step(self) -> None:
        """One more token for every running reply, in one batch."""
        try:
            self.loaded.engine.step(
                [(running.sequence, running.next_token) for running in self.running],
                lambda: any(self._is_over(running.job) for running in self.running),
            )
            for index, running in enumerate(self.running):
                running.draw(self.loaded.native, index, now=self._clock())
        except Interrupted:
            pass
        except ContextFullError as error:
            self._make_room(error)
        except BaseException as error:
            # They share one batch: none of them can go on, and whoever waits must hear of it.
            for job in self._at_work():
                self._give_up(job.request.channel_id)
                _fail(job, error)
        for running in self.running:
            if self._is_over(running.job):
                running.stop = "cancelled"
        self._finish_done()

    def _make_room(self, error: ContextFullError) -> None:
        """The replies being written have filled the context: further drafts are given up first, then the newest reply
        begins again when another is done."""
        fork = next((running for running in reversed(self.running) if running.is_fork), None)
        if fork is not None:
            self.running.remove(fork)
            fork.sampler.close()
            self.loaded.engine.forget(fork.sequence)
            next(group for group in self._groups if fork in group.drafts).drafts.remove(fork)
            return
        job = self.running[-1].job
        self._give_up(job.request.channel_id)
        if self.running:
            self._wait_for_room(job)
        else:
            _fail(job, error)

    def _wait_for_room(self, job: QueuedReply) -> None:
        with self.work.changed:
            self._is_full = True
            self.work.queue.put_back(job)

    def _finish_done(self) -> None:
        for running in [running for running in self.running if running.stop]:
            self.running.remove(running)
            running.sampler.close()
        for group in [group for group in self._groups if group.is_written]:
            self._groups.remove(group)
            self._finish(group)

    def _finish(self, group: DraftGroup) -> None:
        """Say the chosen draft; its channel goes on with its cells, the others' are free."""
        self._is_full = False
        chosen = group.choose(self.loaded.scorer)
        now = self._clock()
        reply, engine = group.reply(chosen, now=now), self.loaded.engine
        if chosen.is_fork:
            engine.adopt(chosen.channel_id, chosen.sequence)
        for draft in group.drafts:
            if draft.is_fork:
                engine.forget(draft.sequence)
        self.memory.keep(chosen.job.request, reply, now=now)
        _resolve(chosen.job, reply)

    # ---- listening ------------------------------------------------------------------------------------

    def _idle(self) -> None:
        """Compute what was heard; otherwise tidy up."""
        with self.work.changed:
            heard = self.heard = self.work.listening.take()
        if heard is None:
            self._tidy()
            return
        if self.loaded.is_released and not heard.is_due:
            self.heard = None
            return
        try:
            self.loaded.reopen()
            prompts = self.loaded.prompts
            self.loaded.engine.prefill(
                heard.channel_id,
                _tokens_of(heard, prompts),
                wants_logits=False,
                shared=prompts.shared_length(heard.system_prompt),
                is_stopped=self._is_wanted,
            )
        except Interrupted:
            with self.work.changed:
                if self.heard is heard:
                    self.work.listening.put_back(heard)
        except Exception:
            # Reading along is a courtesy: replies go on without it.
            log.exception("Reading along in channel %s failed; its cache is dropped.", heard.channel_id)
            self.loaded.forget(heard.channel_id)
        finally:
            self.heard = None

    def _is_wanted(self) -> bool:
        return bool(self.work.is_closing or len(self.work.queue) or self.work.tasks or self._is_overtaken())

    def _is_overtaken(self) -> bool:
        with self.work.changed:
            return self.heard is not None and not self.heard.is_due and self.work.listening.has_due

    def _tidy(self) -> None:
        if self.loaded.is_released:
            return
        if self.lookout.look().wants_memory(self.free_memory):
            log.info("The model's memory is given back until the next reply (setting: %s)", self.free_memory)
            self.release()
            return
        for channel in self.loaded.engine.expire(older_than=self._clock() - self.keep_seconds):
            if isinstance(channel, int):
                self.loaded.prompts.forget(channel)
                with self.work.changed:
                    self.work.listening.forget(channel)

    def _is_over(self, job: QueuedReply) -> bool:
        return job.is_cancelled or self.work.is_closing or self._clock() > job.deadline_at


def _sequences(group: DraftGroup) -> list[Hashable]:
    return [draft.sequence for draft in group.drafts]


def _tokens_of(heard: PrefillRequest, prompts: PromptBuilder) -> list[int]:
    """What can be computed now: all of a prompt that will be asked for, otherwise what the next line leaves alone."""
    if heard.reply_tokens is None:
        return prompts.standing_tokens(
            heard.channel_id, heard.conversation, heard.system_prompt, keep_turns=heard.keep_turns, typist=heard.typist
        )
    return prompts.reply_tokens(
        heard.channel_id,
        heard.conversation,
        heard.system_prompt,
        keep_turns=heard.keep_turns,
        max_tokens=heard.reply_tokens,
    )


def _resolve(job: QueuedReply, reply: Reply) -> None:
    if not job.future.done():
        job.future.set_result(reply)


def _fail(job: QueuedReply, error: BaseException) -> None:
    log.error("A reply failed: %s: %s", type(error).__name__, error)
    if not job.future.done():
        job.future.set_exception(error)


def _run_task(task: Callable[[], Any], future: Future[Any]) -> None:
    try:
        future.set_result(task())
    except BaseException as error:  # raised again where the result is awaited
        future.set_exception(error)
