"""How a model may be written: name -> llama.cpp's constant ('' leaves the weights in half precision)."""

from __future__ import annotations

QUANTISATIONS = {
    "Q4_K_M": "LLAMA_FTYPE_MOSTLY_Q4_K_M",
    "Q5_K_M": "LLAMA_FTYPE_MOSTLY_Q5_K_M",
    "Q8_0": "LLAMA_FTYPE_MOSTLY_Q8_0",
    "F16": "",
}
