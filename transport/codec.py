"""Messages to bytes and back: the only place that knows msgpack.

Strict both ways. A message is exactly ``[type, *fields]`` with the declared number of fields (those
with a default may be missing at the end) of exactly the declared types (a bool is no int). Plain
data is None, bool, int, finite float, str, bytes, lists, and dicts with str keys, nested at most
DECODE_DEPTH_MAX deep; no extension type, timestamps included. Only complete payloads are decoded,
so a declared count is checked against the bytes that are there before anything is allocated.

Plain data is checked level by level with C-speed set operations instead of a recursive walk: a
batch of a hundred entries costs about as much as one call per entry would cost in overhead alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import MISSING, Field, fields
from itertools import chain
from operator import attrgetter
from typing import Any, Final, cast, final

import msgpack

from transport import limits, messages
from transport.errors import LocalProtocolError, MalformedMessage, UnknownMessage
from transport.messages import Message

_KINDS: Final[dict[str, type]] = {"int": int, "str": str, "bytes": bytes, "bool": bool}
_DECODED: Final = frozenset({type(None), bool, int, float, str, bytes, list, dict})
_FLAT: Final = frozenset({type(None), bool, int, str, bytes})
"""Nothing is inside of these, and every value is allowed."""
_ENCODABLE: Final = (type(None), int, float, str, bytes, list, tuple, dict)
_PACKER_BYTES_KEPT: Final = 1024 * 1024
"""A packer whose buffer grew beyond this is replaced, so that one large value does not pin it."""

_SHARED_BYTES_MIN: Final = 256
"""Payloads from this size are kept for the case that the same object is sent to another peer."""

_DECODE_ERRORS: Final = (
    ValueError,
    TypeError,
    OverflowError,
    RecursionError,
    msgpack.exceptions.UnpackException,
)


class _NotPlain(Exception):  # noqa: N818 - never leaves this module
    """Plain data breaks a rule; the text says which."""


def _refuse_extension(code: int, _payload: bytes) -> object:
    raise ValueError(f"extension type {code}")


def _check_kinds(level: list[Any], kinds: set[type]) -> None:
    """Types of one level; subclasses (string enums, named tuples) pass on the way out."""
    if kinds <= _DECODED:
        return
    for value in level:
        if not isinstance(value, _ENCODABLE):
            raise _NotPlain(f"{type(value).__name__} is not plain data")


def _check_plain(value: object, *, incoming: bool) -> None:
    """Raise unless ``value`` is plain data."""
    if type(value) in _FLAT:
        return
    level: list[Any] = [value]
    for _ in range(limits.DECODE_DEPTH_MAX):
        kinds = set(map(type, level))
        if kinds <= _FLAT:
            return
        if incoming:
            if not kinds <= _DECODED:
                raise _NotPlain("a type that is not plain data")
        else:
            _check_kinds(level, kinds)
        below: list[Any] = []
        if len(kinds) == 1 and list in kinds:
            below = list(chain.from_iterable(level))
        else:
            _descend(level, below)
        if not below:
            return
        level = below
    raise _NotPlain(f"nested deeper than {limits.DECODE_DEPTH_MAX}")


def _descend(level: list[Any], below: list[Any]) -> None:
    """Collect what is inside of the containers of a level, checking floats and keys on the way."""
    for value in level:
        kind = type(value)
        if kind in _FLAT:
            continue
        if kind is list or isinstance(value, (list, tuple)):
            below.extend(value)
        elif isinstance(value, dict):
            for key in value:
                if not isinstance(key, str):
                    raise _NotPlain(f"a key of type {type(key).__name__}")
            below.extend(value.values())
        elif isinstance(value, float) and not math.isfinite(value):
            raise _NotPlain("a number that is not finite")


def _field_has_default(entry: Field[Any]) -> bool:
    return entry.default is not MISSING or entry.default_factory is not MISSING


def _values(names: tuple[str, ...]) -> Callable[[object], tuple[Any, ...]]:
    """A getter that returns a tuple for any number of names."""
    if not names:
        return lambda _message: ()
    if len(names) == 1:
        getter = attrgetter(names[0])
        return lambda message: (getter(message),)
    return attrgetter(*names)


@final
class _Layout:
    """How one message type looks on the wire."""

    def __init__(self, kind: type[Message]) -> None:
        described = fields(cast("Any", kind))
        self.kind: Callable[..., Message] = kind
        self.name = kind.__name__
        self.number = kind.TYPE
        self.values = _values(tuple(entry.name for entry in described))
        self.names = tuple(entry.name for entry in described)
        self.types = tuple(_KINDS.get(str(entry.type)) for entry in described)
        """None for plain data."""
        for entry in described:
            assert str(entry.type) in _KINDS or entry.type == "object", (self.name, entry.name)
        self.count_max = len(described)
        self.count_min = sum(1 for entry in described if not _field_has_default(entry))
        self.plain = tuple(index for index, kind in enumerate(self.types) if kind is None)

    def check(self, values: Iterable[Any], *, incoming: bool) -> None:
        """Raise unless the values have the declared types."""
        for index, (value, kind) in enumerate(zip(values, self.types, strict=False)):
            if type(value) is kind:
                continue
            if kind is None:
                _check_plain(value, incoming=incoming)
            elif incoming or kind is bool or isinstance(value, bool) or not isinstance(value, kind):
                raise _NotPlain(
                    f"{self.names[index]} is {type(value).__name__}, not {kind.__name__}"
                )


def _catalogue() -> dict[int, _Layout]:
    layouts: dict[int, _Layout] = {}
    for name in messages.__all__:
        kind = getattr(messages, name)
        if isinstance(kind, type) and issubclass(kind, Message) and kind is not Message:
            assert kind.TYPE not in layouts, f"message type {kind.TYPE} is used twice"
            layouts[kind.TYPE] = _Layout(kind)
    return layouts


_LAYOUTS: Final = _catalogue()

MESSAGE_TYPES: Final[tuple[int, ...]] = tuple(sorted(_LAYOUTS))
"""Every number of the catalogue."""


@final
class _Packer:
    """A packer kept between calls: making one costs more than packing a small message."""

    def __init__(self) -> None:
        self._pack = self._fresh()

    @staticmethod
    def _fresh() -> Callable[[object], bytes]:
        pack: Callable[[object], bytes] = msgpack.Packer(use_bin_type=True).pack
        return pack

    def pack(self, value: object) -> bytes:
        try:
            payload = self._pack(value)
        except BaseException:
            self._pack = self._fresh()
            raise
        if len(payload) > _PACKER_BYTES_KEPT:
            self._pack = self._fresh()
        return payload


_packer: Final = _Packer()


@final
class _LastShared:
    """The last large message and its payload: what goes to several peers is packed once."""

    def __init__(self) -> None:
        self._message: Message | None = None
        self._payload = b""

    def payload_of(self, message: Message) -> bytes | None:
        """The payload if this very object was the last one."""
        return self._payload if message is self._message else None

    def keep(self, message: Message, payload: bytes) -> None:
        """Remember a message; small ones are cheaper to pack again than to remember."""
        if _SHARED_BYTES_MIN <= len(payload) <= _PACKER_BYTES_KEPT:
            self._message, self._payload = message, payload


_shared: Final = _LastShared()


def encode(message: Message) -> bytes:
    """The payload of a message. A message that was encoded must not change afterwards.

    Raises:
        LocalProtocolError: a field has the wrong type, or is not plain data. Nothing was kept.
    """
    known = _shared.payload_of(message)
    if known is not None:
        return known
    layout = _LAYOUTS.get(message.TYPE)
    if layout is None:
        raise LocalProtocolError(f"{type(message).__name__} is not in the catalogue")
    values = layout.values(message)
    try:
        layout.check(values, incoming=False)
        payload = _packer.pack((message.TYPE, *values))
    except (_NotPlain, ValueError, TypeError, OverflowError) as error:
        raise LocalProtocolError(f"can't encode {layout.name}: {error}") from error
    _shared.keep(message, payload)
    return payload


def _unpack(payload: bytes) -> Any:
    try:
        return msgpack.unpackb(payload, raw=False, strict_map_key=True, ext_hook=_refuse_extension)
    except _DECODE_ERRORS as error:
        text = str(error) or type(error).__name__
        raise MalformedMessage(f"payload of {len(payload)} bytes: {text}") from error


def decode(payload: bytes) -> Message:
    """The message that a complete payload holds.

    Raises:
        MalformedMessage: not msgpack, not a message, or fields of the wrong number or type.
        UnknownMessage: a type number that is not in the catalogue.
    """
    parts = _unpack(payload)
    if type(parts) is not list or not parts or type(parts[0]) is not int:
        raise MalformedMessage("a message is a list that begins with its type")
    layout = _LAYOUTS.get(parts[0])
    if layout is None:
        raise UnknownMessage(f"message type {parts[0]} is unknown")
    count = len(parts) - 1
    if not layout.count_min <= count <= layout.count_max:
        raise MalformedMessage(f"{layout.name} with {count} fields")
    del parts[0]
    try:
        layout.check(parts, incoming=True)
    except _NotPlain as error:
        raise MalformedMessage(f"{layout.name}: {error}") from error
    return layout.kind(*parts)


def pack_plain(value: object) -> bytes:
    """A small document of plain data as bytes, for disks and recordings.

    Raises:
        LocalProtocolError: it is not plain data.
    """
    try:
        _check_plain(value, incoming=False)
        return _packer.pack(value)
    except (_NotPlain, ValueError, TypeError, OverflowError) as error:
        raise LocalProtocolError(f"can't pack: {error}") from error


def unpack_plain(payload: bytes) -> object:
    """The reverse of :func:`pack_plain`; tuples come back as lists.

    Raises:
        MalformedMessage: not msgpack, or not plain data.
    """
    value: object = _unpack(payload)
    try:
        _check_plain(value, incoming=True)
    except _NotPlain as error:
        raise MalformedMessage(str(error)) from error
    return value
