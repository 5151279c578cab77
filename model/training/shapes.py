"""The numbers of a base that memory, time and export depend on, known before a byte of it is fetched."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class ModelShape:
    """The numbers of config.json that memory and time depend on. head_size of 0 means hidden / heads."""

    layers: int
    hidden: int
    intermediate: int
    heads: int
    kv_heads: int
    vocabulary: int
    is_tied: bool
    head_size: int = 0

    @classmethod
    def of(cls, config: dict[str, Any]) -> ModelShape:
        """From config.json; a model of several parts keeps the language model's numbers one level deeper."""
        config = config.get("text_config") or config
        heads = int(config["num_attention_heads"])
        return cls(
            layers=int(config["num_hidden_layers"]),
            hidden=int(config["hidden_size"]),
            intermediate=int(config["intermediate_size"]),
            heads=heads,
            kv_heads=int(config.get("num_key_value_heads") or heads),
            vocabulary=int(config["vocab_size"]),
            is_tied=bool(config.get("tie_word_embeddings")),
            head_size=int(config.get("head_dim") or 0),
        )

    @property
    def linear_shapes(self) -> tuple[tuple[int, int], ...]:
        """(in, out) of one layer's seven linear modules."""
        size = self.head_size or self.hidden // self.heads
        query, kv = size * self.heads, size * self.kv_heads
        return (
            (self.hidden, query),
            (self.hidden, kv),
            (self.hidden, kv),
            (query, self.hidden),
            (self.hidden, self.intermediate),
            (self.hidden, self.intermediate),
            (self.intermediate, self.hidden),
        )

    @property
    def linear_weights(self) -> int:
        """Weights in the layers' matrices, those a LoRA adapts."""
        return self.layers * sum(a * b for a, b in self.linear_shapes)

    @property
    def embedding_weights(self) -> int:
        """Weights of the token embedding and the output head, counted once where they are tied."""
        return self.vocabulary * self.hidden * (1 if self.is_tied else 2)

    @property
    def weights(self) -> int:
        """All weights; norms and biases are too few to count."""
        return self.linear_weights + self.embedding_weights

    def lora_weights(self, r: int) -> int:
        """Weights of an adapter of rank r on the seven linear modules."""
        return self.layers * sum(r * (a + b) for a, b in self.linear_shapes)


@dataclass(frozen=True)
class KnownBase:
    """A base by its publisher's config.json. model_type decides whether it can be written as GGUF; of those that
    cannot, nobody asks for the shape."""

    model_type: str
    shape: ModelShape | None = None


QWEN_3B = ModelShape(36, 2048, 11_008, 16, 2, 151_936, True)
SMOLLM2_135M = ModelShape(30, 576, 1536, 9, 3, 49_152, True)

# The catalogue's bases by repository.
KNOWN_BASES: dict[str, KnownBase] = {
    "Qwen/Qwen2.5-3B-Instruct": KnownBase("qwen2", QWEN_3B),
    "Qwen/Qwen2.5-1.5B-Instruct": KnownBase("qwen2", ModelShape(28, 1536, 8960, 12, 2, 151_936, True)),
    "Qwen/Qwen2.5-0.5B-Instruct": KnownBase("qwen2", ModelShape(24, 896, 4864, 14, 2, 151_936, True)),
    "Qwen/Qwen3-4B-Instruct-2507": KnownBase("qwen3", ModelShape(36, 2560, 9728, 32, 8, 151_936, True, 128)),
    "Qwen/Qwen3-4B-Base": KnownBase("qwen3", ModelShape(36, 2560, 9728, 32, 8, 151_936, True, 128)),
    "HuggingFaceTB/SmolLM2-360M-Instruct": KnownBase("llama", ModelShape(32, 960, 2560, 15, 5, 49_152, True)),
    "HuggingFaceTB/SmolLM3-3B": KnownBase("smollm3", ModelShape(36, 2048, 11_008, 16, 4, 128_256, True)),
    "google/gemma-3-270m-it": KnownBase("gemma3_text", ModelShape(18, 640, 2048, 4, 1, 262_144, True, 256)),
    "google/gemma-4-E2B-it": KnownBase("gemma4"),
    "mistralai/Ministral-3-3B-Instruct-2512": KnownBase("mistral3"),
    "Qwen/Qwen3.5-2B": KnownBase("qwen3_5"),
    "LiquidAI/LFM2.5-1.2B-Instruct": KnownBase("lfm2"),
    "HuggingFaceTB/SmolLM2-1.7B-Instruct": KnownBase("llama", ModelShape(24, 2048, 8192, 32, 32, 49_152, True)),
    "meta-llama/Llama-3.2-3B-Instruct": KnownBase("llama", ModelShape(28, 3072, 8192, 24, 8, 128_256, True, 128)),
    "google/gemma-3-1b-it": KnownBase("gemma3_text", ModelShape(26, 1152, 6912, 4, 1, 262_144, True, 256)),
    "microsoft/Phi-3.5-mini-instruct": KnownBase("phi3", ModelShape(32, 3072, 8192, 32, 32, 32_064, False)),
    "microsoft/phi-4": KnownBase("phi3", ModelShape(40, 5120, 17_920, 40, 10, 100_352, False)),
    "deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B": KnownBase("qwen2", ModelShape(28, 1536, 8960, 12, 2, 151_936, False)),
    "mistralai/Ministral-8B-Instruct-2410": KnownBase(
        "mistral", ModelShape(36, 4096, 12_288, 32, 8, 131_072, False, 128)
    ),
}
