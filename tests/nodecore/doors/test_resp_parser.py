"""The RESP parser: what it takes, what ends a connection, and that splits change nothing."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from nodecore.doors.resp_exact import parse_integer, split_inline
from nodecore.doors.resp_parser import RespParser


def encode(*words: bytes) -> bytes:
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%b\r\n" % (len(w), w) for w in words)


def parse(*chunks: bytes) -> tuple[list[list[bytes]], str]:
    parser = RespParser()
    commands = [command for chunk in chunks for command in parser.parse(chunk)]
    return commands, parser.error


@pytest.mark.parametrize(
    ("sent", "problem"),
    [
        (b"*3000000000\r\n", "invalid multibulk length"),
        (b"*blabla\r\n", "invalid multibulk length"),
        (b"*3\r\n$3\r\nSET\r\n$1\r\nx\r\nfooz\r\n", "expected '$', got 'f'"),
        (b"*3\r\n$3\r\nSET\r\n$1\r\nx\r\n$-10\r\n", "invalid bulk length"),
        (b"*3\r\n$3\r\nSET\r\n$1\r\nx\r\n$2000000000\r\n", "invalid bulk length"),
        (b"*3\r\n$3\r\nSET\r\n$1\r\nx\r\n$blabla\r\n", "invalid bulk length"),
        (b"*1\r\n*1\r\n$4\r\nPING\r\n", "expected '$', got '*'"),
        (b"*1\r\n:1\r\n", "expected '$', got ':'"),
        (b"*200000000\r\n", "invalid multibulk length"),
        (b'set """test-key""" test-value\r\n', "unbalanced quotes in request"),
        (b"POST / HTTP/1.1\r\n", "HTTP request on the RESP port"),
        (b"Host: 127.0.0.1\r\n", "HTTP request on the RESP port"),
        (b"GET /cache/a HTTP/1.1\r\n", "HTTP request on the RESP port"),
        (b"PRI * HTTP/2.0\r\n", "HTTP request on the RESP port"),
        (b"\x16\x03\x01\x02\x00\x01", "TLS handshake on a plain RESP port"),
    ],
)
def test_protocol_errors_are_worded_like_redis(sent: bytes, problem: str) -> None:
    assert parse(sent)[1] == f"Protocol error: {problem}"
    commands, error = parse(encode(b"PING") + sent)
    assert (commands, error) == ([[b"PING"]], f"Protocol error: {problem}")


@pytest.mark.parametrize("start", [b"\x00", b"*\x00", b"$\x00", b"*1\r\n$\x00"])
def test_floods_without_a_line_end_are_ended(start: bytes) -> None:
    parser = RespParser()
    parser.parse(start)
    for _ in range(200):
        if parser.error:
            break
        assert parser.parse(b"payload" * 500) == []
    assert parser.error.startswith("Protocol error: too big")


@pytest.mark.parametrize("empty", [b"\r\n", b"*0\r\n", b"*-10\r\n", b"*-1\r\n"])
def test_empty_commands_are_skipped(empty: bytes) -> None:
    assert parse(empty + encode(b"PING") + empty + encode(b"PING"))[0] == [[b"PING"]] * 2


def test_inline_commands_mix_with_arrays() -> None:
    commands, error = parse(encode(b"PING") + b"set a 'b c'\r\n" + encode(b"GET", b"a") + b"PING\n")
    assert error == ""
    assert commands == [[b"PING"], [b"set", b"a", b"b c"], [b"GET", b"a"], [b"PING"]]


def test_many_arguments_and_large_values() -> None:
    words = [b"MSET", *[b"x%d" % number for number in range(12_000)]]
    assert parse(encode(*words))[0] == [words]
    value = bytes(range(256)) * 8192
    data = encode(b"SET", b"k", value) + encode(b"PING")
    chunks = [data[at : at + 65536] for at in range(0, len(data), 65536)]
    assert parse(*chunks) == ([[b"SET", b"k", value], [b"PING"]], "")


WORDS = st.lists(
    st.one_of(
        st.binary(max_size=8), st.sampled_from([b"\r\n*1\r\n$", b"\r\n$5\r\n", b"*12345", b"%1"])
    ),
    min_size=1,
    max_size=4,
)
PIECES = st.one_of(
    WORDS.map(lambda words: encode(*words)),
    st.sampled_from(
        [b"PING\r\n", b"\r\n", b"*0\r\n", b":0\r\n", b"~1\r\n$1\r\na\r\n", b"*1\r\n+A\r\n", b"*1\r\n$-1\r\n",
         b">1\r\n$1\r\na\r\n", b"*-1\r\n", b"*2\r\n$1\r\na\r\n:1\r\n", b"*1\r\n$1\r\naXX", b"*99999\r\n"]
    ),
)  # fmt: skip


@settings(max_examples=400, deadline=None)
@given(st.lists(PIECES, max_size=6), st.lists(st.integers(0, 200), max_size=6))
@example([b"*1\r\n$4\r\nPING\r\n", b":0\r\n"], [])
@example([b"*1\r\n$1\r\naXX", b"*1\r\n+A\r\n"], [15])
def test_incremental_equals_one_shot(pieces: list[bytes], cuts: list[int]) -> None:
    data = b"".join(pieces)
    edges = sorted({0, len(data), *[min(cut, len(data)) for cut in cuts]})
    chunks = [data[a:b] for a, b in pairwise(edges)]
    assert parse(*chunks) == parse(data)
    assert parse(*[data[at : at + 1] for at in range(len(data))]) == parse(data)


@given(st.lists(WORDS, max_size=8))
def test_what_is_sent_is_what_is_parsed(commands: list[list[bytes]]) -> None:
    assert parse(b"".join(encode(*words) for words in commands)) == (commands, "")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b"", []),
        (b"  a\tb ", [b"a", b"b"]),
        (rb'"a\x41\n\"" b', [b'aA\n"', b"b"]),
        (rb"'it\'s \n'", [rb"it's \n"]),
        (b'a"b', None),
        (b'"a"b', None),
        (b"'a", None),
        (b'"\\', None),
    ],
)
def test_inline_quoting(line: bytes, words: list[bytes] | None) -> None:
    assert split_inline(line) == words


@pytest.mark.parametrize(
    ("text", "number"),
    [(b"0", 0), (b"-1", -1), (b"9223372036854775807", 2**63 - 1), (b"9223372036854775808", None),
     (b"01", None), (b"+1", None), (b" 1", None), (b"", None), (b"-", None), (b"-0", None)],
)  # fmt: skip
def test_integers_are_strict(text: bytes, number: int | None) -> None:
    assert parse_integer(text) == number
