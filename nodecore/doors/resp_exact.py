"""Redis requests read byte by byte, exactly as redis-server reads them: the authority for doubts.

Decides where each command ends, which bytes are an inline command, and which protocol error
(in Redis's words) ends a connection. The C parser in :mod:`nodecore.doors.resp_parser` serves the
plain cases and hands everything else over to this reader. It never executes anything.

Source: the RESP specification and the observable behaviour of redis-server 7.0.
"""

from __future__ import annotations

from typing import Final, final

from nodecore import limits

UNAUTHENTICATED_ARGUMENTS_MAX: Final = 10
UNAUTHENTICATED_BULK_BYTES_MAX: Final = 16_384
"""What redis-server lets a client send before AUTH."""
_HEADER_BYTES_MAX: Final = limits.RESP_INLINE_BYTES_MAX
_INT64_DIGITS_MAX: Final = 19

_HTTP_VERBS: Final = frozenset(
    {b"GET", b"PUT", b"HEAD", b"DELETE", b"OPTIONS", b"CONNECT", b"PATCH", b"TRACE", b"PRI"}
)
_TLS_RECORD: Final = b"\x16\x03"
_ESCAPES: Final = {
    ord("n"): 10, ord("r"): 13, ord("t"): 9, ord("b"): 8, ord("a"): 7,
}  # fmt: skip
_SPACES: Final = frozenset(b" \t\n\r\v\f")
_HEX: Final = frozenset(b"0123456789abcdefABCDEF")


class RespProtocolError(Exception):
    """The bytes are not RESP; the text completes ``Protocol error: ...``."""


def parse_integer(text: bytes) -> int | None:
    """A signed 64-bit integer in Redis's strict spelling, None for anything else.

    No sign but ``-``, no leading zero, no blanks, no ``-0``.
    """
    digits = text[1:] if text[:1] == b"-" else text
    if not digits.isdigit() or len(digits) > _INT64_DIGITS_MAX:
        return None
    if digits[:1] == b"0" and text != b"0":
        return None
    number = int(text)
    return number if -(1 << 63) <= number < 1 << 63 else None


def _quoted(line: bytes, at: int, word: bytearray) -> int | None:
    """Read a quoted part whose opening quote is at ``at``; returns the index after its end."""
    quote = line[at]
    at += 1
    while at < len(line):
        byte = line[at]
        if byte == quote:
            # A closing quote must be followed by a blank or by nothing.
            return at + 1 if at + 1 == len(line) or line[at + 1] in _SPACES else None
        if byte == 0x5C and at + 1 < len(line):
            after = line[at + 1]
            if quote == 0x27:
                if after == 0x27:
                    word.append(after)
                    at += 2
                    continue
            elif (
                after == 0x78
                and at + 3 < len(line)
                and line[at + 2] in _HEX
                and line[at + 3] in _HEX
            ):
                word.append(int(line[at + 2 : at + 4], 16))
                at += 4
                continue
            else:
                word.append(_ESCAPES.get(after, after))
                at += 2
                continue
        word.append(byte)
        at += 1
    return None


def split_inline(line: bytes) -> list[bytes] | None:
    """Split an inline command into words by redis-cli's quoting; None when quotes are unbalanced."""
    words: list[bytes] = []
    at, end = 0, len(line)
    while True:
        while at < end and line[at] in _SPACES:
            at += 1
        if at >= end or line[at] == 0:
            return words
        word = bytearray()
        while at < end and line[at] not in _SPACES and line[at] != 0:
            if line[at] in b"\"'":
                after = _quoted(line, at, word)
                if after is None:
                    return None
                at = after
                break
            word.append(line[at])
            at += 1
        words.append(bytes(word))


@final
class ExactReader:
    """An incremental reader of requests; feed bytes, take commands."""

    def __init__(self) -> None:
        self.authenticated = True
        self._buffer = bytearray()
        self._at = 0
        self._remaining = 0
        self._bulk_bytes = -1
        self._arguments: list[bytes] = []
        self._command_bytes = 0

    @property
    def idle(self) -> bool:
        """Whether nothing is buffered and no command is half read."""
        return self._at >= len(self._buffer) and self._remaining == 0

    def feed(self, data: bytes) -> None:
        """Append bytes; what was consumed before is dropped here."""
        if self._at:
            del self._buffer[: self._at]
            self._at = 0
        self._buffer += data

    def take(self) -> list[bytes] | None:
        """The next command, None when more bytes are needed. Empty commands are skipped.

        Raises:
            RespProtocolError: the connection can't go on.
        """
        while True:
            if self._remaining == 0:
                if self._at >= len(self._buffer):
                    return None
                if self._buffer[self._at] != 0x2A:
                    words = self._take_inline()
                    if words is None or words:
                        return words
                    continue
                if not self._take_count():
                    return None
                if self._remaining == 0:
                    continue
            return self._take_bulks()

    def _line(self, too_big: str) -> bytes | None:
        end = self._buffer.find(b"\r", self._at)
        if end < 0 or end + 1 >= len(self._buffer):
            if len(self._buffer) - self._at > _HEADER_BYTES_MAX:
                raise RespProtocolError(too_big)
            return None
        line = bytes(self._buffer[self._at : end])
        self._at = end + 2
        return line

    def _take_inline(self) -> list[bytes] | None:
        buffered = len(self._buffer) - self._at
        if self._buffer.startswith(_TLS_RECORD, self._at):
            raise RespProtocolError("TLS handshake on a plain RESP port")
        end = self._buffer.find(b"\n", self._at)
        if end < 0:
            if buffered > limits.RESP_INLINE_BYTES_MAX:
                raise RespProtocolError("too big inline request")
            return None
        if end - self._at > limits.RESP_INLINE_BYTES_MAX:
            raise RespProtocolError("too big inline request")
        line = bytes(self._buffer[self._at : end]).removesuffix(b"\r")
        self._at = end + 1
        words = split_inline(line)
        if words is None:
            raise RespProtocolError("unbalanced quotes in request")
        if words:
            verb = words[0].upper()
            if verb in (b"POST", b"HOST:") or (
                verb in _HTTP_VERBS and words[-1].upper().startswith(b"HTTP/")
            ):
                raise RespProtocolError("HTTP request on the RESP port")
        return words

    def _take_count(self) -> bool:
        line = self._line("too big mbulk count string")
        if line is None:
            return False
        count = parse_integer(line[1:])
        if count is None or count > limits.RESP_ARGUMENTS_MAX:
            raise RespProtocolError("invalid multibulk length")
        if count > UNAUTHENTICATED_ARGUMENTS_MAX and not self.authenticated:
            raise RespProtocolError("unauthenticated multibulk length")
        self._remaining = max(0, count)
        self._command_bytes = 0
        return True

    def _take_bulks(self) -> list[bytes] | None:
        while self._remaining:
            if self._bulk_bytes < 0 and not self._take_bulk_header():
                return None
            end = self._at + self._bulk_bytes
            if end + 2 > len(self._buffer):
                return None
            self._arguments.append(bytes(self._buffer[self._at : end]))
            self._at = end + 2
            self._bulk_bytes = -1
            self._remaining -= 1
        arguments, self._arguments = self._arguments, []
        return arguments

    def _take_bulk_header(self) -> bool:
        line = self._line("too big bulk count string")
        if line is None:
            return False
        if line[:1] != b"$":
            got = line[:1] or b"\r"
            raise RespProtocolError(f"expected '$', got '{got.decode('latin-1')}'")
        length = parse_integer(line[1:])
        if length is None or not 0 <= length <= limits.VALUE_BYTES_MAX:
            raise RespProtocolError("invalid bulk length")
        if length > UNAUTHENTICATED_BULK_BYTES_MAX and not self.authenticated:
            raise RespProtocolError("unauthenticated bulk length")
        self._command_bytes += length
        if self._command_bytes > limits.RESP_COMMAND_BYTES_MAX:
            raise RespProtocolError("too big command")
        self._bulk_bytes = length
        return True
