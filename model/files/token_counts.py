"""How many tokens texts are, from a model file's vocabulary alone: no weights are loaded."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from model.files.model_kind import check_chat_model
from model.llama_cpp_api import last_error, library
from storage.errors import ModelFileError

# Byte-pair tokenizers split text into such pieces first and tokenise each on its own, so counts add up. llama.cpp takes
# 7 microseconds a token; chat repeats its words, and a look-up takes a tenth of one.
_PIECE = re.compile(r" ?[^\W\d_]+|\d| ?[^\s\w]+|_+|\s+")
_CACHED_PIECES = 200_000


class TokenCounter:
    """Counts with one vocabulary; for one thread. `name` is the file it came from.

    Within one in a hundred of the exact number on chat: the pieces follow the usual pattern, not each model's own.
    """

    def __init__(self, path: Path) -> None:
        check_chat_model(path)
        self.name = path.name
        self._lib = library()
        params = self._lib.llama_model_default_params()
        params.vocab_only = True
        params.n_gpu_layers = 0
        self._model: Any = self._lib.llama_model_load_from_file(str(path).encode("utf-8"), params)
        if not self._model:
            raise ModelFileError(
                f"llama.cpp cannot read the vocabulary of {path.name}: {last_error()}", "Download the model again."
            )
        self._vocab = self._lib.llama_model_get_vocab(self._model)
        self._known: dict[str, int] = {}

    def __call__(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text as people's text: control strings count as what they are, letters."""
        known = self._known
        counts = []
        for text in texts:
            total = 0
            for piece in _PIECE.findall(text):
                count = known.get(piece)
                total += self._look_up(piece) if count is None else count
            counts.append(total)
        return counts

    def exact(self, text: str) -> int:
        """The number llama.cpp gives."""
        data = text.encode("utf-8", "replace")
        # Without room for the answer llama.cpp tells how much it would need, as a negative number.
        return -int(self._lib.llama_tokenize(self._vocab, data, len(data), None, 0, False, False)) if data else 0

    def _look_up(self, piece: str) -> int:
        count = self.exact(piece)
        if len(self._known) < _CACHED_PIECES and len(piece) <= 40:
            self._known[piece] = count
        return count

    def close(self) -> None:
        """Give the vocabulary's memory back."""
        if self._model:
            self._lib.llama_model_free(self._model)
            self._model = None
