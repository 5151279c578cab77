"""The same training with far less work where there is no graphics card.

A small model's step on a processor is spent between the matrix products: PEFT casts every input of an adapter to 32 bit
and adds six results of a layer in passes of their own, TRL computes the vocabulary twice. Here

- a linear layer with its adapter, and a norm, is one function with a backward of its own, in the base's number type;
- the loss computes the head once, on the tokens that count, and its gradient with it (the head is frozen);
- 16-bit products are used only where a trial in a process of its own shows that they are right and faster: on some
  machines the instructions are announced and fail.
"""

from __future__ import annotations

import logging
import os
import select
import signal
import subprocess
import sys
import time
from functools import lru_cache
from types import MethodType
from typing import Any

from model.training.rows import IGNORED
from storage.paths import PROJECT_ROOT

log = logging.getLogger(__name__)

# How much faster 16-bit products must be: what lies between them gains nothing, and rounds.
_WORTH_IT = 1.5
_TRIAL_SECONDS = 60.0
# How far a 16-bit product may be off, of the whole: bf16 keeps eight bits.
_MOST_OFF = 0.02
_TRIAL_PROGRAM = "from model.training.on_processor import times_faster; print(times_faster())"
# Tokens whose logits are held at a time.
_CHUNK = 256
_ADAPTER = "default"
# Norms that are a weight times x over its root mean square (Gemma's adds one to the weight).
_NORMS = ("LlamaRMSNorm", "MistralRMSNorm", "Qwen2RMSNorm", "Qwen3RMSNorm")


@lru_cache(maxsize=1)
def is_bfloat16_faster() -> bool:
    """Whether this processor multiplies 16-bit floats rightly and clearly faster than 32-bit ones (AMX)."""
    import torch

    # Others emulate the type; asking the processor is free, the trial is not.
    if not getattr(torch.cpu, "_is_amx_tile_supported", lambda: False)():
        return False
    times = _tried()
    if times is None:
        log.info("16-bit products were tried, failed and are not used.")
    return times is not None and times >= _WORTH_IT


def times_faster() -> float:
    """How often a 16-bit product fits into a 32-bit one's time; 0 where its result is wrong. In this process: on some
    machines it ends there."""
    import torch

    torch.set_num_threads(1)
    a, b = torch.randn(1024, 576), torch.randn(576, 1536)  # the shape of SmolLM2's layers
    right, speed = a @ b, {}
    for dtype in (torch.float32, torch.bfloat16):
        x, y = a.to(dtype), b.to(dtype)
        if float(((x @ y).float() - right).norm() / right.norm()) > _MOST_OFF:
            return 0.0
        # Time spent computing: what else happens to run says nothing about the processor.
        rounds, started = 0, time.process_time()
        while time.process_time() - started < 0.1:
            x @ y
            rounds += 1
        speed[dtype] = rounds / (time.process_time() - started)
    return speed[torch.bfloat16] / speed[torch.float32]


def _tried() -> float | None:
    """`times_faster` in a process of its own; None where that ended, hung or said nothing."""
    if hasattr(os, "fork"):
        return _tried_in_a_fork()  # torch is loaded here already: a fresh process takes seconds for that
    try:
        command = [sys.executable, "-c", _TRIAL_PROGRAM]
        tried = subprocess.run(
            command, capture_output=True, text=True, timeout=_TRIAL_SECONDS, check=True, cwd=PROJECT_ROOT
        )
        return float(tried.stdout)
    except (OSError, ValueError, subprocess.SubprocessError):
        return None


def _tried_in_a_fork() -> float | None:
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.write(writing, str(times_faster()).encode())
        finally:
            os._exit(0)
    os.close(writing)
    try:
        # Nothing at all comes from a child that was ended.
        has_answer = bool(select.select([reading], [], [], _TRIAL_SECONDS)[0])
        answer = os.read(reading, 64) if has_answer else b""
        return float(answer) if answer else None
    except ValueError:
        return None
    finally:
        os.close(reading)
        if not has_answer:
            os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def quicken(model: Any) -> int:
    """Give the adapter's linear layers and the norms a forward of their own; returns how many there are.

    Results and gradients stay the same.
    """
    from peft.tuners.lora.layer import Linear

    found = [module for module in model.modules() if isinstance(module, Linear) and _is_plain(module)]
    norms = [module for module in model.modules() if type(module).__name__ in _NORMS and _is_frozen(module)]
    for module in found:
        module.forward = MethodType(_adapted, module)
    for module in norms:
        module.forward = MethodType(_normed, module)
    return len(found) + len(norms)


def _is_frozen(module: Any) -> bool:
    return not any(weight.requires_grad for weight in module.parameters())


def _normed(module: Any, x: Any) -> Any:
    return _norm().apply(x, module.weight, module.variance_epsilon)


def _is_plain(module: Any) -> bool:
    import torch

    return (
        type(module.get_base_layer()) is torch.nn.Linear
        and not module.get_base_layer().weight.requires_grad
        and list(module.lora_A) == [_ADAPTER]
        and isinstance(module.lora_dropout[_ADAPTER], torch.nn.Identity)
        and not module.use_dora.get(_ADAPTER)
    )


def _adapted(module: Any, x: Any, *rest: Any, **more: Any) -> Any:
    """The layer's output; PEFT's own way wherever anything but the one adapter is asked for (DPO's reference)."""
    is_alone = module.active_adapters == [_ADAPTER] and list(module.lora_A) == [_ADAPTER]
    if rest or more or module.disable_adapters or module.merged or not is_alone:
        return type(module).forward(module, x, *rest, **more)
    base = module.get_base_layer()
    a, b = module.lora_A[_ADAPTER].weight, module.lora_B[_ADAPTER].weight
    return _adapted_linear().apply(x, base.weight, base.bias, a, b, module.scaling[_ADAPTER])


@lru_cache(maxsize=1)
def _adapted_linear() -> Any:
    import torch

    class AdaptedLinear(torch.autograd.Function):
        """x W' + bias + scale (x A') B'. W is frozen; A and B are 32 bit and computed in the type of x."""

        @staticmethod
        def forward(context: Any, x: Any, weight: Any, bias: Any, a: Any, b: Any, scale: float) -> Any:
            flat = x.reshape(-1, x.shape[-1])
            a, b = a.to(x.dtype), b.to(x.dtype)
            inner = flat @ a.T
            out = flat @ weight.T if bias is None else torch.addmm(bias, flat, weight.T)
            out.addmm_(inner, b.T, alpha=scale)
            context.save_for_backward(flat, weight, a, b, inner)
            context.scale, context.shape = scale, x.shape
            return out.view(*x.shape[:-1], out.shape[-1])

        @staticmethod
        def backward(context: Any, *gradients: Any) -> Any:
            flat, weight, a, b, inner = context.saved_tensors
            above = gradients[0].reshape(-1, gradients[0].shape[-1])
            through = (above @ b).mul_(context.scale)
            below = None
            if context.needs_input_grad[0]:
                below = (above @ weight).addmm_(through, a).view(context.shape)
            for_b = (above.T @ inner).float().mul_(context.scale)
            return below, None, None, (through.T @ flat).float(), for_b, None

    return AdaptedLinear


@lru_cache(maxsize=1)
def _norm() -> Any:
    import torch

    class Norm(torch.autograd.Function):
        """weight x / sqrt(mean(x^2) + epsilon), computed in 32 bit; the weight is frozen."""

        @staticmethod
        def forward(context: Any, x: Any, weight: Any, epsilon: float) -> Any:
            wide = x.float()
            scale = torch.linalg.vector_norm(wide, dim=-1, keepdim=True).square_().div_(x.shape[-1])
            scale = scale.add_(epsilon).rsqrt_()
            plain = (wide * scale).to(x.dtype)
            context.save_for_backward(plain, weight, scale)
            return plain * weight

        @staticmethod
        def backward(context: Any, *gradients: Any) -> Any:
            plain, weight, scale = context.saved_tensors
            above, plain = (gradients[0] * weight).float(), plain.float()
            along = (above * plain).mean(-1, keepdim=True)
            return (above - plain.mul_(along)).mul_(scale).to(gradients[0].dtype), None, None

    return Norm


def has_plain_head(model: Any) -> bool:
    """Whether logits are the last hidden state times a frozen matrix, nothing more."""
    config, head = model.config, model.get_output_embeddings()
    scaled = ("final_logit_softcapping", "logits_scaling", "logit_scale")
    return (
        head is not None
        and getattr(head, "bias", None) is None
        and not head.weight.requires_grad
        and not any(getattr(config, name, None) for name in scaled)
    )


def reply_loss_of(model: Any, batch: dict[str, Any], tokens: Any = None) -> Any:
    """Mean negative log-likelihood of the tokens that count, differentiable. tokens: what to divide by instead of
    their number (a step of several batches). The model's head is a plain one (`has_plain_head`)."""
    summed, count = summed_reply_loss(model, batch)
    return summed / (count if tokens is None else tokens)


def summed_reply_loss(model: Any, batch: dict[str, Any]) -> tuple[Any, Any]:
    """Sum of the losses of the tokens that count, and how many they are. batch: as a collator makes it."""
    base = model.get_base_model() if hasattr(model, "get_base_model") else model
    inputs = {name: batch[name] for name in ("input_ids", "position_ids", "attention_mask") if name in batch}
    hidden = getattr(base, base.base_model_prefix)(**inputs, use_cache=False).last_hidden_state
    wanted = batch["labels"][:, 1:]
    counts = wanted != IGNORED
    summed = _head_loss().apply(hidden[:, :-1][counts], base.get_output_embeddings().weight, wanted[counts])
    return summed, counts.sum()


@lru_cache(maxsize=1)
def _head_loss() -> Any:
    import torch

    class HeadLoss(torch.autograd.Function):
        """Sum of the tokens' losses. The gradient is computed at once, a few tokens at a time, so that no logits are
        kept and none are computed twice (as in Hsu et al., Liger Kernel, arXiv 2410.10989)."""

        @staticmethod
        def forward(context: Any, hidden: Any, head: Any, targets: Any) -> Any:
            total = torch.zeros((), dtype=torch.float32, device=hidden.device)
            below = torch.empty_like(hidden) if hidden.requires_grad or context.needs_input_grad[0] else None
            for start in range(0, len(hidden), _CHUNK):
                chunk, wanted = hidden[start : start + _CHUNK], targets[start : start + _CHUNK, None]
                logits = (chunk @ head.T).float()
                logits -= logits.amax(-1, keepdim=True)
                total -= logits.gather(1, wanted).sum()
                # One pass: logsumexp would take its own, five times as long as this on a processor.
                shares = logits.exp_()
                normal = shares.sum(-1, keepdim=True)
                total += normal.log().sum()
                if below is not None:
                    shares /= normal
                    shares.scatter_add_(1, wanted, torch.full_like(normal, -1.0))
                    below[start : start + _CHUNK] = shares.to(head.dtype) @ head
            context.save_for_backward(*(() if below is None else (below,)))
            return total

        @staticmethod
        def backward(context: Any, *gradients: Any) -> Any:
            (below,) = context.saved_tensors
            return below * gradients[0].to(below.dtype), None, None

    return HeadLoss
