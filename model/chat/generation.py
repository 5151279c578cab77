"""A reply while it is being written, and replies remembered for identical requests."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, replace

from data.chat.spoken import thought_mark
from model.chat.reply_queue import QueuedReply
from model.chat.requests import Reply, ReplyRequest, StopReason
from model.chat.sampling import ReplyText, Sampler
from model.llama_cpp_api import NativeModel

_REMEMBERED = 64


@dataclass
class RunningReply:
    """What is known of a reply so far. Times are readings of the model's clock. limit: tokens it may have
    besides thoughts; longest: with them."""

    job: QueuedReply
    sampler: Sampler
    text: ReplyText
    prompt_tokens: int
    prefilled_tokens: int
    started_at: float
    limit: int
    longest: int
    first_token_at: float = 0.0
    tokens: int = 0
    thought_tokens: int = 0
    next_token: int = 0
    stop: StopReason | None = None

    @property
    def channel_id(self) -> int:
        """The channel whose conversation is answered."""
        return self.job.request.channel_id

    def draw(self, native: NativeModel, row: int, *, now: float) -> None:
        """Draw the next token from a row of the last batch; `stop` is set when the reply is complete."""
        token = native.sample(self.sampler.chain, row)
        self.sampler.drawn(token)
        self.first_token_at = self.first_token_at or now
        self.next_token = token
        if native.is_end(token):
            self.stop = "stop"
            return
        self.tokens += 1
        is_complete = self.text.add(native.piece(token) or thought_mark(native.token_text(token)).encode())
        if self.job.request.on_text is not None:
            self.job.request.on_text(self.text.text)
        if is_complete:
            self.stop = "stop"
            return
        self.thought_tokens += self.text.is_thinking
        if self.tokens - self.thought_tokens >= self.limit or self.tokens >= self.longest:
            self.stop = "length"

    def reply(self, *, now: float) -> Reply:
        """The finished reply."""
        asked = self.job.submitted_at
        return Reply(
            self.text.text,
            self.prompt_tokens,
            self.prefilled_tokens,
            self.tokens,
            ((self.first_token_at or now) - asked) * 1000,
            (now - asked) * 1000,
            self.stop or "stop",
            (self.started_at - asked) * 1000,
        )


def never_begun(job: QueuedReply, *, now: float) -> Reply:
    """The reply of a job that was cancelled before its first token."""
    return Reply("", 0, 0, 0, 0.0, (now - job.submitted_at) * 1000, "cancelled")


class ReplyMemory:
    """Replies to identical requests, for owners who switched the response cache on (`reuse_seconds` of a request)."""

    def __init__(self) -> None:
        self._replies: OrderedDict[object, tuple[float, Reply]] = OrderedDict()

    def find(self, request: ReplyRequest, *, now: float) -> Reply | None:
        """The finished reply to the same request, if it is recent enough for that request."""
        if request.reuse_seconds <= 0:
            return None
        known = self._replies.get(_identity(request))
        if known is None or now - known[0] > request.reuse_seconds:
            return None
        return replace(known[1], is_cached=True, prefilled_tokens=0, first_token_ms=0.0, total_ms=0.0, queued_ms=0.0)

    def keep(self, request: ReplyRequest, reply: Reply, *, now: float) -> None:
        """Remember a reply that ended of its own accord; the oldest one gives way."""
        if request.reuse_seconds <= 0 or reply.stop_reason != "stop" or not reply.text.strip():
            return  # who got nothing may ask again
        self._replies[_identity(request)] = (now, reply)
        while len(self._replies) > _REMEMBERED:
            self._replies.popitem(last=False)

    def clear(self) -> None:
        """Forget every reply: the model or its settings changed."""
        self._replies.clear()


def _identity(request: ReplyRequest) -> object:
    return request.conversation, request.system_prompt, request.options
