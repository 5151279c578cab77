"""The chat models this program knows by name: where their files are, what they may be used for, what can be done with
them. Plain values, for the download, the training and the panel alike.

Sizes, licences and checksums are the publishers' own. Licences are named as they name them; read them before using a
model for anything but talking to friends. Where no checksum stands here, the hub's own is used at the download.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Sort(StrEnum):
    """What a model was made for. BASE: only read, never taught to assist; the likelier to sound like people."""

    INSTRUCT = "instruct"
    BASE = "base"
    CURIOSITY = "curiosity"


@dataclass(frozen=True)
class CatalogModel:
    """A chat model as one GGUF file on the Hugging Face hub, Q4_K_M. template: its turn markers.

    base: the repository with its weights, which training starts from (model/training/shapes.py knows its numbers).
    can_be_retrained: whether this program can write a file of its kind.
    """

    key: str
    title: str
    repo: str
    file: str
    size_bytes: int
    licence: str
    template: str
    note: str = ""
    sha256: str = ""
    base: str = ""
    sort: Sort = Sort.INSTRUCT
    can_be_retrained: bool = True

    @property
    def is_free(self) -> bool:
        """True for licences that allow any use."""
        return self.licence in ("Apache-2.0", "MIT")

    @property
    def memory_bytes(self) -> int:
        """What talking with it takes: the file, a conversation's cache, the program."""
        return int(self.size_bytes * 1.15) + (900 << 20)


MODELS: tuple[CatalogModel, ...] = (
    CatalogModel(
        "qwen2.5-3b",
        "Qwen2.5 3B Instruct",
        "Qwen/Qwen2.5-3B-Instruct-GGUF",
        "qwen2.5-3b-instruct-q4_k_m.gguf",
        2_104_932_768,
        "Qwen Research (non-commercial)",
        "chatml",
        "The default: best voice for its size. Not for commercial use.",
        sha256="626b4a6678b86442240e33df819e00132d3ba7dddfe1cdc4fbb18e0a9615c62d",
        base="Qwen/Qwen2.5-3B-Instruct",
    ),
    CatalogModel(
        "qwen3-4b",
        "Qwen3 4B Instruct 2507",
        "bartowski/Qwen_Qwen3-4B-Instruct-2507-GGUF",
        "Qwen_Qwen3-4B-Instruct-2507-Q4_K_M.gguf",
        2_497_280_736,
        "Apache-2.0",
        "chatml",
        "The second default: a little larger, free for any use.",
        sha256="2fde00ce69dd4899c70d020845e2638353015bba0fdf161b3eb965f2bca4464e",
        base="Qwen/Qwen3-4B-Instruct-2507",
    ),
    CatalogModel(
        "qwen3-4b-base",
        "Qwen3 4B Base",
        "mradermacher/Qwen3-4B-Base-GGUF",
        "Qwen3-4B-Base.Q4_K_M.gguf",
        2_497_280_736,
        "Apache-2.0",
        "chatml",
        "Never taught to assist: to be retrained before it speaks.",
        base="Qwen/Qwen3-4B-Base",
        sort=Sort.BASE,
    ),
    CatalogModel(
        "qwen2.5-1.5b",
        "Qwen2.5 1.5B Instruct",
        "Qwen/Qwen2.5-1.5B-Instruct-GGUF",
        "qwen2.5-1.5b-instruct-q4_k_m.gguf",
        1_117_320_736,
        "Apache-2.0",
        "chatml",
        "Half the size and twice as fast.",
        sha256="6a1a2eb6d15622bf3c96857206351ba97e1af16c30d7a74ee38970e434e9407e",
        base="Qwen/Qwen2.5-1.5B-Instruct",
    ),
    CatalogModel(
        "qwen2.5-0.5b",
        "Qwen2.5 0.5B Instruct",
        "Qwen/Qwen2.5-0.5B-Instruct-GGUF",
        "qwen2.5-0.5b-instruct-q4_k_m.gguf",
        491_400_032,
        "Apache-2.0",
        "chatml",
        "Small enough to be retrained overnight without a graphics card.",
        sha256="74a4da8c9fdbcd15bd1f6d01d621410d31c6fc00986f5eb687824e7b93d7a9db",
        base="Qwen/Qwen2.5-0.5B-Instruct",
    ),
    CatalogModel(
        "smollm3-3b",
        "SmolLM3 3B",
        "ggml-org/SmolLM3-3B-GGUF",
        "SmolLM3-Q4_K_M.gguf",
        1_915_305_312,
        "Apache-2.0",
        "chatml",
        "Free for any use, six European languages.",
        sha256="8334b850b7bd46238c16b0c550df2138f0889bf433809008cc17a8b05761863e",
        base="HuggingFaceTB/SmolLM3-3B",
    ),
    CatalogModel(
        "smollm2-1.7b",
        "SmolLM2 1.7B Instruct",
        "bartowski/SmolLM2-1.7B-Instruct-GGUF",
        "SmolLM2-1.7B-Instruct-Q4_K_M.gguf",
        1_055_609_824,
        "Apache-2.0",
        "chatml",
        "Small and free.",
        sha256="77665ea4815999596525c636fbeb56ba8b080b46ae85efef4f0d986a139834d7",
        base="HuggingFaceTB/SmolLM2-1.7B-Instruct",
    ),
    CatalogModel(
        "smollm2-360m",
        "SmolLM2 360M Instruct",
        "bartowski/SmolLM2-360M-Instruct-GGUF",
        "SmolLM2-360M-Instruct-Q4_K_M.gguf",
        271_000_000,
        "Apache-2.0",
        "chatml",
        "Tiny and free; retrained overnight without a graphics card.",
        base="HuggingFaceTB/SmolLM2-360M-Instruct",
    ),
    CatalogModel(
        "llama-3.2-3b",
        "Llama 3.2 3B Instruct",
        "bartowski/Llama-3.2-3B-Instruct-GGUF",
        "Llama-3.2-3B-Instruct-Q4_K_M.gguf",
        2_019_377_696,
        "Llama 3.2 Community",
        "llama3",
        "For those who prefer the Meta family.",
        sha256="6c1a2b41161032677be168d354123594c0e6e67d2b9227c84f296ad037c728ff",
        base="meta-llama/Llama-3.2-3B-Instruct",
    ),
    CatalogModel(
        "gemma-3-1b",
        "Gemma 3 1B",
        "bartowski/google_gemma-3-1b-it-GGUF",
        "google_gemma-3-1b-it-Q4_K_M.gguf",
        806_058_496,
        "Gemma Terms of Use",
        "gemma",
        "For very small machines.",
        sha256="12bf0fff8815d5f73a3c9b586bd8fee8e7b248c935de70dec367679873d0f29d",
        base="google/gemma-3-1b-it",
    ),
    CatalogModel(
        "gemma-3-270m",
        "Gemma 3 270M",
        "bartowski/google_gemma-3-270m-it-GGUF",
        "google_gemma-3-270m-it-Q4_K_M.gguf",
        253_115_168,
        "Gemma Terms of Use",
        "gemma",
        "Tiny; retrained overnight without a graphics card.",
        sha256="c866c9f113f2e9aa2225c5997ede437392b8fa844ba5db9e4c77e315ffe20800",
        base="google/gemma-3-270m-it",
    ),
    CatalogModel(
        "gemma-4-e2b",
        "Gemma 4 E2B",
        "unsloth/gemma-4-E2B-it-GGUF",
        "gemma-4-E2B-it-Q4_K_M.gguf",
        3_107_000_000,
        "Apache-2.0",
        "gemma",
        "Google's newest small one.",
        base="google/gemma-4-E2B-it",
        can_be_retrained=False,
    ),
    CatalogModel(
        "ministral-3-3b",
        "Ministral 3 3B Instruct 2512",
        "mistralai/Ministral-3-3B-Instruct-2512-GGUF",
        "Ministral-3-3B-Instruct-2512-Q4_K_M.gguf",
        2_147_023_008,
        "Apache-2.0",
        "mistral",
        "Free for any use, eleven languages.",
        sha256="9ed150d4367e68df0ac8e1540f6ddc65b42d0ee26378329d1ecbca60f93fc5f8",
        base="mistralai/Ministral-3-3B-Instruct-2512",
        can_be_retrained=False,
    ),
    CatalogModel(
        "qwen3.5-2b",
        "Qwen3.5 2B",
        "unsloth/Qwen3.5-2B-GGUF",
        "Qwen3.5-2B-Q4_K_M.gguf",
        1_280_835_840,
        "Apache-2.0",
        "chatml",
        "New and quick; computes a changed conversation from its start.",
        base="Qwen/Qwen3.5-2B",
        can_be_retrained=False,
    ),
    CatalogModel(
        "lfm2.5-1.2b",
        "LFM2.5 1.2B Instruct",
        "LiquidAI/LFM2.5-1.2B-Instruct-GGUF",
        "LFM2.5-1.2B-Instruct-Q4_K_M.gguf",
        730_895_168,
        "LFM Open License v1.0",
        "chatml",
        "The quickest on a processor; computes a changed conversation from its start.",
        sha256="b1b3de114215d9507409a662a501a631095a479a419584e8a2ded6304b19b4f5",
        base="LiquidAI/LFM2.5-1.2B-Instruct",
        can_be_retrained=False,
    ),
    CatalogModel(
        "phi-3.5-mini",
        "Phi 3.5 mini",
        "bartowski/Phi-3.5-mini-instruct-GGUF",
        "Phi-3.5-mini-instruct-Q4_K_M.gguf",
        2_393_232_672,
        "MIT",
        "phi3",
        "Free for any use.",
        sha256="e4165e3a71af97f1b4820da61079826d8752a2088e313af0c7d346796c38eff5",
        base="microsoft/Phi-3.5-mini-instruct",
    ),
    CatalogModel(
        "phi-4",
        "Phi 4 (14B)",
        "bartowski/phi-4-GGUF",
        "phi-4-Q4_K_M.gguf",
        9_053_000_000,
        "MIT",
        "phi4",
        "Needs 12 GB of memory and patience; too large to fine-tune on 8 GB.",
        base="microsoft/phi-4",
        sort=Sort.CURIOSITY,
    ),
    CatalogModel(
        "deepseek-r1-1.5b",
        "DeepSeek R1 Distill Qwen 1.5B",
        "bartowski/DeepSeek-R1-Distill-Qwen-1.5B-GGUF",
        "DeepSeek-R1-Distill-Qwen-1.5B-Q4_K_M.gguf",
        1_117_320_800,
        "MIT",
        "deepseek",
        "Thinks aloud; made for reasoning rather than chat.",
        sha256="1741e5b2d062b07acf048bf0d2c514dadf2a48f94e2b4aa0cfe069af3838ee2f",
        base="deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B",
        sort=Sort.CURIOSITY,
    ),
    CatalogModel(
        "ministral-8b",
        "Ministral 8B Instruct 2410",
        "bartowski/Ministral-8B-Instruct-2410-GGUF",
        "Ministral-8B-Instruct-2410-Q4_K_M.gguf",
        4_912_000_000,
        "Mistral Research (non-commercial)",
        "mistral",
        "Large; for a good desktop machine.",
        base="mistralai/Ministral-8B-Instruct-2410",
    ),
)
DEFAULT_MODEL = MODELS[0]
