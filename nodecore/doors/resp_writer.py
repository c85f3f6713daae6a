"""Replies in RESP2 and RESP3, byte for byte as Redis writes them.

An :class:`Encoder` knows one protocol version; sessions hold one of the two shared instances.
Nothing here decides what to answer. Text of errors and simple strings never carries CR or LF,
so that no key or message can forge a second reply.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, TypeAlias, final

OK: Final = b"+OK\r\n"
PONG: Final = b"+PONG\r\n"
QUEUED: Final = b"+QUEUED\r\n"
ZERO: Final = b":0\r\n"
ONE: Final = b":1\r\n"
EMPTY_ARRAY: Final = b"*0\r\n"

Plain: TypeAlias = (
    "bytes | str | int | float | bool | Sequence[Plain] | Mapping[str, Plain] | Encoded | None"
)
"""What ``Encoder.plain`` takes: bytes and str are bulk strings, str is UTF-8."""

_SANITISED: Final = str.maketrans({"\r": " ", "\n": " "})


@final
class Encoded:
    """Bytes that are a reply already, inside of a ``Plain``."""

    __slots__ = ("reply",)

    def __init__(self, reply: bytes) -> None:
        self.reply = reply


def bulk(value: bytes) -> bytes:
    """A bulk string."""
    return b"$%d\r\n%b\r\n" % (len(value), value)


def integer(number: int) -> bytes:
    """An integer."""
    return b":%d\r\n" % number


def simple(text: str) -> bytes:
    """A simple string; line ends become blanks."""
    return b"+%b\r\n" % text.translate(_SANITISED).encode("utf-8", "replace")


def error(text: str) -> bytes:
    """An error; ``text`` begins with its code word (``ERR``, ``MOVED``...)."""
    return b"-%b\r\n" % text.translate(_SANITISED).encode("utf-8", "backslashreplace")


def array(parts: Sequence[bytes]) -> bytes:
    """An array of replies."""
    return b"*%d\r\n%b" % (len(parts), b"".join(parts))


def float_text(number: float) -> str:
    """A float as Redis prints it: shortest form, no exponent for whole numbers of usual size."""
    if math.isinf(number):
        return "inf" if number > 0 else "-inf"
    if math.isnan(number):
        return "nan"
    if number == int(number) and abs(number) < 1e17:
        return str(int(number))
    return repr(number)


@final
class Encoder:
    """Replies whose form depends on the protocol version."""

    __slots__ = ("nil", "nil_array", "version")

    def __init__(self, version: int) -> None:
        assert version in (2, 3)
        self.version = version
        self.nil = b"_\r\n" if version == 3 else b"$-1\r\n"
        self.nil_array = b"_\r\n" if version == 3 else b"*-1\r\n"

    def value(self, value: bytes | None) -> bytes:
        """A bulk string or nil."""
        return self.nil if value is None else b"$%d\r\n%b\r\n" % (len(value), value)

    def values(self, values: Iterable[bytes | None]) -> bytes:
        """An array of bulk strings and nils."""
        value = self.value
        return array([value(entry) for entry in values])

    def mapping(self, pairs: Sequence[tuple[bytes, bytes]]) -> bytes:
        """A map of encoded keys and values; a flat array in RESP2."""
        flat = b"".join([part for pair in pairs for part in pair])
        if self.version == 3:
            return b"%%%d\r\n%b" % (len(pairs), flat)
        return b"*%d\r\n%b" % (2 * len(pairs), flat)

    def boolean(self, truth: bool) -> bytes:
        """A boolean; 1 or 0 in RESP2."""
        if self.version == 3:
            return b"#t\r\n" if truth else b"#f\r\n"
        return ONE if truth else ZERO

    def double(self, number: float) -> bytes:
        """A double; a bulk string in RESP2."""
        text = float_text(number).encode()
        return b",%b\r\n" % text if self.version == 3 else bulk(text)

    def verbatim(self, text: bytes) -> bytes:
        """Text for people; a bulk string in RESP2."""
        if self.version == 3:
            return b"=%d\r\ntxt:%b\r\n" % (len(text) + 4, text)
        return bulk(text)

    def push(self, parts: Sequence[bytes]) -> bytes:
        """An out-of-band message; an array in RESP2."""
        mark = b">" if self.version == 3 else b"*"
        return b"%b%d\r\n%b" % (mark, len(parts), b"".join(parts))

    def plain(self, plain: Plain) -> bytes:
        """Encode nested plain data."""
        match plain:
            case None:
                return self.nil
            case bool():
                return self.boolean(plain)
            case int():
                return integer(plain)
            case float():
                return self.double(plain)
            case bytes():
                return bulk(plain)
            case str():
                return bulk(plain.encode())
            case Encoded():
                return plain.reply
            case Mapping():
                return self.mapping(
                    [(bulk(key.encode()), self.plain(value)) for key, value in plain.items()]
                )
            case _:
                return array([self.plain(entry) for entry in plain])


RESP2: Final = Encoder(2)
RESP3: Final = Encoder(3)
