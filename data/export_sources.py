"""Where an export's bytes come from: a file, a gzip file, an entry of a ZIP; UTF-16 is read as UTF-8. Streamed."""

from __future__ import annotations

import codecs
import errno
import gzip
import io
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any, cast

from storage.errors import BadInputError

START_BYTES = 64 * 1024
_UTF16 = {codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}
_PACKED = {
    b"7z\xbc\xaf": "a 7z archive",
    b"Rar!": "a RAR archive",
    b"BZh": "a bzip2 file",
    b"\xfd7zXZ": "an xz file",
    b"(\xb5/\xfd": "a zstd file",
}


@dataclass(frozen=True, slots=True)
class Opened:
    """An open source: UTF-8 bytes, and how much of it is read (0-1)."""

    binary: IO[bytes]
    fraction: Callable[[], float]

    def text(self) -> IO[str]:
        """The same as text, without a byte order mark."""
        return io.TextIOWrapper(self.binary, encoding="utf-8-sig", newline="\n")


@dataclass(frozen=True, slots=True)
class Source:
    """Something that can be opened again and again. `member`: an entry of the ZIP file `path`."""

    path: Path
    member: str = ""
    is_gzip: bool = False
    encoding: str = "utf-8"

    @property
    def name(self) -> str:
        """For sentences: the file, and the entry in it."""
        named = f"{self.path.name}/{self.member}" if self.member else self.path.name
        return named if self.encoding == "utf-8" else f"{named} (read as UTF-16)"

    @contextmanager
    def open(self) -> Iterator[Opened]:
        """BadInputError for what cannot be opened, and for what turns out to be damaged while it is read."""
        with readable(self.name), ExitStack() as stack:
            yield self._open(stack)

    def _open(self, stack: ExitStack) -> Opened:
        binary: IO[bytes]
        if self.member:
            archive = stack.enter_context(zipfile.ZipFile(self.path))
            size = archive.getinfo(self.member).file_size
            binary = stack.enter_context(archive.open(self.member))
            position = binary.tell
        else:
            raw = stack.enter_context(open(self.path, "rb"))  # noqa: SIM115 - the stack closes it
            size, position, binary = self.path.stat().st_size, raw.tell, raw
        if self.is_gzip:
            binary = cast(IO[bytes], stack.enter_context(gzip.GzipFile(fileobj=binary)))
        if self.encoding != "utf-8":
            binary = cast(IO[bytes], io.BufferedReader(_Utf8(binary, self.encoding)))
        return Opened(binary, lambda: min(position() / max(size, 1), 1.0))


def identified(source: Source) -> tuple[Source, bytes]:
    """The source with its packing and encoding found out, and the first bytes of what it holds."""
    start = _start(source)
    for magic, kind in _PACKED.items():
        if start.startswith(magic):
            raise BadInputError(f"{source.name} is {kind}.", "Unpack it and give the files in it.")
    if start.startswith(b"\x1f\x8b"):
        source = replace(source, is_gzip=True)
        start = _start(source)
        if start[257:262] == b"ustar":
            raise BadInputError(f"{source.name} is a tar archive.", "Unpack it and give the files in it.")
    if (encoding := _encoding_of(start)) != "utf-8":
        source = replace(source, encoding=encoding)
        start = _start(source)
    return source, start


def as_utf8(binary: IO[bytes]) -> IO[bytes]:
    """The same text as UTF-8, where it is UTF-16 (what Excel and PowerShell save)."""
    buffered = io.BufferedReader(cast(io.RawIOBase, binary))
    encoding = _encoding_of(buffered.peek(4))
    if encoding == "utf-8":
        return cast(IO[bytes], buffered)
    return cast(IO[bytes], io.BufferedReader(_Utf8(cast(IO[bytes], buffered), encoding)))


def _encoding_of(start: bytes) -> str:
    for mark, encoding in _UTF16.items():
        if start.startswith(mark):
            return encoding
    if len(start) > 3 and b"\0" in (start[:1], start[1:2]) and start[:2] != b"\0\0":
        return "utf-16-le" if start[1:2] == b"\0" else "utf-16-be"
    return "utf-8"


@contextmanager
def readable(name: str) -> Iterator[None]:
    """Turns what a missing, locked or damaged file raises while it is read into a BadInputError about `name`."""
    try:
        yield
    except FileNotFoundError:
        raise BadInputError(f"{name} cannot be read (there is no such file).", "Check the name of the file.") from None
    except PermissionError:
        raise BadInputError(
            f"{name} cannot be read (permission denied, or another program has it open).",
            "Close the program that uses it, or wait until the export is finished.",
        ) from None
    except (zipfile.BadZipFile, zlib.error, gzip.BadGzipFile, EOFError) as error:
        kind = "compressed" if isinstance(error, gzip.BadGzipFile | EOFError | zlib.error) else "ZIP"
        raise BadInputError(
            f"{name} is a damaged {kind} file ({str(error).rstrip('.')}).",
            "It may have been downloaded or copied only in part: get it again.",
        ) from None
    except (RuntimeError, NotImplementedError) as error:  # encrypted, or packed in an unknown way
        if type(error) not in (RuntimeError, NotImplementedError):
            raise
        raise BadInputError(
            f"{name} cannot be read ({error}).",
            "Use the ZIP file as Discord sent it, or unpack it and give the folder.",
        ) from None
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise
        raise BadInputError(
            f"{name} cannot be read ({error.strerror or error}).", "Check the file and its disk."
        ) from None


class _Utf8(io.RawIOBase):
    """A UTF-16 stream as UTF-8, piece by piece."""

    def __init__(self, stream: IO[bytes], encoding: str) -> None:
        self._stream = stream
        self._decoder = codecs.getincrementaldecoder(encoding)("replace")
        self._ready = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        view = memoryview(buffer).cast("B")
        while not self._ready:
            piece = self._stream.read(START_BYTES)
            self._ready = self._decoder.decode(piece, final=not piece).encode("utf-8", "replace")
            if not piece:
                break
        count = min(len(view), len(self._ready))
        view[:count] = self._ready[:count]
        self._ready = self._ready[count:]
        return count


def _start(source: Source) -> bytes:
    with source.open() as opened:
        return opened.binary.read(START_BYTES)
