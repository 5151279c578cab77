"""Does the exported file say what the trained model says? Measured on fixed prompts, enforced with thresholds.

Two comparisons: the merged model with base + adapter (both in 32 bit: a broken tie or a wrong merge shows
here), and each GGUF, through llama.cpp, with the merged model.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from model.files.gguf_check import check_gguf
from model.llama_cpp_api import library
from model.prompts import ChatTemplate
from model.training.rows import Example, Renderer
from model.training.shared_prefix import shared_length
from storage.errors import KnownError
from storage.records import Conversation, Turn

# Mean KL divergence in nats at most, and top-1 agreement at least, against the merged model. Measured on SmolLM2-135M
# (docs/RESULTS.md): F16 0.00002 and 100 %, Q4_K_M 0.055 and 84 %. The smaller a model, the more quantising costs, so
# the limits for the quantised files leave room. A wrong merge or a wrong order of rows gives a KL of 1 and more.
_LIMITS = {"F16": (0.01, 0.95), "Q8_0": (0.03, 0.90), "Q5_K_M": (0.12, 0.75), "Q4_K_M": (0.20, 0.65)}
# Merging in 32 bit and saving in 16 moves logits by hundredths; the specification's nine modules on a tied base by 7.7.
MERGE_LIMIT_KL = 0.01
MERGE_LIMIT_TOP1 = 0.95
_CONTEXT = 512

_CHATS: tuple[tuple[tuple[str, str], ...], ...] = (
    (("mira", "anyone up for a game tonight?"), ("self", "depends, which one")),
    (("tobs", "bruh did u see that"), ("pax", "yeah lol"), ("self", "no what happened")),
    (("juno", "I think the meeting moved to 5"), ("self", "ok thanks for telling me")),
    (("pax", "pizza or pasta"), ("self", "pizza obviously 😂")),
    (("mira", "my build is broken again"), ("tobs", "skill issue"), ("self", "have you tried turning it off and on")),
    (("tobs", "GGGGGG"), ("self", "GGGGGGGG")),
    (("juno", "who wants to see my cat"), ("self", "me!! always post the cat")),
    (("pax", "good morning"), ("mira", "morning!"), ("self", "why is everyone awake already")),
)


class ExportCheckError(KnownError):
    """An exported model that does not say what the trained one says; it is not kept."""


@dataclass(frozen=True)
class Probe:
    """A fixed prompt with a reply: the next-token distribution is compared at every token of the reply."""

    prompt: list[int]
    reply: list[int]


@dataclass(frozen=True)
class Agreement:
    """How far two models agree. kl: mean nats; top1: share of positions with the same likeliest token."""

    kl: float
    top1: float
    positions: int
    perplexity: float
    reference_perplexity: float

    def as_dict(self) -> dict[str, float]:
        """For the manifest."""
        return {name: round(value, 6) for name, value in asdict(self).items()}


def probes(renderer: Renderer) -> list[Probe]:
    """The fixed prompts in this base's template and with this run's system prompt."""
    made = []
    for chat in _CHATS:
        turns = tuple(Turn(name, text) for name, text in chat[:-1])
        made.append(Probe(renderer.prompt_tokens(Conversation(turns)), renderer.reply_tokens(chat[-1][1])))
    return [probe for probe in made if len(probe.prompt) + len(probe.reply) < _CONTEXT]


def gguf_distributions(path: Path, wanted: Sequence[Probe], *, adapter: Path | None = None) -> list[np.ndarray]:
    """What model.training.streamed computes, through llama.cpp. adapter: a GGUF LoRA on top of `path`."""
    with _loaded(path, adapter) as model:
        return [_llama_rows(model, probe) for probe in wanted]


def gguf_reply_loss(path: Path, rows: Sequence[Example], *, adapter: Path | None = None) -> float | None:
    """Mean negative log-likelihood of a reply token (nats) through llama.cpp; None when no row fits.

    The same measure as shared_prefix.reply_loss, so that a file can be compared with the run it comes from.
    """
    rows = [row for row in rows if len(row.prompt) + len(row.reply) < _CONTEXT]
    if not rows:
        return None
    shared = shared_length([row.prompt for row in rows])
    total, count = 0.0, 0
    with _loaded(path, adapter) as model:
        for row in rows:
            found = _llama_rows(model, row, keep=shared if count else 0)
            total -= float(found[np.arange(len(row.reply)), row.reply].sum())
            count += len(row.reply)
    return total / count


@contextmanager
def _loaded(path: Path, adapter: Path | None) -> Iterator[Any]:
    import llama_cpp

    library()  # sends llama.cpp's own log to ours
    try:
        model = llama_cpp.Llama(
            model_path=str(path),
            lora_path=str(adapter) if adapter else None,
            n_ctx=_CONTEXT,
            logits_all=True,
            verbose=False,
        )
    except (ValueError, RuntimeError) as error:
        raise ExportCheckError(
            f"llama.cpp cannot load {path.name} ({error}).", "Export again; keep the training folder."
        ) from error
    try:
        yield model
    finally:
        model.close()


def _llama_rows(model: Any, probe: Probe | Example, *, keep: int = 0) -> np.ndarray:
    """Log-probabilities at the reply's positions. keep: tokens at the beginning that are computed already."""
    tokens = probe.prompt + probe.reply
    model.n_tokens = keep
    model.eval(tokens[keep:])
    logits = np.array(model.scores[len(probe.prompt) - 1 : len(tokens) - 1], dtype=np.float64)
    logits -= logits.max(axis=-1, keepdims=True)
    found: np.ndarray = (logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))).astype(np.float32)
    return found


def agreement(reference: Sequence[np.ndarray], other: Sequence[np.ndarray], wanted: Sequence[Probe]) -> Agreement:
    """KL(reference || other) and top-1 agreement over all reply positions."""
    a, b = np.concatenate(list(reference)).astype(np.float64), np.concatenate(list(other)).astype(np.float64)
    vocabulary = min(a.shape[1], b.shape[1])  # some files pad the vocabulary
    a, b = a[:, :vocabulary], b[:, :vocabulary]
    kl = (np.exp(a) * (a - b)).sum(axis=1)
    targets = np.concatenate([np.array(probe.reply) for probe in wanted])
    rows = np.arange(len(targets))
    return Agreement(
        kl=float(kl.mean()),
        top1=float((a.argmax(axis=1) == b.argmax(axis=1)).mean()),
        positions=len(targets),
        perplexity=float(np.exp(-b[rows, targets].mean())),
        reference_perplexity=float(np.exp(-a[rows, targets].mean())),
    )


def require_merge_agreement(found: Agreement) -> None:
    """ExportCheckError unless the merged model says what base + adapter say."""
    if not (found.kl <= MERGE_LIMIT_KL and found.top1 >= MERGE_LIMIT_TOP1):
        raise ExportCheckError(
            f"The merged model does not say what base + adapter say (KL {found.kl:.3f}, same first choice in "
            f"{found.top1:.0%}).",
            "The adapter trains modules that cannot be merged into this base: train again with "
            "a recipe of this program (a tied embedding must not get two adapters).",
        )


def require_agreement(found: Agreement, quantisation: str, name: str) -> None:
    """ExportCheckError unless the file says what the merged model says."""
    kl, top1 = _LIMITS[quantisation]
    if not (found.kl <= kl and found.top1 >= top1):
        raise ExportCheckError(
            f"{name} does not say what the merged model says (KL {found.kl:.3f}, allowed {kl}; same first choice in "
            f"{found.top1:.0%}, wanted {top1:.0%}).",
            "The file was not kept. Check that --base-gguf belongs to the base, or export with a larger quantisation.",
        )


def require_tokenizer(path: Path, tokenizer: Any, template: ChatTemplate, wanted: Sequence[Probe]) -> None:
    """ExportCheckError unless template, special tokens and token ids in the file are those of the training."""
    metadata = check_gguf(path).metadata
    ours, theirs = tokenizer.chat_template or "", metadata.get("tokenizer.chat_template", "")
    if ours.strip() != str(theirs).strip():
        raise ExportCheckError(
            f"{path.name} has another chat template than the trained model.",
            "Give --base-gguf a GGUF of the very base that was trained.",
        )
    # A transcript's reply ends with its line; the token behind it is the base's own.
    closing = template.stop if template.is_transcript else template.end_of_reply
    end = tokenizer.convert_tokens_to_ids(closing) if closing else None
    known = {metadata.get(f"tokenizer.ggml.{name}_token_id") for name in ("eos", "eot", "eom")}
    if closing and end not in known:
        raise ExportCheckError(
            f"{path.name} does not end replies with {closing!r} (id {end}; its end "
            f"tokens are {sorted(token for token in known if token is not None)}).",
            "Use the base's instruct version.",
        )
    _require_same_ids(path, tokenizer, wanted)


def _require_same_ids(path: Path, tokenizer: Any, wanted: Sequence[Probe]) -> None:
    import llama_cpp

    library()  # sends llama.cpp's own log to ours
    vocabulary = llama_cpp.Llama(model_path=str(path), vocab_only=True, verbose=False)
    try:
        for probe in wanted:
            text = tokenizer.decode(probe.prompt + probe.reply)
            ids = vocabulary.tokenize(text.encode("utf-8"), add_bos=False, special=True)
            if ids != tokenizer.encode(text, add_special_tokens=False):
                raise ExportCheckError(
                    f"{path.name} splits text into other tokens than the trained model.",
                    "Give --base-gguf a GGUF of the very base that was trained.",
                )
    finally:
        vocabulary.close()
