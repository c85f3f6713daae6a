"""The few commands that the gate reads by itself, in their one canonical spelling.

It recognises complete ``GET key``, ``SET key value`` and ``PING`` as flat arrays with minimal
headers, names in any case. Whatever is incomplete, longer than the limits or spelled otherwise is
not recognised: the session's full parser takes over there. It looks nothing up.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from nodecore.limits import KEY_BYTES_MAX, VALUE_BYTES_MAX

_LENGTH = rb"\$(0|[1-9][0-9]{0,6})\r\n"
_GET: Final = re.compile(rb"\*2\r\n\$3\r\n[Gg][Ee][Tt]\r\n" + _LENGTH)
_SET: Final = re.compile(rb"\*3\r\n\$3\r\n[Ss][Ee][Tt]\r\n" + _LENGTH)
_PING: Final = re.compile(rb"\*1\r\n\$4\r\n[Pp][Ii][Nn][Gg]\r\n")
_BULK: Final = re.compile(_LENGTH)


class PlainCommand(NamedTuple):
    """One recognised command."""

    key: bytes | None
    """None for PING."""
    reply: bytes | None
    """For SET: the value as a ready-made bulk reply."""
    end: int
    """Offset of the byte after the command."""


def _bulk_end(data: bytes, header: re.Match[bytes], bytes_max: int) -> int:
    """Offset behind the bulk string that ``header`` opens; -1 when incomplete, odd or too long."""
    length = int(header[1])
    end = header.end() + length + 2
    if length > bytes_max or end > len(data) or data[end - 2 : end] != b"\r\n":
        return -1
    return end


def parse(data: bytes, start: int) -> PlainCommand | None:
    """The command at ``start``, or None when it is not one that the gate reads."""
    header = _GET.match(data, start)
    if header is not None:
        end = _bulk_end(data, header, KEY_BYTES_MAX)
        return None if end < 0 else PlainCommand(data[header.end() : end - 2], None, end)
    header = _SET.match(data, start)
    if header is not None:
        key_end = _bulk_end(data, header, KEY_BYTES_MAX)
        value_header = None if key_end < 0 else _BULK.match(data, key_end)
        if value_header is None:
            return None
        end = _bulk_end(data, value_header, VALUE_BYTES_MAX)
        if end < 0:
            return None
        return PlainCommand(data[header.end() : key_end - 2], data[key_end:end], end)
    header = _PING.match(data, start)
    return None if header is None else PlainCommand(None, None, header.end())


def plain_run(
    data: bytes, start: int, keys_max: int
) -> tuple[list[bytes], list[bytes] | None, int]:
    """See ``Table.plain_run``."""
    if type(data) is not bytes:
        raise TypeError("data must be bytes")
    if start < 0:
        raise ValueError(f"start must not be negative: {start}")
    keys: list[bytes] = []
    values: list[bytes] = []
    sets = data[start + 1 : start + 2] == b"3"
    at = start
    while len(keys) < keys_max:
        command = parse(data, at)
        if command is None or command.key is None or (command.reply is not None) is not sets:
            break
        keys.append(command.key)
        if command.reply is not None:
            values.append(command.reply[command.reply.index(b"\n") + 1 : -2])
        at = command.end
    return keys, values if sets and keys else None, at
