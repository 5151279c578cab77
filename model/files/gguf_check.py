"""Is this file a whole GGUF model? Answered before llama.cpp sees it, in words a person can act on.

Reads the header only (format: ggml's docs/gguf.md): magic, version, counts, every key and tensor description, and
whether the file is long enough for the tensors it promises.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from storage.errors import ModelFileError

_SCALARS = {0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<?", 10: "<Q", 11: "<q", 12: "<d"}
_STRING, _ARRAY = 8, 9
_MAX_KEYS, _MAX_TENSORS, _MAX_STRING, _MAX_ITEMS = 10_000, 200_000, 64 << 20, 4_000_000
# A header is read once and little of it kept: a template has kilobytes, a list of lists is not used by any model.
_MAX_KEPT_STRING, _MAX_KEPT, _MAX_HEADER, _MAX_DEPTH = 2 << 20, 64 << 20, 1 << 30, 4
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
_LAYER = re.compile(r"blk\.(\d{1,4})\.")
_AGAIN = "Download it again (scripts/download_model.py), or choose another file in Settings > Model."


@dataclass(frozen=True)
class GgufHeader:
    """What a model file says about itself. Lists in `metadata` are kept as their length only, overlong texts as ''.

    weight_count: numbers in all tensors together; of a split model, those of this part. layer_bytes: of each layer's
    tensors, by its number; tensor_bytes: of all. Both are of this part too.
    """

    path: Path
    size_bytes: int
    tensor_count: int
    metadata: dict[str, Any] = field(default_factory=dict)
    weight_count: int = 0
    layer_bytes: dict[int, int] = field(default_factory=dict)
    tensor_bytes: int = 0

    @property
    def architecture(self) -> str:
        """The model's kind as llama.cpp names it ("qwen2"); empty where the file does not say."""
        return str(self.metadata.get("general.architecture", ""))


def check_gguf(path: str | Path) -> GgufHeader:
    """The header of a whole GGUF file. Raises ModelFileError naming the file, what is wrong and the cure."""
    path = Path(path)
    try:
        size = path.stat().st_size
        is_file, is_folder = path.is_file(), path.is_dir()
    except FileNotFoundError:
        raise _missing(path) from None
    except OSError as error:
        raise ModelFileError(
            f"The model file {path} cannot be read: {error.strerror}.", "Check its permissions."
        ) from error
    except ValueError as error:  # a null byte in the name
        raise ModelFileError(f"{path!r} cannot be a file's name ({error}).", _AGAIN) from error
    if is_folder:
        raise _folder(path)
    if not is_file:
        raise ModelFileError(f"{path} is a device or a pipe, not a model file.", "Choose a .gguf file.")
    try:
        with path.open("rb") as stream:
            return _read(stream, path, size)
    except OSError as error:
        raise ModelFileError(
            f"The model file {path} cannot be read: {error}.", "Check the disk and its permissions."
        ) from error


def _missing(path: Path) -> ModelFileError:
    if path.is_symlink():
        return ModelFileError(
            f"{path} is a link to {path.readlink()}, which does not exist.", "Choose the file itself, or mend the link."
        )
    return ModelFileError(f"The model file {path} does not exist.", _AGAIN)


def _folder(path: Path) -> ModelFileError:
    try:
        names = sorted(each.name for each in path.iterdir())
    except OSError:
        names = []
    models = [name for name in names if name.lower().endswith(".gguf")]
    what = f"{path} is a folder, not a model file."
    if models:
        return ModelFileError(what, f"Choose the .gguf file inside it: {', '.join(models[:3])}.")
    if any(name.endswith(".safetensors") for name in names):
        return ModelFileError(
            what, "It holds a model for training (safetensors); the bot needs a GGUF file of it, to be downloaded."
        )
    return ModelFileError(what, "There is no .gguf file in it; choose one elsewhere.")


def _read(stream: IO[bytes], path: Path, size: int) -> GgufHeader:
    start = stream.read(512)
    if start[:4] != b"GGUF":
        what, cure = describe_other_file(start, path.name)
        raise ModelFileError(f"{path} is not a GGUF model: {what}.", cure or _AGAIN)
    stream.seek(4)
    reader = _Reader(stream, path, size)
    version = reader.scalar("<I")
    if version not in (2, 3):
        raise ModelFileError(f"{path} is {_version_words(version)}, which this program does not know.", _AGAIN)
    tensors, keys = reader.scalar("<Q"), reader.scalar("<Q")
    if keys > _MAX_KEYS or tensors > _MAX_TENSORS:
        raise reader.damaged("its counts make no sense")
    metadata = {}
    for _ in range(keys):
        key = reader.string()
        metadata[key] = reader.value(reader.scalar("<I"))
    alignment = metadata.get("general.alignment", 32)
    if not isinstance(alignment, int) or not 0 < alignment <= 1 << 20:
        raise reader.damaged("its alignment makes no sense")
    end = max((reader.tensor_end() for _ in range(tensors)), default=0)
    start_of_data = -(-stream.tell() // alignment) * alignment
    if tensors and start_of_data + end > size:
        whole = (start_of_data + end) / 1e6
        raise ModelFileError(f"{path} is cut short: {size / 1e6:,.0f} MB of {whole:,.0f} MB are there.", _AGAIN)
    if not metadata.get("general.architecture"):
        raise reader.damaged("it does not say which architecture it has")
    return GgufHeader(path, size, tensors, metadata, reader.weights, reader.layers, reader.tensor_bytes)


def _version_words(version: int) -> str:
    if version in (2 << 24, 3 << 24):
        return "a GGUF for big-endian computers"
    return f"GGUF version {version}"


class _Reader:
    def __init__(self, stream: IO[bytes], path: Path, size: int) -> None:
        self._stream, self._path, self._size = stream, path, size
        self._kept = self._listed = self.weights = self.tensor_bytes = 0
        self.layers: dict[int, int] = {}

    def damaged(self, why: str) -> ModelFileError:
        return ModelFileError(f"{self._path} is damaged: {why}.", _AGAIN)

    def take(self, count: int) -> bytes:
        self._require(count)
        return self._stream.read(count)

    def skip(self, count: int) -> None:
        self._require(count)
        self._stream.seek(count, 1)

    def _require(self, count: int) -> None:
        at = self._stream.tell()
        if count > self._size - at:
            raise self.damaged("it ends in the middle of its header")
        if at + count > _MAX_HEADER:
            raise self.damaged("its header is larger than any model's")

    def scalar(self, form: str) -> Any:
        return struct.unpack(form, self.take(struct.calcsize(form)))[0]

    def string(self) -> str:
        length = self.scalar("<Q")
        if length > _MAX_STRING:
            raise self.damaged("a text in its header is too long")
        if length > _MAX_KEPT_STRING or self._kept > _MAX_KEPT:
            self.skip(length)
            return ""
        self._kept += length
        return self.take(length).decode("utf-8", errors="replace")

    def value(self, kind: int, depth: int = 0) -> Any:
        if kind == _STRING:
            return self.string()
        if kind == _ARRAY:
            return self._array(depth)
        if kind not in _SCALARS:
            raise self.damaged(f"its header holds a value of unknown kind {kind}")
        return self.scalar(_SCALARS[kind])

    def _array(self, depth: int) -> Any:
        kind, count = self.scalar("<I"), self.scalar("<Q")
        self._listed += 0 if kind in _SCALARS else count
        if count > _MAX_ITEMS or self._listed > _MAX_ITEMS:
            raise self.damaged("a list in its header is too long")
        if kind in _SCALARS:
            self.skip(struct.calcsize(_SCALARS[kind]) * count)
        elif kind == _STRING:
            self._skip_strings(count)
        elif depth >= _MAX_DEPTH:
            raise self.damaged("lists in its header lie in one another too deep")
        else:
            for _ in range(count):
                self.value(kind, depth + 1)
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
        if self._stream.tell() > _MAX_HEADER:
            raise self.damaged("its header is larger than any model's")
        data = rest + self._stream.read(max(needed, _BLOCK))
        if len(data) < needed:
            raise self.damaged("it ends in the middle of its header")
        return data

    def tensor_end(self) -> int:
        """Where this tensor's data ends, counted from the start of the data; unknown types count as empty."""
        layer = _LAYER.match(self.string())
        dimensions = self.scalar("<I")
        if not 0 < dimensions <= 8:
            raise self.damaged("a tensor has impossible dimensions")
        values = 1
        for _ in range(dimensions):
            values *= self.scalar("<Q")
        self.weights += values
        kind, offset = self.scalar("<I"), self.scalar("<Q")
        per_block, block_bytes = _BLOCKS.get(kind, (1, 0))
        size = int(values // per_block * block_bytes)
        self.tensor_bytes += size
        if layer is not None:
            number = int(layer[1])
            self.layers[number] = self.layers.get(number, 0) + size
        return int(offset) + size


_GET_GGUF = "The bot needs the GGUF file of this model; search for its name with GGUF and download that."
_UNPACK = "Unpack it and choose the .gguf file inside."
# What a file's first bytes say, and what to do about it ('': download it again).
_STARTS: tuple[tuple[tuple[bytes, ...], str, str], ...] = (
    ((b"version https://git-lfs",), "it is a Git LFS pointer, not the file itself", ""),
    ((b"PK",), "it is a PyTorch or ZIP file; pickled files are never opened", _GET_GGUF),
    ((b"\x80",), "it is a PyTorch file; pickled files are never opened", _GET_GGUF),
    (
        (b"lmgg", b"fmgg", b"tjgg", b"algg", b"ggml", b"ggjt", b"ggmf"),
        "it is in the old GGML format that came before GGUF",
        _GET_GGUF,
    ),
    ((b"\x1f\x8b", b"7z\xbc\xaf", b"Rar!", b"\xfd7zXZ", b"(\xb5/\xfd", b"BZh"), "it is a packed archive", _UNPACK),
    ((b"\x89HDF",), "it is a Keras or HDF5 file", _GET_GGUF),
    ((b"MZ", b"\x7fELF"), "it is a program (perhaps a llamafile), not a model", _GET_GGUF),
    ((b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"%PDF"), "it is a picture or a document", "Choose a .gguf file."),
    ((b"L\0\0\0\x01\x14\x02\0",), "it is a Windows shortcut", "Choose the file that it points to."),
)
_ANSWERS = (b"{", b"entry not found", b"invalid", b"access to", b"unauthorized", b"not found", b"repository")
_UNFINISHED = (".part", ".crdownload", ".download", ".incomplete", ".aria2", ".tmp")


def describe_other_file(start: bytes, name: str = "") -> tuple[str, str]:
    """What a file that is not GGUF is, from its first bytes and its name, and what to do ('' : download it again)."""
    text = start.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if not start:
        return "it is empty", ""
    if text.startswith((b"<!doctype", b"<html", b"<?xml", b"<head", b"<!--", b"<error")):
        return "it is a web page (a download page was saved instead of the file)", ""
    if not start.strip(b"\0"):
        return "it holds only zeros (a download that never finished)", ""
    if start[8:9] == b"{" and 0 < int.from_bytes(start[:8], "little") < 1 << 30:
        return "it is a safetensors file, the form for training", _GET_GGUF
    if start[257:262] == b"ustar":
        return "it is a packed archive", _UNPACK
    for starts, what, cure in _STARTS:
        if start.startswith(starts):
            return what, cure
    if text.startswith(_ANSWERS):
        return "it is a text (an answer of the server was saved instead of the file)", ""
    if name.lower().endswith(_UNFINISHED):
        return "it is a download that has not finished", "Let the download finish, or start it again."
    return "its first bytes are not 'GGUF'", ""
