"""What nobody should send to the native door: refused with words, and nobody else is harmed."""

from __future__ import annotations

import time
from dataclasses import replace

import msgpack
import pytest

from nodecore.limits import CONNECTIONS_MAX
from tests.e2e.harness import Cluster, wait_until
from tests.e2e.wire import Wire, exchange
from transport import limits
from transport.codec import decode, encode
from transport.framing import Frame, FrameDecoder, encode_frame, encode_message
from transport.messages import (
    Admin,
    Challenge,
    ClientGet,
    ErrorReply,
    Goodbye,
    Hello,
    Message,
    PeerRead,
    PeerWrite,
    Refuse,
    Role,
    Welcome,
)

pytestmark = pytest.mark.slow

HELLO = Hello(
    version_min=1,
    version_max=1,
    feature_level=1,
    role=Role.CLIENT.value,
    cluster_id="",
    node_id="",
    incarnation=0,
    nonce=b"n" * limits.NONCE_BYTES,
)
UNKNOWN_TYPE = 250


def framed(message: Message, stream: int = 0) -> bytes:
    return b"".join(encode_message(encode(message), stream))


def messages(data: bytes) -> list[Message]:
    decoder = FrameDecoder(limits.MESSAGE_BYTES_MAX)
    decoder.receive_data(data)
    return [decode(frame.payload) for frame in decoder.frames()]


def refusal(data: bytes) -> str:
    """The words of the last message, which must be a refusal."""
    last = messages(data)[-1]
    assert isinstance(last, Refuse | Goodbye), last
    return last.text if isinstance(last, Refuse) else last.reason


def greeted(address: str) -> Wire:
    """A link whose handshake is done."""
    wire = Wire(address)
    try:
        wire.send(framed(HELLO))
        assert isinstance(next_message(wire), Challenge)
        assert isinstance(next_message(wire), Welcome)
    except BaseException:
        wire.socket.close()
        raise
    return wire


def next_message(wire: Wire) -> Message:
    decoder = FrameDecoder(limits.MESSAGE_BYTES_MAX)
    wire.socket.settimeout(5)
    while True:
        frame = decoder.next_frame()
        if isinstance(frame, Frame):
            return decode(frame.payload)
        # No more than this frame: what follows this message must stay in the socket.
        data = wire.socket.recv(max(1, decoder.missing_bytes))
        assert data, "closed without an answer"
        decoder.receive_data(data)


def broken_checksum() -> bytes:
    frame = bytearray(framed(HELLO))
    frame[-1] ^= 1
    return bytes(frame)


@pytest.mark.parametrize(
    ("sent", "words"),
    [
        (b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", "frame version"),
        (b"\xff" * 64, "frame version 255"),
        (broken_checksum(), "checksum"),
        (b"\x7f\xff\xff\xff\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00", "exceeds the limit"),
        (b"\x00\x00\x10\x01\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00", "exceeds the limit"),
        (encode_frame(b"\xc1", 0), "payload of 1 bytes"),
        (encode_frame(msgpack.packb([UNKNOWN_TYPE, 1]), 0), str(UNKNOWN_TYPE)),
        (encode_frame(msgpack.packb([1, "one", 1, 1, "client", "", "", 0, b"", 0]), 0), "Hello"),
        (encode_frame(b"\xdd\xff\xff\xff\xff", 0), ""),
        (framed(replace(HELLO, version_min=7, version_max=9)), "7..9"),
        (framed(replace(HELLO, role="emperor")), "emperor"),
        (framed(replace(HELLO, nonce=b"short")), "nonce"),
        (framed(replace(HELLO, cluster_id="elsewhere")), "elsewhere"),
        (framed(replace(HELLO, role=Role.PEER_DATA.value, node_id="n1")), ""),
        (framed(ClientGet([b"key"])), "before the handshake"),
    ],
    ids=[
        "http", "garbage", "checksum", "length", "length-before-proof", "not-msgpack", "type",
        "field-types", "huge-array", "version", "role", "nonce", "cluster", "taken-id", "no-hello",
    ],
)  # fmt: skip
def test_a_bad_beginning_is_refused_with_words(ring: Cluster, sent: bytes, words: str) -> None:
    begun = time.monotonic()
    text = refusal(exchange(ring.nodes[0]["native"], sent, 5))
    assert text
    assert words in text
    assert time.monotonic() - begun < 4


def test_a_silent_and_a_slow_hello_are_given_up(ring: Cluster) -> None:
    with Wire(ring.nodes[0]["native"]) as silent, Wire(ring.nodes[0]["native"]) as slow:
        slow.send(framed(HELLO)[:20])
        begun = time.monotonic()
        for wire in (silent, slow):
            assert "no handshake" in refusal(wire.read_to_end(limits.HANDSHAKE_TIMEOUT_S + 5))
        assert time.monotonic() - begun < limits.HANDSHAKE_TIMEOUT_S + 3


def test_a_frame_that_stops_in_the_middle_ends_the_link(ring: Cluster) -> None:
    with greeted(ring.nodes[0]["native"]) as wire:
        wire.send(framed(ClientGet([b"key" * 100]))[:40])
        text = refusal(wire.read_to_end(limits.FRAME_TIMEOUT_S + 5))
        assert "not finished in time" in text


@pytest.mark.parametrize(
    "message",
    [
        PeerWrite(1, [b"stolen"], [b"x"], 1, 1, 0),
        PeerRead(1, [b"key"]),
    ],
    ids=["write", "read"],
)
def test_a_client_can_not_speak_as_a_peer(ring: Cluster, message: Message) -> None:
    with greeted(ring.nodes[0]["native"]) as wire:
        wire.send(framed(message, 5))
        assert refusal(wire.read_to_end(5))
    with ring.redis(ring.nodes[0]["resp"]) as client:
        assert client.get(b"stolen") is None


def test_wrong_requests_are_answered_and_the_link_goes_on(ring: Cluster) -> None:
    with greeted(ring.nodes[0]["native"]) as wire:
        for message in (
            ClientGet(["text, not bytes"]),
            ClientGet([b"k" * 65_537]),
            ClientGet([b"k"] * 10_001),
            ClientGet([b"k"], 99),
            Admin("status", {}),
        ):
            wire.send(framed(message, 3))
            answer = next_message(wire)
            assert isinstance(answer, ErrorReply), answer
            assert answer.text
        wire.send(framed(ClientGet([b"no such key"]), 4))
        assert not isinstance(next_message(wire), ErrorReply)


def test_an_answer_too_large_to_send_is_refused_and_not_attempted(ring: Cluster) -> None:
    with ring.redis(ring.nodes[0]["resp"]) as client:
        client.set("large", b"v" * 8 * 1024 * 1024)
        with greeted(ring.nodes[0]["native"]) as wire:
            begun = time.monotonic()
            wire.send(framed(ClientGet([b"large"] * 5000), 3))
            answer = next_message(wire)
            assert isinstance(answer, ErrorReply)
            assert time.monotonic() - begun < 2
            wire.send(framed(ClientGet([b"large"]), 4))
        client.delete("large")


def test_links_that_say_nothing_do_not_shut_others_out_for_long(ring: Cluster) -> None:
    node = ring.nodes[2]
    flood = [Wire(node["native"]) for _ in range(CONNECTIONS_MAX + 20)]
    try:
        assert "too many connections" in refusal(flood[-1].read_to_end(5))
        wait_until(lambda: _welcome(node["native"]), "a client gets in", 15.0, 0.2)
    finally:
        for wire in flood:
            wire.socket.close()
    assert [member["status"] for member in ring.status()["members"]] == ["alive"] * 3


def _welcome(address: str) -> bool:
    try:
        greeted(address).socket.close()
    except (AssertionError, OSError):
        return False
    return True
