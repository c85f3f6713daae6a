"""What no client should send to the HTTP door: a clear error, and nobody else is harmed."""

from __future__ import annotations

import json
import time
from typing import Any, NamedTuple

import pytest

from nodecore.limits import REQUEST_TIMEOUT_S
from tests.e2e.harness import Cluster
from tests.e2e.wire import Wire, exchange

pytestmark = pytest.mark.slow

HOST = b"Host: localhost\r\n"
HEALTH = b"GET /health/live HTTP/1.1\r\n"
PUT = b"PUT /cache/victim HTTP/1.1\r\n" + HOST + b"Content-Type: application/json\r\n"
SMUGGLED = b"DELETE /cache/victim HTTP/1.1\r\n" + HOST + b"\r\n"
MIB = 1024 * 1024


class Answer(NamedTuple):
    status: int
    body: dict[str, Any]


def parse(reply: bytes) -> Answer:
    """The only answer in ``reply``: a second one would mean that something was smuggled."""
    assert reply.count(b"HTTP/1.1 ") == 1, reply[:400]
    head, _, body = reply.partition(b"\r\n\r\n")
    return Answer(int(head.split()[1]), json.loads(body))


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (PUT + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        (PUT + b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n", 400),
        (PUT + b"Content-Length: 4\r\nContent-Length: 5\r\n\r\nabcde", 400),
        (PUT + b"Content-Length: +4\r\n\r\nabcd", 400),
        (PUT + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 400),
        (PUT + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n", 400),
        (PUT + b"Transfer-Encoding: chunked\r\n\r\n-1\r\n\r\n", 400),
        (HEALTH + HOST + HOST + b"\r\n", 400),
        (HEALTH + b"\r\n", 400),
        (HEALTH + HOST + b"A: b\r\n c\r\n\r\n", 400),
        (b"GET /health/live HTTP/1.1\nHost: localhost\n\n", 400),
        (HEALTH + b"Host: localhost\nX: y\r\n\r\n", 400),
        (HEALTH + HOST + b"A\x00B: c\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 501),
        (b"PING\r\n", 501),
        (b"BREW /cache/pot HTTP/1.1\r\n" + HOST + b"\r\n", 501),
        (HEALTH + HOST + b"Upgrade: websocket\r\nConnection: upgrade\r\n\r\n", 501),
        (b"GET /health/live HTTP/3.0\r\n" + HOST + b"\r\n", 400),
        (HEALTH + HOST + b"X: " + b"a" * 20_000 + b"\r\n\r\n", 431),
        (HEALTH + HOST + b"X: y\r\n" * 200 + b"\r\n", 431),
        (b"GET /cache/" + b"a" * 70_000 + b" HTTP/1.1\r\n" + HOST + b"\r\n", 431),
        (PUT + b"Content-Length: 99999999\r\n\r\n", 413),
        (PUT + b"Content-Length: 99999999999999999999999\r\n\r\n", 400),
    ],
    ids=[
        "cl-te", "te-cl", "two-lengths", "plus", "xchunked", "blank-colon", "chunk-size",
        "two-hosts", "no-host", "folded", "bare-lf", "bare-lf-header", "nul", "tls", "resp", "verb",
        "upgrade", "version", "long-header", "many-headers", "long-target", "body", "overflow",
    ],
)  # fmt: skip
def test_malformed_requests_are_refused_and_nothing_is_smuggled(
    ring: Cluster, sent: bytes, status: int
) -> None:
    with ring.redis(ring.nodes[0]["resp"]) as client:
        client.set("victim", "alive")
        answer = parse(exchange(ring.nodes[0]["http"], sent + SMUGGLED, 5))
        assert answer.status == status
        assert set(answer.body["error"]) == {"code", "message"}
        assert answer.body["error"]["message"]
        assert client.get("victim") == b"alive"


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (HEALTH + b"Host: attacker.example\r\n\r\n", 421),
        (HEALTH + b"Host: 127.0.0.1.attacker.example\r\n\r\n", 421),
        (HEALTH + HOST + b"Origin: http://attacker.example\r\n\r\n", 403),
        (HEALTH + HOST + b"Origin: null\r\n\r\n", 403),
        (HEALTH + HOST + b"Sec-Fetch-Site: cross-site\r\n\r\n", 403),
        (b"GET /cache/%00 HTTP/1.1\r\n" + HOST + b"\r\n", 400),
        (b"GET /cache/%ff HTTP/1.1\r\n" + HOST + b"\r\n", 400),
        (b"GET /cache/%zz HTTP/1.1\r\n" + HOST + b"\r\n", 400),
        (b"GET /cache/ HTTP/1.1\r\n" + HOST + b"\r\n", 400),
        (b"GET /nowhere HTTP/1.1\r\n" + HOST + b"\r\n", 404),
        (b"PATCH /cache/a HTTP/1.1\r\n" + HOST + b"\r\n", 405),
        (PUT + b"Content-Length: 5\r\n\r\n{nope", 400),
        (PUT + b"Content-Length: 2\r\n\r\n[]", 422),
        (PUT + b'Content-Length: 23\r\n\r\n{"value":1,"ttl":"one"}', 422),
        (b"PUT /cache/victim HTTP/1.1\r\n" + HOST + b"Content-Length: 11\r\n\r\n"
         b'{"value":1}', 415),
    ],
    ids=[
        "rebinding", "rebinding-suffix", "origin", "null-origin", "cross-site", "nul-key",
        "latin-key", "bad-escape", "empty-key", "path", "method", "json", "shape", "ttl", "type",
    ],
)  # fmt: skip
def test_refused_requests_leave_the_connection_usable(
    ring: Cluster, sent: bytes, status: int
) -> None:
    goodbye = HEALTH + HOST + b"Connection: close\r\n\r\n"
    reply = exchange(ring.nodes[0]["http"], sent + goodbye, 5)
    first, second = reply.split(b"HTTP/1.1 ")[1:]
    assert int(first[:3]) == status, first
    assert b'"error"' in first
    assert int(second[:3]) == 200


def test_a_body_that_grows_beyond_the_limit_is_cut_off(ring: Cluster) -> None:
    with Wire(ring.nodes[0]["http"]) as wire:
        wire.send(PUT + b"Transfer-Encoding: chunked\r\n\r\n")
        for _ in range(10):
            wire.send(b"100000\r\n" + b"v" * MIB + b"\r\n")
        assert b"HTTP/1.1 413 " in wire.read_to_end(5)


def test_a_slow_request_ends_with_words_and_an_idle_connection_stays(ring: Cluster) -> None:
    address = ring.nodes[0]["http"]
    whole = HEALTH + HOST + b"\r\n"
    with Wire(address) as slow, Wire(address) as body, Wire(address) as idle:
        idle.send(whole)
        idle.read_until(b"}")
        slow.send(HEALTH)
        body.send(PUT + b"Content-Length: 100\r\n\r\n")
        begun = time.monotonic()
        for _ in range(int(REQUEST_TIMEOUT_S)):
            slow.send(b"X: y\r\n")
            body.send(b"v")
            time.sleep(1)  # the pace of the client under test
        for wire in (slow, body):
            answer = parse(wire.read_to_end(5))
            assert answer.status == 408
            assert "not finished in time" in answer.body["error"]["message"]
        assert time.monotonic() - begun < 2 * REQUEST_TIMEOUT_S
        idle.send(whole)
        assert idle.read_until(b"}").startswith(b"HTTP/1.1 200 ")


def test_pipelined_requests_for_large_values_wait_for_their_reader(ring: Cluster) -> None:
    node = ring.nodes[0]
    with ring.redis(node["resp"]) as client, Wire(node["http"]) as wire:
        client.set("large", b"v" * MIB)
        get = b"GET /cache/large HTTP/1.1\r\n" + HOST + b"Accept: application/octet-stream\r\n"
        wire.send((get + b"\r\n") * 29 + get + b"Connection: close\r\n\r\n")
        reply = wire.read_to_end(20)
        assert reply.count(b"HTTP/1.1 200 ") == 30
        assert len(reply) > 30 * MIB
        client.delete("large")
