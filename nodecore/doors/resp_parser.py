"""Bytes of a RESP connection -> commands: hiredis for the plain cases, an exact reader for doubts.

hiredis is a parser of *replies*: it also accepts nested arrays, other types and counts of billions.
So a chunk goes to it only when no long count stands in it, and what comes out counts only when it
is flat lists of bytes and the headers seen in the raw bytes agree with it. Anything else (inline
commands, odd counts, errors, commands above ``_FAST_BYTES_MAX``, clients before AUTH) is read
again from the last command boundary by :class:`~nodecore.doors.resp_exact.ExactReader`, which words
errors like redis-server. Nothing is executed before its chunk has been decided.
"""

from __future__ import annotations

import re
from itertools import chain
from typing import Final, final

import hiredis

from nodecore import limits
from nodecore.doors.resp_exact import ExactReader, RespProtocolError

_FAST_BYTES_MAX: Final = limits.READ_BYTES_PER_TURN
"""An incomplete command longer than this moves to the exact reader, which checks its headers."""
_LONG_COUNT: Final = re.compile(rb"\*\d{5}")
"""hiredis allocates a list of the announced length at once."""
_LONG_BULK: Final = re.compile(rb"\$\d{7}")
_LONG_OTHER: Final = re.compile(rb"[%~>|]\d")
_JOINT_BYTES: Final = 16
_NOTHING: Final = object()
_FLAT: Final = frozenset({bytes})


@final
class RespParser:
    """Incremental parser of one connection."""

    def __init__(self) -> None:
        self.error = ""
        """Protocol error that follows the commands of the last ``parse``; the connection must end."""
        self._authenticated = True
        self._reader = hiredis.Reader(notEnoughData=_NOTHING)
        self._tail = b""
        """Raw bytes since the last boundary, all of them fed to hiredis."""
        self._exact: ExactReader | None = None

    @property
    def idle(self) -> bool:
        """Whether the next byte starts a new command."""
        return not self._tail and self._exact is None

    def set_authenticated(self, authenticated: bool) -> None:
        """Before AUTH the exact reader applies the tighter limits; call between commands."""
        self._authenticated = authenticated
        if self._exact is not None:
            self._exact.authenticated = authenticated

    def parse(self, data: bytes) -> list[list[bytes]]:
        """Take bytes, return the commands that they complete. After an error nothing more is read."""
        if self.error:
            return []
        if self._exact is None and self._authenticated and self._plain(data):
            commands = self._parse_fast(data)
            if commands is not None:
                return commands
        return self._parse_exact(data)

    def _plain(self, data: bytes) -> bool:
        tail = self._tail
        if tail:
            joint = tail[-_JOINT_BYTES:] + data[:_JOINT_BYTES]
            if _LONG_COUNT.search(joint) or _LONG_BULK.search(joint) or _LONG_OTHER.search(joint):
                return False
            if len(tail) + len(data) > 4 * _FAST_BYTES_MAX:
                return False
        elif data[:1] != b"*":
            return False
        if _LONG_COUNT.search(data) or _LONG_BULK.search(data):
            return False
        if b"%" in data or b"~" in data or b">" in data or b"|" in data:
            return _LONG_OTHER.search(data) is None
        return True

    def _parse_fast(self, data: bytes) -> list[list[bytes]] | None:
        """Let hiredis parse; None when the outcome is in doubt (the raw bytes are kept)."""
        reader = self._reader
        raw = self._tail + data if self._tail else data
        try:
            reader.feed(data)
            commands: list[list[bytes]] = list(iter(reader.gets, _NOTHING))
        except (hiredis.ProtocolError, hiredis.ReplyError, ValueError, MemoryError):
            return None
        if b"\n+" in raw or b"\n=" in raw or b"\n(" in raw:
            # Simple strings, verbatim strings and big numbers also come out as bytes.
            return None
        if not set(map(type, commands)) <= {list} or not _FLAT.issuperset(
            map(type, chain.from_iterable(commands))
        ):
            return None
        # What hiredis has begun but not returned: it may have consumed headers of it already, so only
        # the canonical length of what it did return tells where it starts.
        end = _encoded_bytes(commands)
        if end > len(raw):
            return None
        if end < len(raw) and (raw[end] != 0x2A or len(raw) - end > _FAST_BYTES_MAX):
            return None
        if [] in commands:
            commands = [command for command in commands if command]
        self._tail = raw[end:]
        return commands

    def _parse_exact(self, data: bytes) -> list[list[bytes]]:
        exact = self._exact
        if exact is None:
            exact = self._exact = ExactReader()
            exact.authenticated = self._authenticated
            exact.feed(self._tail)
            self._tail = b""
            self._reader = hiredis.Reader(notEnoughData=_NOTHING)
        exact.feed(data)
        commands: list[list[bytes]] = []
        try:
            while (command := exact.take()) is not None:
                commands.append(command)
        except RespProtocolError as error:
            self.error = f"Protocol error: {error}"
            return commands
        if exact.idle:
            self._exact = None
        return commands


def _encoded_bytes(commands: list[list[bytes]]) -> int:
    """How many bytes these commands took: what hiredis has parsed is spelled canonically."""
    lengths = list(map(len, chain.from_iterable(commands)))
    counts = list(map(len, commands))
    digits = sum(map(len, map(str, lengths))) + sum(map(len, map(str, counts)))
    return sum(lengths) + 5 * len(lengths) + 3 * len(counts) + digits
