"""Random command sequences against redis-server and against a session: equal replies, byte for byte."""

from __future__ import annotations

import random
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import hiredis
import pytest

from nodecore.doors.resp import RespDoor, RespSession
from nodecore.ids import Now
from tests.nodecore.doors.fakes import FakeBackend

pytestmark = pytest.mark.external("redis-server")

INTEGERS = (
    "0",
    "1",
    "-1",
    "7",
    "-20",
    "9223372036854775807",
    "-9223372036854775808",
    "x",
    "01",
    "1.5",
    "",
)
FLOATS = ("1.5", "-0.25", "3", "1e3", "abc", "0.1", " 1")
VALUES = ("", "a", "10", "-5", "hello", "9223372036854775806", "3.0", "abc", "\r\n", "12 ", "1.25")
GETEX_OPTIONS: tuple[tuple[str, ...], ...] = (
    (), ("PERSIST",), ("EX", "100"), ("PX", "99999"), ("EXAT", "99999999999"), ("NX",), ("EX",), ("PERSIST", "1"),
)  # fmt: skip
KEYS = ("k1", "k2", "k3")


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[socket.socket]:
    path = tmp_path / "redis.sock"
    process = subprocess.Popen(
        [
            "redis-server",
            "--port",
            "0",
            "--unixsocket",
            str(path),
            "--save",
            "",
            "--appendonly",
            "no",
        ],
        stdout=subprocess.DEVNULL,
        cwd=tmp_path,
    )
    client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    client.settimeout(5)
    try:
        for _ in range(200):
            try:
                client.connect(str(path))
                break
            except (FileNotFoundError, ConnectionRefusedError):
                time.sleep(0.02)
        yield client
    finally:
        client.close()
        process.kill()
        process.wait(10)


def random_command(rng: random.Random) -> list[str]:
    key, value = rng.choice(KEYS), rng.choice(VALUES)
    integer = rng.choice(INTEGERS)
    options = rng.choices(
        ["NX", "XX", "GET", "KEEPTTL", "EX", "100", "PX", "100000", "EXAT", "nope", "0", "-1"],
        k=rng.choice([0, 0, 1, 1, 2, 3]),
    )
    return rng.choice(
        [
            ["GET", key], ["SET", key, value, *options], ["SET", key, value], ["SETNX", key, value],
            ["SETEX", key, rng.choice(["100", "0", "-5", "x", "9223372036854775807"]), value],
            ["PSETEX", key, rng.choice(["100000", "0", "x"]), value], ["GETSET", key, value], ["GETDEL", key],
            ["GETEX", key, *rng.choice(GETEX_OPTIONS)], ["APPEND", key, value], ["STRLEN", key],
            ["GETRANGE", key, integer, rng.choice(INTEGERS)], ["SUBSTR", key, "0", "2"],
            ["SETRANGE", key, rng.choice(["0", "3", "-1", "x"]), value],
            ["INCR", key], ["DECR", key], ["INCRBY", key, integer], ["DECRBY", key, integer],
            ["INCRBYFLOAT", key, rng.choice(FLOATS)], ["MGET", *KEYS], ["MSET", "k1", value, "k2", integer],
            ["MSET", "k1", value, "k2"], ["DEL", key, rng.choice(KEYS)], ["UNLINK", key], ["EXISTS", key, key],
            ["TOUCH", key], ["EXPIRE", key, rng.choice(["100", "-1", "x", "9223372036854775807"])],
            ["EXPIRE", key, "100", rng.choice(["NX", "XX", "GT", "LT", "ZZ"])], ["EXPIRE", key, "5", "NX", "XX"],
            ["EXPIREAT", key, rng.choice(["99999999999", "1", "x"])], ["TTL", key], ["PERSIST", key],
            ["EXPIRETIME", key] if rng.random() < 0.1 else ["TYPE", key], ["DBSIZE"], ["PING"], ["PING", "a"], ["ECHO", value],
            ["PING", "a", "b"], ["NOPE", "a", value], ["GET"], ["GET", "a", "b"], ["FLUSHALL", rng.choice(["SYNC", "bad"])],
            ["SELECT", rng.choice(["0", "x", "99"])], ["CLIENT", "GETNAME"], ["CLIENT", "SETNAME", rng.choice(["me", "a b", ""])],
            ["MULTI"], ["EXEC"], ["EXEC"], ["DISCARD"], ["WATCH", key], ["UNWATCH"], ["SCAN", "bad"],
            ["SCAN", "0", "MATCH", "none*", "COUNT", rng.choice(["0", "x", "1000"])], ["CLIENT", "NOPE"],
            ["HELLO", rng.choice(["9", "x"])], ["TYPE", key], ["HELLO", "2", "BAD"], ["AUTH", "x"],
        ]
    )  # fmt: skip


def encode(words: list[str]) -> bytes:
    parts = [word.encode() for word in words]
    return b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%b\r\n" % (len(p), p) for p in parts)


def now() -> Now:
    return Now(time.monotonic(), int(time.time() * 1000))


def ask_redis(client: socket.socket, data: bytes) -> bytes:
    """One reply, raw: the reader only tells when it is complete."""
    client.sendall(data)
    reader = hiredis.Reader(notEnoughData=...)
    raw = b""
    while True:
        chunk = client.recv(65536)
        assert chunk, "redis-server closed the connection"
        raw += chunk
        reader.feed(chunk)
        if reader.gets() is not ...:
            return raw


def one_slot(session: RespSession) -> bool:
    """EXEC over several slots is refused here and allowed by a single redis-server."""
    transaction = session.connection.transaction
    if transaction is None:
        return True
    keys = {key for command, words in transaction.queued for key in command.keys(words)}
    return len(keys | set(session.connection.watched)) <= 1


def plain_number(session: RespSession, key: str) -> bool:
    if session.connection.transaction is not None:
        return False
    backend = session.connection.door.backend
    assert isinstance(backend, FakeBackend)
    value = backend.live_value(key.encode(), now())
    return value is None or len(value.value) < 4


def exists(session: RespSession, key: str) -> bool:
    backend = session.connection.door.backend
    assert isinstance(backend, FakeBackend)
    return backend.live_value(key.encode(), now()) is not None


@pytest.mark.parametrize("seed", range(4))
def test_replies_equal_those_of_redis_server(redis: socket.socket, seed: int) -> None:
    rng = random.Random(seed)
    session = RespDoor(FakeBackend(), resp_cluster="proxy").connect(lambda: None)
    trace: list[list[str]] = []
    for _ in range(2500):
        words = random_command(rng)
        if words[0] == "EXEC" and not one_slot(session):
            words = ["DISCARD"]
        if words[0] == "INCRBYFLOAT" and not plain_number(session, words[1]):
            # The long double of redis-server shows in longer sums; the product computes in decimals.
            words = ["TYPE", words[1]]
        if words[0] == "WATCH" and not exists(session, words[1]):
            # Set and deleted again, an absent key is absent with the same (no) version.
            words = ["PING"]
        trace.append(words)
        data = encode(words)
        theirs = ask_redis(redis, data)
        session.receive(data, now())
        ours = session.take_output()
        assert ours == theirs, trace[-12:]


def test_protocol_errors_equal_those_of_redis_server(redis: socket.socket) -> None:
    address = redis.getpeername()
    for sent in (
        b"*3000000000\r\n", b"*x\r\n", b"*2\r\n$3\r\nGET\r\nfoo\r\n", b"*1\r\n$-5\r\n", b"*1\r\n$2000000000\r\n",
        b'SET "a\r\n', b"*1\r\n$x\r\n", b"\x00" * 70_000, b"*" + b"1" * 70_000, b"*1\r\n$" + b"1" * 70_000,
    ):  # fmt: skip
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
            client.settimeout(5)
            client.connect(address)
            client.sendall(sent)
            theirs = b""
            while chunk := client.recv(65536):
                theirs += chunk
        session = RespDoor(FakeBackend()).connect(lambda: None)
        session.receive(sent, now())
        assert session.take_output() == theirs, sent[:40]
        assert session.closing
