"""Every message survives the wire; nothing else does."""

from __future__ import annotations

import struct
from dataclasses import MISSING, fields
from enum import StrEnum
from pathlib import Path
from typing import Any, NamedTuple, cast

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transport import codec, limits, messages
from transport.errors import LocalProtocolError, MalformedMessage, RemoteProtocolError
from transport.errors import UnknownMessage as UnknownMessageError
from transport.messages import ClientGet, ErrorReply, Forward, Message, PeerWritten, Ping, Probe

SAMPLES = Path(__file__).resolve().parent.parent / "data" / "wire_samples"

INTEGERS = st.integers(-(2**63), 2**64 - 1)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
SCALARS = (
    st.none()
    | st.booleans()
    | INTEGERS
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS
    | st.binary(max_size=40)
)
PLAIN = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)
BY_TYPE = {
    "int": INTEGERS,
    "str": TEXTS,
    "bytes": st.binary(max_size=64),
    "bool": st.booleans(),
    "object": PLAIN,
}
FIXED: dict[str, object] = {
    "int": 7,
    "str": "seven",
    "bytes": b"\x07" * 32,
    "bool": True,
    "object": [None, 7, b"\x07", {"seven": 7.0}],
}


def kinds() -> list[type[Message]]:
    found = [getattr(messages, name) for name in messages.__all__]
    return [kind for kind in found if issubclass(kind, Message) and kind is not Message]


def described(kind: type[Message]) -> list[tuple[str, str, bool]]:
    return [
        (entry.name, str(entry.type), entry.default is not MISSING)
        for entry in fields(cast("Any", kind))
    ]


def sample(kind: type[Message]) -> Message:
    return kind(**{name: FIXED[type_name] for name, type_name, _ in described(kind)})


@pytest.mark.parametrize("kind", kinds(), ids=lambda kind: kind.__name__)
@given(data=st.data())
@settings(max_examples=15, deadline=None)
def test_every_message_survives(kind: type[Message], data: st.DataObject) -> None:
    values = {name: data.draw(BY_TYPE[type_name]) for name, type_name, _ in described(kind)}
    message = kind(**values)
    assert codec.decode(codec.encode(message)) == message


@pytest.mark.parametrize("kind", kinds(), ids=lambda kind: kind.__name__)
def test_bytes_on_the_wire_are_frozen(kind: type[Message]) -> None:
    """A changed sample is a changed protocol: raise the version, or do not change it."""
    path = SAMPLES / f"{kind.TYPE:03d}_{kind.__name__}.hex"
    assert path.exists(), f"a new message needs its sample: {codec.encode(sample(kind)).hex()}"
    payload = bytes.fromhex(path.read_text())
    assert codec.decode(payload) == sample(kind)
    assert codec.encode(sample(kind)) == payload


def test_no_sample_without_its_message() -> None:
    names = {f"{kind.TYPE:03d}_{kind.__name__}.hex" for kind in kinds()}
    assert {path.name for path in SAMPLES.glob("*.hex")} == names


@pytest.mark.parametrize("kind", kinds(), ids=lambda kind: kind.__name__)
def test_wrong_numbers_of_fields_are_refused(kind: type[Message]) -> None:
    parts = msgpack.unpackb(codec.encode(sample(kind)))
    entries = described(kind)
    required = sum(1 for *_, optional in entries if not optional)
    for count in range(len(entries) + 2):
        changed = msgpack.packb(([*parts, None])[: count + 1])
        if required <= count <= len(entries):
            assert type(codec.decode(changed)) is kind
        else:
            with pytest.raises(MalformedMessage, match=f"{kind.__name__} with {count} fields"):
                codec.decode(changed)


@pytest.mark.parametrize("kind", kinds(), ids=lambda kind: kind.__name__)
def test_wrong_field_types_are_refused(kind: type[Message]) -> None:
    parts = msgpack.unpackb(codec.encode(sample(kind)))
    for index, (name, type_name, _) in enumerate(described(kind), start=1):
        if type_name == "object":
            continue
        wrongs: list[object] = [None, 1.5, [], True if type_name != "bool" else 1]
        for wrong in wrongs:
            changed = [*parts[:index], wrong, *parts[index + 1 :]]
            with pytest.raises(MalformedMessage, match=name):
                codec.decode(msgpack.packb(changed))


def nested(depth: int) -> object:
    value: object = 1
    for _ in range(depth):
        value = [value]
    return value


REFUSED = {
    "empty": b"",
    "not a list": msgpack.packb(7),
    "empty list": msgpack.packb([]),
    "type is a bool": msgpack.packb([True]),
    "type is a string": msgpack.packb(["7"]),
    "trailing bytes": msgpack.packb([7]) + b"\x00",
    "cut short": msgpack.packb([80, [b"key"], 0])[:-3],
    "array of four billion": b"\x92\x50\xdd\xff\xff\xff\xff",
    "map of four billion": b"\x92\x50\xdf\xff\xff\xff\xff",
    "binary of four billion": b"\x92\x50\xc6\xff\xff\xff\xff",
    "extension": msgpack.packb([80, msgpack.ExtType(5, b"x"), 0]),
    "empty extension": b"\x93\x50\xc7\x00\x05\x00",
    "timestamp": msgpack.packb([80, msgpack.Timestamp(1, 2), 0]),
    "timestamp in a list": msgpack.packb([80, [1, [msgpack.Timestamp(1, 2)]], 0]),
    "NaN": msgpack.packb([80, [float("nan")], 0]),
    "infinity in a dict": msgpack.packb([80, {"a": float("inf")}, 0]),
    "bytes as dict key": msgpack.packb([80, {b"a": 1}, 0]),
    "integer as dict key": msgpack.packb([80, {1: 1}, 0]),
    "bad text": b"\x93\x50\xa2\xff\xfe\x00",
    "too deep": msgpack.packb([80, nested(limits.DECODE_DEPTH_MAX), 0]),
    "absurdly deep": b"\x92\x50" + b"\x91" * 100_000 + b"\xc0",
    "reserved byte": b"\x92\x50\xc1",
}


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_what_is_no_message_is_refused(name: str) -> None:
    with pytest.raises(MalformedMessage):
        codec.decode(REFUSED[name])


def test_depth_up_to_the_limit_passes() -> None:
    message = ClientGet(keys=nested(limits.DECODE_DEPTH_MAX - 1))
    assert codec.decode(codec.encode(message)) == message


def test_unknown_types_are_named() -> None:
    with pytest.raises(UnknownMessageError, match="type 12345 is unknown"):
        codec.decode(msgpack.packb([12345, 1]))


@given(st.binary(max_size=200))
@settings(max_examples=300, deadline=None)
def test_garbage_raises_nothing_undeclared(payload: bytes) -> None:
    try:
        codec.decode(payload)
    except RemoteProtocolError:
        return


@given(st.data())
@settings(max_examples=200, deadline=None)
def test_changed_bytes_raise_nothing_undeclared(data: st.DataObject) -> None:
    payload = bytearray(codec.encode(Probe(1, 2, [["n1", 0, 3, "n2"], {"a": [1.5]}])))
    index = data.draw(st.integers(0, len(payload) - 1))
    payload[index] = data.draw(st.integers(0, 255))
    try:
        codec.decode(bytes(payload))
    except RemoteProtocolError:
        return


class Cause(StrEnum):
    HINT = "hint"


class Pair(NamedTuple):
    first: int
    second: int


def test_string_enums_and_tuples_go_out_as_what_they_are() -> None:
    sent = ErrorReply(code=1, text=Cause.HINT)
    assert codec.decode(codec.encode(sent)) == ErrorReply(1, "hint")
    written = PeerWritten(1, 1, [Pair(1, 2)])
    assert codec.decode(codec.encode(written)) == PeerWritten(1, 1, [[1, 2]])


@pytest.mark.parametrize(
    "message",
    [
        ClientGet(keys=[object()]),
        ClientGet(keys=[float("nan")]),
        ClientGet(keys={1: 2}),
        ClientGet(keys=[b"x"], level=cast("Any", True)),
        ClientGet(keys=[b"x"], level=cast("Any", "1")),
        ClientGet(keys=[2**64]),
        ClientGet(keys=[bytearray(b"x")]),
        ClientGet(keys=["\ud800"]),
        ClientGet(keys=nested(limits.DECODE_DEPTH_MAX)),
        Forward(1, {"a": {b"b": 1}}, 1),
        ErrorReply(1, "text", unknown=cast("Any", 1)),
    ],
    ids=lambda message: type(message).__name__,
)
def test_what_can_not_travel_is_refused_before_it_is_sent(message: Message) -> None:
    with pytest.raises(LocalProtocolError):
        codec.encode(message)
    assert codec.decode(codec.encode(Ping())) == Ping(), "a refusal leaves nothing behind"


def test_messages_outside_of_the_catalogue_are_refused() -> None:
    class Foreign(Message):
        TYPE = 9999

    with pytest.raises(LocalProtocolError, match="not in the catalogue"):
        codec.encode(Foreign())


@given(PLAIN)
@settings(max_examples=100, deadline=None)
def test_plain_documents_survive(value: object) -> None:
    assert codec.unpack_plain(codec.pack_plain(value)) == value


def test_plain_documents_are_as_strict() -> None:
    for wrong in (object(), {1: 2}, float("inf"), nested(limits.DECODE_DEPTH_MAX + 1)):
        with pytest.raises(LocalProtocolError):
            codec.pack_plain(wrong)
    for payload in (b"", b"\xc1", struct.pack(">B", 0xCB) + struct.pack(">d", float("nan"))):
        with pytest.raises(MalformedMessage):
            codec.unpack_plain(payload)


def test_a_large_message_does_not_pin_its_buffer() -> None:
    large = ClientGet(keys=[bytes(3_000_000)])
    assert codec.decode(codec.encode(large)) == large
    assert codec.decode(codec.encode(Ping())) == Ping()
