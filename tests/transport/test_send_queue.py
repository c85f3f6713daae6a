"""Fair between streams, in order within each, bounded."""

from __future__ import annotations

import pytest

from transport.errors import LinkOverloaded
from transport.send_queue import SendQueue


def test_a_small_message_waits_for_one_chunk_only() -> None:
    queue = SendQueue()
    queue.push(1, [b"a1", b"a2", b"a3"])
    queue.push(3, [b"b1", b"b2"])
    queue.push(5, [b"c"])
    queue.push(3, [b"d"])
    assert [queue.take(1) for _ in range(7)] == [b"a1", b"b1", b"c", b"a2", b"b2", b"a3", b"d"]
    assert not queue
    assert queue.queued_bytes == 0
    assert queue.take(100) == b""


def test_frames_are_joined_up_to_a_size() -> None:
    queue = SendQueue()
    for stream in range(5):
        queue.push(stream, [b"xxxx"])
    assert queue.take(8) == b"x" * 8
    assert queue.take(9) == b"x" * 12


def test_what_does_not_fit_is_refused_whole() -> None:
    queue = SendQueue(bytes_max=10)
    queue.push(1, [b"x" * 20])
    with pytest.raises(LinkOverloaded, match="20 bytes wait"):
        queue.push(3, [b"y"])
    queue.push_own(b"pong")
    assert queue.take(100) == b"x" * 20 + b"pong"
    queue.push(3, [b"y"])
    assert queue.take(100) == b"y"


def test_last_words_come_last() -> None:
    queue = SendQueue()
    queue.push(1, [b"a1", b"a2"])
    queue.push_last(b"bye")
    assert [queue.take(1), queue.take(1)] == [b"a1", b"a2bye"]
    assert not queue
    queue.push_last(b"bye")
    assert queue
    assert queue.take(1) == b"bye"
