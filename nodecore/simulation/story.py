"""Tells a simulated run as a story: one line an event, in words a person reads.

The world notes happenings with their bytes, for the digest; here they become sentences. What nobody
wants to read (probes, gossip, records of the clock) is left out. It decides nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import Final

from transport.codec import decode
from transport.messages import Message

Part = str | float | bytes

_QUIET: Final = (
    "Probe",
    "ProbeAck",
    "IndirectProbe",
    "Gossip",
    "Ping",
    "Pong",
    "Ack",
    "PingRequest",
)
_SHOWN_MAX: Final = 60
_SENTENCES: Final = {
    "disk": "{0} writes {2} records to disk (ticket {1})",
    "event": "{0} says: {2} [{1}]",
    "start": "{0} starts, life {1}",
    "crash": "{0} dies",
    "pause": "{0} stops (as by SIGSTOP)",
    "resume": "{0} goes on",
    "stop": "{0} ends itself with status {2}: {1}",
    "link-up": "{0} -> {1}: {2} link is up",
    "link-down": "{0} -> {1}: {2} link is down: {3}",
    "cut": "nothing gets from {0} to {1} any more",
    "heal": "{0} reaches {1} again",
}
_LANES: Final = {"0": "control", "1": "data"}


def tell(now_s: float, kind: str, parts: Sequence[Part]) -> str | None:
    """The line for a happening; None: it is not worth one."""
    words = _words(kind, parts)
    return None if words is None else f"{now_s:10.4f}  {words}"


def _words(kind: str, parts: Sequence[Part]) -> str | None:
    match kind, list(parts):
        case "message", [peer, target, lane, stream, bytes(payload)]:
            return _message(_part(peer), _part(target), _part(lane), _part(stream), payload)
        case "request", [node, bytes(data)]:
            return f"client -> {_part(node)}: {_command(data)}"
        case "reply", [node, bytes(data)]:
            return f"{_part(node)} -> client: {_shorten(data)}"
        case "persist", [node, name, bytes(payload)]:
            return f"{_part(node)} writes its record {_part(name)} ({len(payload)} bytes)"
        case (("fault" | "phase"), words):
            return f"{kind.upper()} {' '.join(map(_part, words))}"
    said = [_part(part) for part in parts]
    sentence = _SENTENCES.get(kind)
    if sentence is None:
        return f"{kind} {' '.join(said)}"
    if kind.startswith("link"):
        said[2] = _lane(said[2])
    return sentence.format(*said)


def _message(peer: str, target: str, lane: str, stream: str, payload: bytes) -> str | None:
    message = decode(payload)
    name = type(message).__name__
    if name in _QUIET:
        return None
    number = f" #{stream}" if stream != "0" else ""
    return f"{peer} -> {target}: {_lane(lane)}{number} {name}{_fields(message)}"


def _fields(message: Message) -> str:
    shown = []
    for field in fields(message):  # type: ignore[arg-type]
        value = getattr(message, field.name)
        if value in ("", b"", None, 0) or value == []:
            continue
        shown.append(f"{field.name}={_brief(value)}")
    text = ", ".join(shown)
    return f" ({text[: 3 * _SHOWN_MAX]})" if text else ""


def _brief(value: object) -> str:
    if isinstance(value, bytes):
        return _shorten(value)
    if isinstance(value, dict):
        return f"{{{', '.join(map(str, value))}}}"[:_SHOWN_MAX]
    if isinstance(value, list) and len(value) > 3:
        return f"{len(value)} entries"
    if isinstance(value, list):
        return f"[{', '.join(map(_brief, value))}]"[:_SHOWN_MAX]
    return str(value)[:_SHOWN_MAX]


def _command(data: bytes) -> str:
    """The words of pipelined RESP commands."""
    shown: list[str] = []
    for piece in data.split(b"*")[1:]:
        words = piece.split(b"\r\n")[2::2]
        shown.append(" ".join(_shorten(word) for word in words))
    return "; ".join(shown)[: 3 * _SHOWN_MAX]


def _shorten(data: bytes) -> str:
    text = data[:_SHOWN_MAX].decode("latin-1").replace("\r\n", " ").strip()
    printable = "".join(letter if letter.isprintable() else "." for letter in text)
    return f"{printable}... ({len(data)} bytes)" if len(data) > _SHOWN_MAX else printable


def _lane(lane: str) -> str:
    return _LANES.get(lane, lane.rpartition(".")[2].lower())


def _part(part: Part) -> str:
    return _shorten(part) if isinstance(part, bytes) else str(part)
