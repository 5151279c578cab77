"""Recipes: every number of a training run, in one place, frozen and saved with the result.

`full` holds the specification's numbers; the others are what of them fits smaller machines, down to a processor. Which
one a machine gets is decided by `choose_recipe` from the hardware found and the base; what a run will need is estimated
in model/training/preflight.py.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Any

from storage.errors import ConfigurationError


class Method(StrEnum):
    """What is trained, in which order."""

    SFT = "sft"
    SFT_DPO = "sft+dpo"
    ORPO = "orpo"
    SFT_KTO = "sft+kto"

    @property
    def phases(self) -> tuple[str, ...]:
        """Names of the phases, first to last."""
        return tuple(self.value.split("+"))


@dataclass(frozen=True)
class LoraRecipe:
    """The adapter. The seven linear layers are always trained; `train_embeddings` adds the embedding and the head.

    How they are added depends on the base (a tied pair must stay tied): see `lora_targets`.
    """

    r: int
    alpha: int
    dropout: float = 0.05
    train_embeddings: bool = False


@dataclass(frozen=True)
class PhaseRecipe:
    """One phase. max_length counts tokens of prompt and reply together.

    max_steps and max_rows of 0 mean no limit; where max_tokens is given, it limits whole conversations instead of
    max_rows. beta is DPO's, KTO's beta or ORPO's lambda; unused in SFT.
    """

    epochs: float
    learning_rate: float
    batch_size: int
    accumulation: int
    max_length: int
    beta: float = 0.1
    max_steps: int = 0
    max_rows: int = 0
    max_tokens: int = 0

    @property
    def effective_batch(self) -> int:
        """Rows per optimiser step on one device."""
        return self.batch_size * self.accumulation


@dataclass(frozen=True)
class Recipe:
    """All numbers of a run. Lengths in tokens, memory in bytes elsewhere, learning rates per step."""

    name: str
    purpose: str
    lora: LoraRecipe
    sft: PhaseRecipe
    dpo: PhaseRecipe
    orpo: PhaseRecipe
    kto: PhaseRecipe
    is_4bit: bool = True
    optimizer: str = "paged_adamw_8bit"
    scheduler: str = "cosine"
    warmup_share: float = 0.03
    weight_decay: float = 0.01
    max_grad_norm: float = 1.0
    gradient_checkpointing: bool = True
    log_every: int = 10
    save_every: int = 500
    evaluate_every: int = 500
    validation_rows: int = 1_000
    seed: int = 3407
    # Rows are left out until the estimate is below this; 0 for no limit.
    most_hours: float = 0.0
    # Weights in 16 bit on Apple's graphics, where there are no 4-bit ones.
    is_for_apple: bool = False
    default_base: str = "Qwen/Qwen2.5-3B-Instruct"

    def phase(self, name: str) -> PhaseRecipe:
        """The numbers of `sft`, `dpo`, `orpo` or `kto`."""
        return {"sft": self.sft, "dpo": self.dpo, "orpo": self.orpo, "kto": self.kto}[name]

    def with_phase(self, name: str, **changes: Any) -> Recipe:
        """A copy with some numbers of one phase replaced."""
        changed: dict[str, Any] = {name: replace(self.phase(name), **changes)}
        return replace(self, **changed)

    def as_dict(self) -> dict[str, Any]:
        """For the run's manifest."""
        return asdict(self)


def recipe_from_dict(values: dict[str, Any]) -> Recipe:
    """The recipe saved with a run."""
    phases = {name: PhaseRecipe(**values[name]) for name in ("sft", "dpo", "orpo", "kto")}
    return Recipe(**{**values, "lora": LoraRecipe(**values["lora"]), **phases})


# The specification's numbers. Its embedding and head are trained too, with the tie of a tied base kept.
FULL = Recipe(
    name="full",
    purpose="the specification's numbers, for a graphics card with 24 GB or more",
    lora=LoraRecipe(r=64, alpha=128, train_embeddings=True),
    sft=PhaseRecipe(epochs=5, learning_rate=1e-4, batch_size=2, accumulation=16, max_length=2048),
    dpo=PhaseRecipe(epochs=2, learning_rate=5e-5, batch_size=2, accumulation=8, max_length=2048),
    orpo=PhaseRecipe(epochs=5, learning_rate=8e-6, batch_size=2, accumulation=16, max_length=2048),
    kto=PhaseRecipe(epochs=2, learning_rate=5e-6, batch_size=4, accumulation=4, max_length=2048),
)

# Without the embedding (620 M trained weights on Qwen2.5-3B) and with one row at a time. Preference phases hold two
# sequences and their logits over 152k words at once, so they are shorter.
RTX3070 = replace(
    FULL,
    name="rtx3070",
    purpose="fits a graphics card with 8 GB: the seven linear layers only",
    lora=LoraRecipe(r=64, alpha=128),
    sft=replace(FULL.sft, batch_size=1, accumulation=32),
    dpo=replace(FULL.dpo, batch_size=1, accumulation=16, max_length=640),
    orpo=replace(FULL.orpo, batch_size=1, accumulation=32, max_length=640),
    # KTO's reference point is estimated inside a batch: it needs two rows at least.
    kto=replace(FULL.kto, batch_size=2, accumulation=8, max_length=384),
)

# Half the rank and half the length: the activations of 2,048 tokens alone would fill a fifth of such a card.
RTX2060 = replace(
    RTX3070,
    name="rtx2060",
    purpose="fits a graphics card with 6 GB: shorter rows and a smaller adapter",
    lora=LoraRecipe(r=32, alpha=64),
    sft=replace(RTX3070.sft, max_length=1024),
    dpo=replace(RTX3070.dpo, max_length=320),
    orpo=replace(RTX3070.orpo, max_length=320),
    kto=replace(RTX3070.kto, max_length=192),
)

# Apple's memory is one for processor and graphics; there are no 4-bit weights and no 8-bit optimiser for it.
APPLE = replace(
    RTX3070,
    name="apple",
    purpose="Apple silicon: plain LoRA in 16 bit on its graphics, at most ten hours",
    lora=LoraRecipe(r=32, alpha=64),
    sft=replace(RTX3070.sft, epochs=3, max_length=1024),
    dpo=replace(RTX3070.dpo, epochs=1, max_length=320, max_rows=1_000),
    orpo=replace(RTX3070.orpo, max_length=320),
    kto=replace(RTX3070.kto, max_length=256),
    is_4bit=False,
    optimizer="adamw_torch",
    most_hours=10.0,
    is_for_apple=True,
)

# Plain LoRA in 32 bit (bf16 without its own instructions is slower still). A short run: the learning rate is higher
# than the specification's because there are few steps to make it up.
CPU_SMOKE = Recipe(
    name="cpu-smoke",
    purpose="minutes on two processor cores with SmolLM2-135M; shows that everything works",
    lora=LoraRecipe(r=16, alpha=32, dropout=0.0),
    # Rows of one batch share the computation of their system prompt (model/training/shared_prefix.py): hence 8 at once.
    sft=PhaseRecipe(
        epochs=1,
        learning_rate=5e-4,
        batch_size=8,
        accumulation=1,
        max_length=320,
        max_rows=320,
        max_tokens=250_000,
    ),
    dpo=PhaseRecipe(epochs=1, learning_rate=5e-5, batch_size=2, accumulation=2, max_length=320, max_rows=40),
    orpo=PhaseRecipe(epochs=1, learning_rate=2e-4, batch_size=2, accumulation=2, max_length=320, max_rows=80),
    kto=PhaseRecipe(epochs=1, learning_rate=5e-5, batch_size=4, accumulation=1, max_length=320, max_rows=40),
    is_4bit=False,
    optimizer="adamw_torch",
    gradient_checkpointing=False,
    log_every=2,
    save_every=10,
    evaluate_every=20,
    validation_rows=60,
    default_base="packaged",
)

# One night for a base of up to 0.8 billion weights. Few steps, so a higher rate than the specification's; preference
# pairs cost three times a row, so there are few of them.
OVERNIGHT = replace(
    CPU_SMOKE,
    name="overnight",
    purpose="a night on the processor with a base of up to 0.8 billion weights; as many rows as ten hours allow",
    lora=LoraRecipe(r=32, alpha=64),
    sft=PhaseRecipe(epochs=2, learning_rate=2e-4, batch_size=8, accumulation=2, max_length=512),
    dpo=PhaseRecipe(epochs=1, learning_rate=5e-5, batch_size=2, accumulation=8, max_length=320, max_rows=300),
    orpo=PhaseRecipe(epochs=2, learning_rate=5e-5, batch_size=2, accumulation=8, max_length=320),
    kto=PhaseRecipe(epochs=1, learning_rate=5e-5, batch_size=2, accumulation=8, max_length=320, max_rows=300),
    gradient_checkpointing=True,
    log_every=10,
    save_every=100,
    evaluate_every=400,
    validation_rows=200,
    most_hours=10.0,
    default_base="Qwen/Qwen2.5-0.5B-Instruct",
)

DEMO = replace(
    CPU_SMOKE,
    name="demo",
    purpose="the demo server's adapter: small, a few minutes on two cores",
    lora=LoraRecipe(r=8, alpha=16, dropout=0.0),
    # Four passes over a small server's conversations, about a thousand tokens a step.
    sft=PhaseRecipe(epochs=4, learning_rate=1e-3, batch_size=4, accumulation=1, max_length=288, max_rows=480),
    evaluate_every=100,
    save_every=20,
)


def halved(numbers: PhaseRecipe, *, least: int) -> PhaseRecipe | None:
    """The same rows per step with half of them in memory at a time; None when there are `least` or fewer."""
    if numbers.batch_size <= least:
        return None
    batch = max(numbers.batch_size // 2, least)
    return replace(numbers, batch_size=batch, accumulation=-(-numbers.effective_batch // batch))


def least_batch(phase: str) -> int:
    """The smallest batch of a phase: KTO compares replies inside one and needs two."""
    return 2 if phase == "kto" else 1


_LADDER = (FULL, RTX3070, RTX2060, APPLE, OVERNIGHT, CPU_SMOKE, DEMO)
RECIPES: dict[str, Recipe] = {recipe.name: recipe for recipe in _LADDER}

_GB = 1_000_000_000
# A "24 GB" card reports 23.x or 25.x, an "8 GB" one 7.9 to 8.6. 'full' holds 311 M more trained weights, and its DPO
# the logits of two replies of 2,048 tokens: about 16 GB with one pair at a time.
FULL_NEEDS_BYTES = 22 * _GB
RTX3070_NEEDS_BYTES = 7.4 * _GB
RTX2060_NEEDS_BYTES = 5.4 * _GB
# What a processor gets through in a night.
OVERNIGHT_MOST_WEIGHTS = 800_000_000


def recipe_named(name: str) -> Recipe:
    """The recipe of that name; ConfigurationError lists the names."""
    if name not in RECIPES:
        raise ConfigurationError(f"There is no recipe called {name!r}.", f"Choose one of: {', '.join(RECIPES)}.")
    return RECIPES[name]


def choose_recipe(
    *, gpu_bytes: int, weights: int = 0, is_apple: bool = False, is_practice: bool = False
) -> tuple[Recipe, str]:
    """The recipe for the hardware found and the base, and why.

    gpu_bytes: memory of the largest NVIDIA GPU, 0 for none. weights: of the base, 0 when nobody knows. is_practice: the
    base is the packaged model, which shows that everything works and no more.
    """
    gb = gpu_bytes / _GB
    if gpu_bytes >= FULL_NEEDS_BYTES:
        return FULL, f"the GPU has {gb:.1f} GB"
    if gpu_bytes >= RTX3070_NEEDS_BYTES:
        return RTX3070, f"the GPU has {gb:.1f} GB; 'full' wants 24"
    if gpu_bytes >= RTX2060_NEEDS_BYTES:
        return RTX2060, f"the GPU has {gb:.1f} GB; 'rtx3070' wants 8"
    without = f"the GPU has only {gb:.1f} GB; training wants 6" if gpu_bytes else "no NVIDIA GPU was found"
    if is_practice:
        return CPU_SMOKE, f"{without}, and the packaged model is for practice"
    if is_apple:
        return APPLE, "this is Apple silicon"
    if 0 < weights <= OVERNIGHT_MOST_WEIGHTS:
        return OVERNIGHT, f"{without}; a base this small can be trained overnight"
    return CPU_SMOKE, (
        f"{without}, and this base is too large for a processor: only a short practice run. Take a small one "
        f"(qwen2.5-0.5b) and train overnight, or train this one on a rented GPU (docs/TRAINING.md)"
    )


LINEAR_LAYERS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
# Models that hold some of the seven as one matrix, by their model_type.
_FUSED_LAYERS = {"phi3": ("qkv_proj", "o_proj", "gate_up_proj", "down_proj")}


@dataclass(frozen=True)
class LoraTargets:
    """What PEFT is told: which modules get LoRA, which are trained whole, and whether a tie is kept."""

    target_modules: tuple[str, ...]
    modules_to_save: tuple[str, ...] = ()
    ensure_weight_tying: bool = False


def lora_targets(lora: LoraRecipe, *, is_tied: bool, model_type: str = "") -> LoraTargets:
    """The modules to train on this base. model_type: as in its config.json.

    The specification's nine modules merge wrongly, and silently, where embedding and head are one matrix: the two
    adapters' changes cannot both be put into it. There the embedding is trained whole and the head follows.
    """
    linear = _FUSED_LAYERS.get(model_type, LINEAR_LAYERS)
    if not lora.train_embeddings:
        return LoraTargets(linear)
    if is_tied:
        return LoraTargets(linear, ("embed_tokens",), ensure_weight_tying=True)
    return LoraTargets((*linear, "embed_tokens", "lm_head"))
