"""JSON larger than memory, one value at a time, with the line number of whatever is wrong."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import IO, Any, NoReturn

from storage.errors import BadInputError

# The largest value read at once: Discord's longest message with every embed is far below a megabyte.
MAX_VALUE_CHARS = 8 * 1024 * 1024
CUT_OFF = (
    "The file ends in the middle: where the export is still running, wait until it is finished; where it was stopped, "
    "export it again."
)
_CHUNK_CHARS = 1024 * 1024
_WHITESPACE = " \t\n\r"


def parse_json(text: str) -> Any:
    """json.loads that turns everything hostile (too deep, too many digits, NaN) into ValueError."""
    try:
        return json.loads(text, parse_constant=_refuse_constant)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def read_lines(file: IO[bytes], name: str) -> Iterator[tuple[int, str]]:
    """(line number, text) of every line that is not blank; BadInputError for one that is too long or not UTF-8."""
    number = 0
    while raw := file.readline(MAX_VALUE_CHARS + 1):
        number += 1
        if len(raw) > MAX_VALUE_CHARS:
            raise BadInputError(
                f"{name}:{number}: the line is longer than {MAX_VALUE_CHARS // 2**20} MB.",
                "A JSON lines file has one message a line.",
            )
        try:
            text = raw.decode("utf-8-sig" if number == 1 else "utf-8").strip()
        except UnicodeDecodeError as error:
            raise BadInputError(
                f"{name}:{number}: not UTF-8 text (byte {error.start + 1} of the line).", "Save the file as UTF-8."
            ) from None
        if text:
            yield number, text


class JsonReader:
    """Reads one JSON document from a text stream piece by piece: enter, take values, leave."""

    def __init__(self, stream: IO[str], name: str) -> None:
        self._stream = stream
        self._name = name
        self._decoder = json.JSONDecoder(parse_constant=_refuse_constant)
        self._buffer = ""
        self._position = 0
        self._line = 1
        self._counted_to = 0
        self._is_at_end = False
        self.chars_read = 0

    @property
    def line(self) -> int:
        """Line number of the current position, from 1."""
        self._count_lines()
        return self._line

    def elements(self) -> Iterator[tuple[int, Any]]:
        """(line number, value) of each element of an array, which must come next."""
        self._expect("[")
        if self._take_if("]"):
            return
        while True:
            self._skip_blank()
            line = self.line
            yield line, self.value()
            if self._take_if("]"):
                return
            self._expect(",")

    def keys(self) -> Iterator[str]:
        """The keys of an object, which must come next; the caller takes each key's value before the next one."""
        self._expect("{")
        if self._take_if("}"):
            return
        while True:
            key = self.value()
            if not isinstance(key, str):
                self._fail("a key must be text")
            self._expect(":")
            yield key
            if self._take_if("}"):
                return
            self._expect(",")

    def finish(self) -> None:
        """Nothing but blanks may follow: what stands behind the document would be lost without a word."""
        self._skip_blank()
        if self._position < len(self._buffer):
            raise BadInputError(
                f"{self._name}:{self.line}: more text follows after the end of the JSON document.",
                "Where several exports stand in one file, give each one as a file of its own.",
            )

    def value(self) -> Any:
        """The next value as a whole."""
        self._skip_blank()
        wanted = _CHUNK_CHARS
        while True:
            try:
                value, end = self._decoder.raw_decode(self._buffer, self._position)
            except RecursionError:
                self._fail("nested too deeply")
            except ValueError as error:
                # It may only be cut off: read on, twice as much each time, up to the limit.
                if self._is_at_end:
                    self._fail(f"not valid JSON ({_reason(error)})", is_cut=self._is_cut(error))
                if len(self._buffer) - self._position > MAX_VALUE_CHARS:
                    self._fail(f"not valid JSON, or a value larger than {MAX_VALUE_CHARS // 2**20} MB")
                self._read(wanted)
                wanted *= 2
                continue
            if end == len(self._buffer) and not self._is_at_end:
                self._read(_CHUNK_CHARS)  # a number may go on in the next piece
                continue
            self._position = end
            return value

    def _skip_blank(self) -> None:
        while True:
            while self._position < len(self._buffer) and self._buffer[self._position] in _WHITESPACE:
                self._position += 1
            if self._position < len(self._buffer) or self._is_at_end:
                return
            self._read(_CHUNK_CHARS)

    def _expect(self, character: str) -> None:
        if not self._take_if(character):
            found = self._buffer[self._position : self._position + 1]
            self._fail(f"not valid JSON (expected {character!r}, found {found!r})", is_cut=not found)

    def _take_if(self, character: str) -> bool:
        self._skip_blank()
        if self._buffer[self._position : self._position + 1] != character:
            return False
        self._position += 1
        return True

    def _read(self, chars: int) -> None:
        try:
            more = self._stream.read(chars)
        except UnicodeDecodeError:
            raise BadInputError(
                f"{self._name}: not UTF-8 text after line {self.line}.", "Save the file as UTF-8."
            ) from None
        self._is_at_end = not more
        self.chars_read += len(more)
        self._count_lines()
        self._buffer = self._buffer[self._position :] + more
        self._position = self._counted_to = 0

    def _count_lines(self) -> None:
        self._line += self._buffer.count("\n", self._counted_to, self._position)
        self._counted_to = self._position

    def _fail(self, what: str, *, is_cut: bool = False) -> NoReturn:
        raise BadInputError(f"{self._name}:{self.line}: {what}.", CUT_OFF if is_cut else "Export it again.")

    def _is_cut(self, error: ValueError) -> bool:
        """True when the document ends where more was to come, as a file does that is still being written."""
        if not isinstance(error, json.JSONDecodeError):
            return False
        rest = self._buffer[error.pos :].rstrip()
        return error.msg.startswith("Unterminated") or not rest or rest[-1] not in "}]"


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _reason(error: ValueError) -> str:
    return error.msg if isinstance(error, json.JSONDecodeError) else str(error)[:80]
