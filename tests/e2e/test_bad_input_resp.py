"""What no client should send to the RESP door: a clear error, and nobody else is harmed."""

from __future__ import annotations

import contextlib
import socket
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import redis

from nodecore.limits import CONNECTIONS_MAX, REQUEST_TIMEOUT_S
from tests.e2e.harness import Cluster
from tests.e2e.wire import Wire, exchange, port_of

pytestmark = pytest.mark.slow

MIB = 1024 * 1024
RSS_GROWTH_MAX = 700 * MIB
"""Values in the table, one reply that is being made, and what all slow clients may hold."""


def resident_bytes(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) * 1024
    raise AssertionError("no peak size of a process")


def refusal(client: redis.Redis, *command: Any) -> str:
    with pytest.raises(redis.ResponseError) as caught:
        client.execute_command(*command)  # type: ignore[no-untyped-call]
    return str(caught.value)


@pytest.mark.parametrize(
    ("sent", "words"),
    [
        (b"*3000000000\r\n", b"invalid multibulk length"),
        (b"*1\r\n$2000000000\r\n", b"invalid bulk length"),
        (b"*1\r\n$-10\r\n", b"invalid bulk length"),
        (b"*1\r\n$blabla\r\n", b"invalid bulk length"),
        (b"*1\r\nfoo\r\n", b"expected '$', got 'f'"),
        (b'SET key "open\r\n', b"unbalanced quotes in request"),
        (b"\x00" + b"a" * 200_000, b"too big inline request"),
        (b"*\x00" + b"a" * 200_000, b"too big mbulk count string"),
        (b"*1\r\n$\x00" + b"a" * 200_000, b"too big bulk count string"),
        (b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$8388609\r\n", b"invalid bulk length"),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", b"HTTP request on the RESP port"),
        (b"POST /cache HTTP/1.1\r\n\r\n", b"HTTP request on the RESP port"),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"HTTP request on the RESP port"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"TLS handshake on a plain RESP port"),
    ],
    ids=[
        "count", "length", "negative", "word", "header", "quotes", "desync", "desync-count",
        "desync-length", "value", "get", "post", "http2", "tls",
    ],
)  # fmt: skip
def test_what_is_not_resp_is_refused_and_closed(ring: Cluster, sent: bytes, words: bytes) -> None:
    begun = time.monotonic()
    reply = exchange(ring.nodes[0]["resp"], b"*1\r\n$4\r\nPING\r\n" + sent)
    assert reply.startswith(b"+PONG\r\n-ERR Protocol error: ")
    assert words in reply
    assert reply.count(b"\r\n") == 2
    assert time.monotonic() - begun < 5


def test_commands_that_make_no_sense_are_refused_and_the_connection_lives(ring: Cluster) -> None:
    with ring.redis(ring.nodes[0]["resp"]) as client:
        client.set("text", "words")
        assert "unknown command" in refusal(client, "FROBNICATE", "a", "b")
        assert "unknown command" in refusal(client, "EVAL\r\n+OK", "1")
        assert "wrong number of arguments" in refusal(client, "GET")
        assert "wrong number of arguments" in refusal(client, "SET", "a")
        assert "wrong number of arguments" in refusal(client, "MSET", "a", "b", "c")
        assert "unknown subcommand" in refusal(client, "CLIENT", "FROBNICATE").lower()
        assert "not an integer" in refusal(client, "INCR", "text")
        assert "not an integer" in refusal(client, "EXPIRE", "text", "soon")
        assert "invalid expire" in refusal(client, "SET", "text", "x", "EX", "0")
        assert "syntax error" in refusal(client, "SET", "text", "x", "EX")
        assert "without MULTI" in refusal(client, "EXEC")
        assert client.get("text") == b"words"


def test_too_large_keys_and_values_are_refused_and_change_nothing(ring: Cluster) -> None:
    with ring.redis(ring.nodes[0]["resp"]) as client:
        for command in (("SET", b"k" * 65_537, b"v"), ("GET", b"k" * 65_537)):
            assert "key" in refusal(client, *command)
        assert client.set(b"k" * 65_536, b"longest") is True
        assert client.get(b"k" * 65_536) == b"longest"
        assert client.set(b"large", b"v" * 8 * MIB) is True
        assert "maximum allowed size" in refusal(client, "APPEND", b"large", b"v")
        assert "maximum allowed size" in refusal(client, "SETRANGE", b"large", 8 * MIB, b"v")
        assert client.strlen(b"large") == 8 * MIB
        client.delete(b"large")


def test_a_pipeline_of_large_values_is_answered(ring: Cluster) -> None:
    """More than any buffer holds: back-pressure, not an error."""
    with ring.redis(ring.nodes[0]["resp"]) as client:
        client.set(b"large", b"v" * MIB)
        pipe = client.pipeline(transaction=False)
        for _ in range(40):
            pipe.get(b"large")
        assert [len(value) for value in pipe.execute()] == [MIB] * 40
        found: Any = client.mget([b"large"] * 20)
        assert [len(value) for value in found] == [MIB] * 20
        assert "exceed" in refusal(client, "MGET", *[b"large"] * 200)
        client.delete(b"large")


def test_a_client_that_never_reads_is_held_back(ring: Cluster) -> None:
    node = ring.nodes[0]
    with ring.redis(node["resp"]) as client, contextlib.ExitStack() as stack:
        client.set(b"large", b"v" * MIB)
        deaf = [stack.enter_context(Wire(node["resp"])) for _ in range(4)]
        asked = b"*2\r\n$3\r\nGET\r\n$5\r\nlarge\r\n" * 2000
        with ThreadPoolExecutor(len(deaf)) as pool:
            taken = list(pool.map(lambda wire: wire.push(asked, 1.0), deaf))
        assert max(taken) < 32 * MIB, "reading stops when nothing is taken"
        slowest_s = 0.0
        for _ in range(50):
            begun = time.monotonic()
            client.ping()
            slowest_s = max(slowest_s, time.monotonic() - begun)
        assert slowest_s < 1
        assert resident_bytes(node["pid"]) < RSS_GROWTH_MAX
        client.delete(b"large")


def test_a_slow_command_ends_with_words_and_an_idle_client_stays(ring: Cluster) -> None:
    address = ring.nodes[0]["resp"]
    with ring.redis(address) as idle, Wire(address) as slow, Wire(address) as steady:
        idle.ping()
        slow.send(b"*2\r\n$3\r\nGET\r\n$9\r\nhalf")
        steady.send(b"*3\r\n$3\r\nSET\r\n$6\r\nsteady\r\n$400000\r\n")
        begun = time.monotonic()
        while time.monotonic() - begun < REQUEST_TIMEOUT_S + 1:
            steady.send(b"v" * 25_000)
            time.sleep(0.75)  # the pace of the client under test
        steady.send(b"v" * 25_000 + b"\r\n")
        assert b"not finished in time" in slow.read_to_end(5)
        assert time.monotonic() - begun < 2 * REQUEST_TIMEOUT_S
        assert idle.ping() is True


def test_a_flood_of_connections_is_told_and_others_go_on(ring: Cluster) -> None:
    address = ring.nodes[1]["resp"]
    where = ("127.0.0.1", port_of(address))
    with ring.redis(address) as early, contextlib.ExitStack() as stack:
        early.ping()
        many = [
            stack.enter_context(socket.create_connection(where, timeout=5))
            for _ in range(CONNECTIONS_MAX + 50)
        ]
        assert many[-1].recv(100) == b"-ERR max number of clients reached\r\n"
        health = f"http://{ring.nodes[1]['http']}/health/live"
        with urllib.request.urlopen(health, timeout=5) as reply:
            assert reply.status == 200, "both doors share the bound, health checks get through"
        begun = time.monotonic()
        assert early.ping() is True
        assert early.set(b"in the flood", b"1")
        assert time.monotonic() - begun < 1
