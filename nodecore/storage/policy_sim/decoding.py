"""Traces from bytes: a key a line, ``key,size`` lines, or 32-bit little-endian numbers.

Decoders take chunks of any length, as they come from a file or a pipe, and give a ``Trace`` at the
end. What is malformed is refused with its line or byte position; nothing is skipped but empty lines
and, in ``key,size`` lines, one header. They open no files and unpack no archives.
"""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from array import array
from collections.abc import Callable
from typing import Final, Protocol, final

from nodecore.limits import KEY_BYTES_MAX
from nodecore.storage.policy_sim.trace import REQUESTS_MAX, SIZE_BYTES_MAX, Trace

LINE_BYTES_MAX: Final = KEY_BYTES_MAX + 32
_SHOWN_BYTES: Final = 40


class BadTrace(ValueError):  # noqa: N818 - the name says what it is
    """The trace can't be read; the text names the place and the reason."""


class TraceDecoder(Protocol):
    """Turns chunks into a trace."""

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes.

        Raises:
            BadTrace: they are malformed, or there are more requests than REQUESTS_MAX.
        """

    def end(self) -> Trace:
        """The trace; nothing follows.

        Raises:
            BadTrace: it ends in the middle of a request, or holds none.
        """


def _shown(line: bytes) -> str:
    text = line[:_SHOWN_BYTES].decode("utf-8", "backslashreplace")
    return repr(text + ("..." if len(line) > _SHOWN_BYTES else ""))


class _Numbering:
    """The trace so far, and the number of every key."""

    def __init__(self) -> None:
        self.trace = Trace()
        self._number_of: dict[bytes, int] = {}

    def number(self, key: bytes) -> int:
        """The number of a key; a new one for a new key."""
        number_of = self._number_of
        number = number_of.get(key)
        if number is None:
            number = number_of[key] = len(number_of)
            self.trace.keys.append(key)
        return number

    def check_length(self) -> None:
        if len(self.trace) > REQUESTS_MAX:
            raise BadTrace(f"more than {REQUESTS_MAX:,} requests")

    def finished(self) -> Trace:
        if not len(self.trace):
            raise BadTrace("the trace is empty: it holds no request")
        return self.trace


class _Lines(ABC):
    """Splits chunks into lines and numbers them."""

    def __init__(self) -> None:
        self._numbering = _Numbering()
        self._rest = b""
        self._line = 0

    def feed(self, chunk: bytes) -> None:
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        for line in lines:
            self._take(line)
        if len(self._rest) > LINE_BYTES_MAX:
            raise self._bad(f"longer than {LINE_BYTES_MAX} bytes", self._line + 1)
        self._numbering.check_length()

    def end(self) -> Trace:
        if self._rest:
            self._take(self._rest)
        return self._numbering.finished()

    def _take(self, line: bytes) -> None:
        self._line += 1
        line = line.removesuffix(b"\r")
        if line:
            self._parse(line)

    @abstractmethod
    def _parse(self, line: bytes) -> None:
        """Take one line that is not empty."""

    def _key(self, key: bytes) -> int:
        if len(key) > KEY_BYTES_MAX:
            raise self._bad(f"a key of {len(key)} bytes, more than {KEY_BYTES_MAX}")
        return self._numbering.number(key)

    def _bad(self, reason: str, line: int | None = None) -> BadTrace:
        return BadTrace(f"line {line or self._line}: {reason}")


@final
class KeyLines(_Lines):
    """One key a line."""

    def _parse(self, line: bytes) -> None:
        self._numbering.trace.requests.append(self._key(line))


@final
class SizedLines(_Lines):
    """``key,size`` lines; the key may contain commas, the size is what follows the last one."""

    def __init__(self) -> None:
        super().__init__()
        self._sizes = self._numbering.trace.sizes = array("Q")

    def _parse(self, line: bytes) -> None:
        key, comma, digits = line.rpartition(b",")
        digits = digits.strip()
        if not comma or not key:
            raise self._bad(f"expected key,size but found {_shown(line)}")
        if not digits.isdigit():
            if self._line == 1:
                return  # the header
            raise self._bad(f"the size must be a whole number of bytes, not {_shown(digits)}")
        size = int(digits[:20])
        if not 1 <= size <= SIZE_BYTES_MAX:
            raise self._bad(f"the size must lie between 1 and {SIZE_BYTES_MAX}, not {size}")
        self._numbering.trace.requests.append(self._key(key))
        self._sizes.append(size)


@final
class U32Numbers:
    """Little-endian 32-bit numbers; the key is the number in decimal digits."""

    def __init__(self) -> None:
        self._numbering = _Numbering()
        self._rest = b""
        self._offset = 0
        self._position_of: dict[int, int] = {}

    def feed(self, chunk: bytes) -> None:
        data = self._rest + chunk
        whole = len(data) - len(data) % 4
        self._rest = data[whole:]
        self._offset += whole
        numbers = array("I")
        numbers.frombytes(data[:whole])
        if sys.byteorder == "big":
            numbers.byteswap()
        position_of, keys = self._position_of, self._numbering.trace.keys
        append = self._numbering.trace.requests.append
        for number in numbers:
            position = position_of.get(number)
            if position is None:
                position = position_of[number] = len(keys)
                keys.append(b"%d" % number)
            append(position)
        self._numbering.check_length()

    def end(self) -> Trace:
        if self._rest:
            raise BadTrace(
                f"byte {self._offset}: {len(self._rest)} bytes are left over; "
                "u32le needs four a request"
            )
        return self._numbering.finished()


@final
class Guessing:
    """Decides by the first line: ``key,size`` when a number follows a comma or the line is that header."""

    def __init__(self) -> None:
        self._head = b""
        self._decoder: TraceDecoder | None = None

    def feed(self, chunk: bytes) -> None:
        if self._decoder is not None:
            self._decoder.feed(chunk)
            return
        self._head += chunk
        if b"\n" in self._head.lstrip(b"\r\n") or len(self._head) > LINE_BYTES_MAX:
            self._decide()

    def _decide(self) -> TraceDecoder:
        first = self._head.lstrip(b"\r\n").partition(b"\n")[0].strip()
        key, comma, digits = first.rpartition(b",")
        word = digits.strip().lower()
        sized = bool(comma and key) and (word.isdigit() or word in (b"size", b"bytes"))
        self._decoder = SizedLines() if sized else KeyLines()
        self._decoder.feed(self._head)
        self._head = b""
        return self._decoder

    def end(self) -> Trace:
        return (self._decoder or self._decide()).end()


DECODERS: Final[dict[str, Callable[[], TraceDecoder]]] = {
    "auto": Guessing,
    "keys": KeyLines,
    "csv": SizedLines,
    "u32le": U32Numbers,
}
"""By the name of the format."""
