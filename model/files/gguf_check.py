"""Is this file a whole GGUF model? Answered before llama.cpp sees it, in words a person can act on.

Reads the header only (format: ggml's docs/gguf.md): magic, version, counts, every key and tensor description, and
whether the file is long enough for the tensors it promises.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from storage.errors import ModelFileError

_SCALARS = {0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<?", 10: "<Q", 11: "<q", 12: "<d"}
_STRING, _ARRAY = 8, 9
_MAX_KEYS, _MAX_TENSORS, _MAX_STRING, _MAX_ITEMS = 10_000, 200_000, 64 << 20, 4_000_000
# ggml type -> (values per block, bytes per block)
_BLOCKS = {
    0: (1, 4),
    1: (1, 2),
    2: (32, 18),
    3: (32, 20),
    6: (32, 22),
    7: (32, 24),
    8: (32, 34),
    9: (32, 36),
    10: (256, 84),
    11: (256, 110),
    12: (256, 144),
    13: (256, 176),
    14: (256, 210),
    15: (256, 292),
    16: (256, 66),
    17: (256, 74),
    18: (256, 98),
    19: (256, 50),
    20: (32, 18),
    21: (256, 110),
    22: (256, 82),
    23: (256, 136),
    24: (1, 1),
    25: (1, 2),
    26: (1, 4),
    27: (1, 8),
    28: (1, 8),
    29: (256, 56),
    30: (1, 2),
}
_BLOCK = 1 << 20
_U64 = struct.Struct("<Q")
_AGAIN = "Download it again (scripts/download_model.py), or choose another file in Settings > Model."


@dataclass(frozen=True)
class GgufHeader:
    """What a model file says about itself. Long lists in `metadata` are kept as their length only."""

    path: Path
    size_bytes: int
    tensor_count: int
    metadata: dict[str, Any] = field(default_factory=dict)

    @property
    def architecture(self) -> str:
        return str(self.metadata.get("general.architecture", ""))


def check_gguf(path: str | Path) -> GgufHeader:
    """The header of a whole GGUF file. Raises ModelFileError naming the file, what is wrong and the cure."""
    path = Path(path)
    try:
        size = path.stat().st_size
        is_file = path.is_file()
    except FileNotFoundError:
        raise ModelFileError(f"The model file {path} does not exist.", _AGAIN) from None
    except OSError as error:
        raise ModelFileError(
            f"The model file {path} cannot be read: {error.strerror}.", "Check its permissions."
        ) from error
    if not is_file:
        raise ModelFileError(f"{path} is a folder, not a model file.", "Choose the .gguf file inside it.")
    try:
        with path.open("rb") as stream:
            return _read(stream, path, size)
    except OSError as error:
        raise ModelFileError(
            f"The model file {path} cannot be read: {error}.", "Check the disk and its permissions."
        ) from error


def _read(stream: IO[bytes], path: Path, size: int) -> GgufHeader:
    magic = stream.read(64)
    if magic[:4] != b"GGUF":
        raise ModelFileError(f"{path} is not a GGUF model: {_describe(magic, size)}.", _AGAIN)
    stream.seek(4)
    reader = _Reader(stream, path, size)
    version = reader.scalar("<I")
    if version not in (2, 3):
        raise ModelFileError(f"{path} is GGUF version {version}, which this program does not know.", _AGAIN)
    tensors, keys = reader.scalar("<Q"), reader.scalar("<Q")
    if keys > _MAX_KEYS or not 0 < tensors <= _MAX_TENSORS:
        raise reader.damaged("its counts make no sense")
    metadata = {}
    for _ in range(keys):
        key = reader.string()
        metadata[key] = reader.value(reader.scalar("<I"))
    alignment = metadata.get("general.alignment", 32)
    if not isinstance(alignment, int) or not 0 < alignment <= 1 << 20:
        raise reader.damaged("its alignment makes no sense")
    end = max((reader.tensor_end() for _ in range(tensors)), default=0)
    start = -(-stream.tell() // alignment) * alignment
    if start + end > size:
        whole = (start + end) / 1e6
        raise ModelFileError(f"{path} is cut short: {size / 1e6:,.0f} MB of {whole:,.0f} MB are there.", _AGAIN)
    if not metadata.get("general.architecture"):
        raise reader.damaged("it does not say which architecture it has")
    return GgufHeader(path, size, tensors, metadata)


class _Reader:
    def __init__(self, stream: IO[bytes], path: Path, size: int) -> None:
        self._stream, self._path, self._size = stream, path, size

    def damaged(self, why: str) -> ModelFileError:
        return ModelFileError(f"{self._path} is damaged: {why}.", _AGAIN)

    def take(self, count: int) -> bytes:
        if count > self._size - self._stream.tell():
            raise self.damaged("it ends in the middle of its header")
        return self._stream.read(count)

    def scalar(self, form: str) -> Any:
        return struct.unpack(form, self.take(struct.calcsize(form)))[0]

    def string(self) -> str:
        length = self.scalar("<Q")
        if length > _MAX_STRING:
            raise self.damaged("a text in its header is too long")
        return self.take(length).decode("utf-8", errors="replace")

    def value(self, kind: int) -> Any:
        if kind == _STRING:
            return self.string()
        if kind == _ARRAY:
            return self._array()
        if kind not in _SCALARS:
            raise self.damaged(f"its header holds a value of unknown kind {kind}")
        return self.scalar(_SCALARS[kind])

    def _array(self) -> Any:
        kind, count = self.scalar("<I"), self.scalar("<Q")
        if count > _MAX_ITEMS:
            raise self.damaged("a list in its header is too long")
        if kind in _SCALARS:
            self.take(struct.calcsize(_SCALARS[kind]) * count)
        elif kind == _STRING:
            self._skip_strings(count)
        else:
            for _ in range(count):
                self.value(kind)
        return count

    def _skip_strings(self, count: int) -> None:
        """A vocabulary has hundreds of thousands of them: step over their lengths in blocks of the file."""
        unpack, buffer, at, filled = _U64.unpack_from, b"", 0, 0
        for _ in range(count):
            if filled - at < 8:
                buffer, at = self._more(buffer[at:], 8), 0
                filled = len(buffer)
            (length,) = unpack(buffer, at)
            at += 8 + length
            if at > filled:
                if length > _MAX_STRING:
                    raise self.damaged("a text in its header is too long")
                at -= 8 + length
                buffer, at = self._more(buffer[at:], 8 + length), 8 + length
                filled = len(buffer)
        self._stream.seek(at - filled, 1)

    def _more(self, rest: bytes, needed: int) -> bytes:
        data = rest + self._stream.read(max(needed, _BLOCK))
        if len(data) < needed:
            raise self.damaged("it ends in the middle of its header")
        return data

    def tensor_end(self) -> int:
        """Where this tensor's data ends, counted from the start of the data; unknown types count as empty."""
        self.string()
        dimensions = self.scalar("<I")
        if not 0 < dimensions <= 8:
            raise self.damaged("a tensor has impossible dimensions")
        values = 1
        for _ in range(dimensions):
            values *= self.scalar("<Q")
        kind, offset = self.scalar("<I"), self.scalar("<Q")
        per_block, block_bytes = _BLOCKS.get(kind, (1, 0))
        return int(offset + values // per_block * block_bytes)


def _describe(start: bytes, size: int) -> str:
    text = start.lstrip().lower()
    if size == 0:
        return "it is empty"
    if text.startswith((b"<!doctype", b"<html", b"<?xml")):
        return "it is a web page (a download page was saved instead of the file)"
    if text.startswith(b"version https://git-lfs"):
        return "it is a Git LFS pointer, not the file itself"
    if not start.strip(b"\0"):
        return "it holds only zeros (a download that never finished)"
    if start[:2] == b"PK" or start[:1] == b"\x80":
        return "it is a PyTorch or ZIP file; pickled files are never opened"
    return "its first bytes are not 'GGUF'"
