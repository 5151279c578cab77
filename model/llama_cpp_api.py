"""llama.cpp through llama-cpp-python's low-level API: one model, one context, many sequences.

Nothing here knows about channels or prompts. Everything but the vocabulary functions and `abort`/`resume` must be
called from one thread only: llama.cpp contexts are not thread-safe (two threads in one crash the process).
"""

from __future__ import annotations

import ctypes
import logging
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from model.files.gguf_check import GgufHeader
from model.files.model_kind import check_adapter, check_chat_model
from storage.errors import ModelFileError

log = logging.getLogger(__name__)

ABORTED, NO_SLOT = 2, 1
_PAGE = 64
_WARNING, _ERROR = 3, 4  # ggml_log_level of ggml.h
# An abort that was asked for is reported as three errors.
_ABORT_NOISE = re.compile(r"compute status: 1$|ret = 2$|failed with error 1$")
# Lines that only repeat that loading failed, and the function's name in front of a reason.
_FOLLOWING = re.compile(r"failed to load model$|llama_model_load_from_file_impl|failed to initialize the context$")
_ORIGIN = re.compile(r"^\w+: (?:error loading model: )?")
MAX_OUTPUTS = 16
_WORTH_MAPPING = 300 << 20


@dataclass(frozen=True)
class ContextOptions:
    """How a model is loaded. cells: KV cells shared by all sequences. threads 0: half the processors.

    repack: weights copied into the processor's own order. On some processors it is quicker, on others slower, and there
    are some (AMX in a virtual machine) where the first token ends the process: only what was tried may switch it on.
    """

    cells: int = 3072
    sequences: int = MAX_OUTPUTS
    threads: int = 0
    batch_threads: int = 0
    ubatch: int = 64
    flash_attention: bool = True
    repack: bool = False
    gpu_layers: int = 0
    kv_type: str = "f16"


class DecodeError(RuntimeError):
    """llama_decode failed for a reason other than abortion or lack of cells: a bug or a broken model."""


@dataclass(frozen=True)
class BatchToken:
    """One token to compute: where it stands, in which sequence, and whether its logits are wanted."""

    token: int
    position: int
    sequence: int
    has_logits: bool = False


class NativeModel:
    """A loaded model with its context. Raises ModelFileError when llama.cpp refuses the file."""

    def __init__(self, path: Path, options: ContextOptions) -> None:
        self.header: GgufHeader = check_chat_model(path)
        self.path, self.options = path, options
        self.threads = options.threads or default_threads()
        self.batch_threads = options.batch_threads or self.threads
        self._lib = library()
        self._context: Any = None
        self._model = self._load()
        self.vocab = self._lib.llama_model_get_vocab(self._model)
        self.vocabulary_size = int(self._lib.llama_vocab_n_tokens(self.vocab))
        self._adapter: Any = None
        self._pieces: dict[int, bytes] = {}
        self._abort_byte = ctypes.create_string_buffer(2)
        self._abort_function = _native_strlen(self._lib)
        try:
            self._open_context()
        except BaseException:
            self._lib.llama_model_free(self._model)
            raise

    # ---- loading --------------------------------------------------------------------------------------

    def _load(self) -> Any:
        lib = self._lib
        params = lib.llama_model_default_params()
        params.n_gpu_layers = self.options.gpu_layers
        # A mapped file is there at once; out of memory of its own a small one decodes 2 % quicker (docs/ENGINE.md).
        is_mapped = self.header.size_bytes >= _WORTH_MAPPING
        params.load_mode = lib.LLAMA_LOAD_MODE_MMAP if is_mapped else lib.LLAMA_LOAD_MODE_NONE
        # Repacked weights are a second copy in memory, faster on some processors and slower on others.
        params.use_extra_bufts = self.options.repack
        _recent_errors.clear()
        model = lib.llama_model_load_from_file(str(self.path).encode("utf-8"), params)
        if not model:
            raise self._refused()
        return model

    def _refused(self) -> ModelFileError:
        if any("unknown model architecture" in line for line in _recent_errors):
            return ModelFileError(
                f"This program does not know the kind of model in {self.path.name} ({self.header.architecture}) yet.",
                "Choose another model, or update the program.",
            )
        return ModelFileError(
            f"llama.cpp cannot load {self.path.name} ({self.header.architecture}): {last_error()}",
            "The file may be damaged or too new for this version; download it again.",
        )

    def _open_context(self) -> None:
        lib, options = self._lib, self.options
        params = lib.llama_context_default_params()
        params.n_ctx = options.cells
        params.n_batch = params.n_ubatch = options.ubatch
        params.n_seq_max = options.sequences
        params.n_outputs_max = max(MAX_OUTPUTS, options.sequences)  # llama.cpp insists on one per sequence
        params.n_threads, params.n_threads_batch = self.threads, self.batch_threads
        params.flash_attn_type = (
            lib.LLAMA_FLASH_ATTN_TYPE_ENABLED if options.flash_attention else lib.LLAMA_FLASH_ATTN_TYPE_DISABLED
        )
        params.kv_unified = True
        params.no_perf = True
        params.type_k = params.type_v = lib.GGML_TYPE_Q8_0 if options.kv_type == "q8_0" else lib.GGML_TYPE_F16
        self._context = lib.llama_init_from_model(self._model, params)
        if not self._context:
            raise ModelFileError(
                f"llama.cpp cannot open a context of {options.cells} tokens for {self.path.name}.",
                "Lower the context length in Settings > Model, or free some memory.",
            )
        self._memory = lib.llama_get_memory(self._context)
        self._batch = lib.llama_batch_init(options.ubatch, 0, 1)
        lib.llama_set_abort_callback(self._context, self._abort_function, ctypes.addressof(self._abort_byte))

    def reopen(self, **changes: Any) -> None:
        """Another context over the same weights, with some options changed; what was computed and adapters are gone."""
        self._close_context()
        self.options = replace(self.options, **changes)
        self._open_context()

    def _close_context(self) -> None:
        self._lib.llama_batch_free(self._batch)
        self._lib.llama_free(self._context)

    def close(self) -> None:
        """Free everything; the memory goes back to the system."""
        if self._context:
            self._close_context()
            if self._adapter:
                self._lib.llama_adapter_lora_free(self._adapter)
            self._lib.llama_model_free(self._model)
            self._context = None

    # ---- facts ----------------------------------------------------------------------------------------

    @property
    def size_bytes(self) -> int:
        """What the weights take."""
        return int(self._lib.llama_model_size(self._model))

    def metadata(self, key: str) -> str | None:
        """A text value of the file's header, or None."""
        length = self._lib.llama_model_meta_val_str(self._model, key.encode(), None, 0)
        if length < 0:
            return None
        buffer = ctypes.create_string_buffer(length + 1)
        self._lib.llama_model_meta_val_str(self._model, key.encode(), buffer, length + 1)
        return buffer.value.decode("utf-8", errors="replace")

    def chat_template(self) -> str | None:
        """The Jinja source inside the file; None where it has none."""
        source = self._lib.llama_model_chat_template(self._model, None)
        return source.decode("utf-8", errors="replace") if source else None

    # ---- vocabulary (thread-safe) ---------------------------------------------------------------------

    def encode(self, text: str, special: bool) -> list[int]:
        """Token ids, no BOS added. special: control strings in the text become control tokens."""
        data = text.encode("utf-8", errors="replace")
        size = len(data) + 8
        ids = (ctypes.c_int32 * size)()
        count = self._lib.llama_tokenize(self.vocab, data, len(data), ids, size, False, special)
        if count < 0:
            ids = (ctypes.c_int32 * -count)()
            count = self._lib.llama_tokenize(self.vocab, data, len(data), ids, -count, False, special)
        return list(ids[:count])

    def piece(self, token: int) -> bytes:
        """The bytes a token stands for; control tokens give none."""
        known = self._pieces.get(token)
        if known is None:
            known = self._pieces[token] = self._read_piece(token)
        return known

    def _read_piece(self, token: int) -> bytes:
        buffer = ctypes.create_string_buffer(_PAGE)
        length = self._lib.llama_token_to_piece(self.vocab, token, buffer, _PAGE, 0, False)
        if length < 0:
            buffer = ctypes.create_string_buffer(-length)
            length = self._lib.llama_token_to_piece(self.vocab, token, buffer, -length, 0, False)
        return buffer.raw[:length]

    def token_text(self, token: int) -> str:
        """The vocabulary's own spelling of a token, e.g. `<|im_end|>`; '' for -1."""
        if token < 0:
            return ""
        return (self._lib.llama_vocab_get_text(self.vocab, token) or b"").decode("utf-8", errors="replace")

    def is_control(self, token: int) -> bool:
        """Whether a token is a control one, which never belongs in a reply's text."""
        return bool(self._lib.llama_vocab_is_control(self.vocab, token))

    def is_end(self, token: int) -> bool:
        """True for tokens that end a reply."""
        return bool(self._lib.llama_vocab_is_eog(self.vocab, token))

    @property
    def bos(self) -> int:
        """The token that begins a text; -1 where the model has none."""
        return int(self._lib.llama_vocab_bos(self.vocab))

    @property
    def adds_bos(self) -> bool:
        """True when the file asks for its BOS token before every text."""
        return bool(self._lib.llama_vocab_get_add_bos(self.vocab))

    @property
    def eos(self) -> int:
        """The token that ends a text; -1 where the model has none."""
        return int(self._lib.llama_vocab_eos(self.vocab))

    # ---- computing ------------------------------------------------------------------------------------

    def decode(self, rows: Sequence[BatchToken]) -> int:
        """Compute up to `ubatch` rows. 0 done, NO_SLOT no room, ABORTED stopped by `abort`; nothing of a batch that
        was not done stays behind. Raises DecodeError otherwise."""
        batch = self._batch
        batch.n_tokens = len(rows)
        for index, row in enumerate(rows):
            batch.token[index] = row.token
            batch.pos[index] = row.position
            batch.n_seq_id[index] = 1
            batch.seq_id[index][0] = row.sequence
            batch.logits[index] = row.has_logits
        code = int(self._lib.llama_decode(self._context, batch))
        if code not in (0, NO_SLOT, ABORTED):
            raise DecodeError(f"llama_decode returned {code}: {last_error()}")
        return code

    def logits(self, index: int) -> np.ndarray:
        """Copy of the logits of row `index` of the last batch, float32, shape (vocabulary,)."""
        pointer = self._lib.llama_get_logits_ith(self._context, index)
        return np.ctypeslib.as_array(pointer, (self.vocabulary_size,)).copy()

    def sample(self, sampler: Any, index: int) -> int:
        """Draw a token from row `index` of the last batch; the sampler remembers it."""
        return int(self._lib.llama_sampler_sample(sampler, self._context, index))

    def abort(self) -> None:
        """Make the running decode stop, from any thread (checked before every operation of the graph)."""
        self._abort_byte[0] = b"\x01"

    def resume(self) -> None:
        """Allow decoding again."""
        self._abort_byte[0] = b"\x00"

    def follow_load(self, threads: int) -> None:
        """Use so many threads from now on, unless that is so already."""
        if threads != self.threads:
            self.set_threads(threads)

    def set_threads(self, threads: int, batch_threads: int | None = None) -> None:
        """Threads for one token at a time, and for a batch (the same number where it is not given)."""
        self.threads, self.batch_threads = threads, batch_threads or threads
        self._lib.llama_set_n_threads(self._context, self.threads, self.batch_threads)

    # ---- sequences ------------------------------------------------------------------------------------

    @property
    def has_running_state(self) -> bool:
        """True for recurrent and hybrid models: a sequence is one state, which cannot be cut back or shared in part."""
        lib = self._lib
        return bool(lib.llama_model_is_recurrent(self._model) or lib.llama_model_is_hybrid(self._model))

    def remove(self, sequence: int, start: int, end: int = -1) -> bool:
        """Forget positions [start, end) of a sequence; removing a tail is exact. False where the model's memory cannot
        do that: nothing was removed then, and only the whole sequence (start 0) can go."""
        return bool(self._lib.llama_memory_seq_rm(self._memory, sequence, start, end))

    def share(self, source: int, target: int, end: int) -> None:
        """Let `target` use the cells of `source` at positions [0, end)."""
        self._lib.llama_memory_seq_cp(self._memory, source, target, 0, end)

    def clear(self) -> None:
        """Forget every sequence's tokens; the weights stay."""
        self._lib.llama_memory_clear(self._memory, False)

    def save(self, sequence: int) -> bytes:
        """A sequence's cells as bytes (about 36 KB a token for a 3B model)."""
        size = int(self._lib.llama_state_seq_get_size(self._context, sequence))
        buffer = (ctypes.c_uint8 * size)()
        written = self._lib.llama_state_seq_get_data(self._context, buffer, size, sequence)
        return bytes(memoryview(buffer)[:written])

    def restore(self, sequence: int, data: bytes) -> bool:
        """Put saved cells back into an empty sequence; False where they do not fit."""
        buffer = (ctypes.c_uint8 * len(data)).from_buffer_copy(data)
        return bool(self._lib.llama_state_seq_set_data(self._context, buffer, len(data), sequence))

    # ---- adapters -------------------------------------------------------------------------------------

    def set_adapter(self, path: Path | None, scale: float = 1.0) -> None:
        """Put a LoRA adapter on the model, or take it off. Everything computed before is wrong then: clears."""
        lib = self._lib
        adapter = None
        if path is not None:
            check_adapter(path, base=self.header)
            adapter = lib.llama_adapter_lora_init(self._model, str(path).encode("utf-8"))
            if not adapter:
                raise ModelFileError(
                    f"The adapter {path.name} does not fit {self.path.name}: {last_error()}",
                    "Use an adapter trained for this model, or a merged model.",
                )
        if adapter:
            adapters = (lib.llama_adapter_lora_p_ctypes * 1)(adapter)
            lib.llama_set_adapters_lora(self._context, adapters, 1, (ctypes.c_float * 1)(scale))
        else:
            lib.llama_set_adapters_lora(self._context, None, 0, None)
        if self._adapter:
            lib.llama_adapter_lora_free(self._adapter)
        self._adapter = adapter
        self.clear()


def default_threads() -> int:
    """Half the processors, as llama-cpp-python does: the other half is the owner's."""
    import os

    return max((os.cpu_count() or 2) // 2, 1)


_recent_errors: list[str] = []


def last_error() -> str:
    """What llama.cpp complained about last, for error texts: the reason rather than the lines that follow from it."""
    reasons = [line for line in _recent_errors if not _FOLLOWING.search(line)]
    line = (reasons or _recent_errors or ["no reason given"])[-1]
    return _ORIGIN.sub("", line)


@lru_cache(maxsize=1)
def library() -> Any:
    """llama_cpp's low-level module with its log going to Python's, loaded once per process."""
    import llama_cpp
    import llama_cpp.llama_cpp as lib

    @lib.llama_log_callback  # type: ignore[untyped-decorator]
    def write(level: int, text: bytes, _data: Any) -> None:
        line = text.decode("utf-8", errors="replace").strip()
        if level == _ERROR and line and not _ABORT_NOISE.search(line):
            _recent_errors[:] = [*_recent_errors[-4:], line]
            log.warning("llama.cpp: %s", line)
        elif level in (_WARNING, _ERROR) and line:
            log.debug("llama.cpp: %s", line)

    lib.kept_log_callback = write  # ctypes callbacks must outlive their registration
    lib.llama_log_set(write, ctypes.c_void_p(0))
    lib.llama_backend_init()
    del llama_cpp
    return lib


def _native_strlen(lib: Any) -> Any:
    """libc's strlen as abort callback: true as soon as the byte is not zero. A Python callback would need the GIL
    before every operation of the graph and cost a third of the speed."""
    libc = ctypes.CDLL("msvcrt" if sys.platform == "win32" else None)
    return lib.ggml_abort_callback(ctypes.cast(libc.strlen, ctypes.c_void_p).value)
