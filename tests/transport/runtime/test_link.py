"""Links against a small real node on loopback: requests, failures, subscriptions, reconnecting."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from random import Random

import pytest
import trio

from transport import limits
from transport.errors import (
    ConnectFailed,
    ConnectionClosed,
    ConnectionLost,
    ErrorCode,
    LinkOverloaded,
    LinkRefused,
    LocalProtocolError,
    NotConnected,
    RemoteError,
    RemoteProtocolError,
    RequestTimedOut,
)
from transport.handshake import Credentials
from transport.identity import Identity
from transport.messages import (
    Admin,
    AdminReply,
    ClientGet,
    ClientValues,
    ErrorReply,
    Message,
    Role,
    StatisticsReport,
    Subscribe,
)
from transport.protocol import LinkProtocol, Received
from transport.runtime.link import Link, LinkOptions, open_link
from transport.runtime.reconnecting import open_reconnecting_link

NODE = Identity(cluster_id="demo", node_id="n1", incarnation=1)
SECRET = b"a secret of enough bytes"


class Node:
    """Answers requests by ``answer``: messages to send back on the same stream."""

    def __init__(self, answer: Callable[[Message], list[Message]]) -> None:
        self.answer = answer
        self.secret: bytes | None = None
        self.received: list[Message] = []
        self.reads: list[int] = []
        """Requests that arrived with one read."""
        self.address = ""
        self.streams: list[trio.SocketStream] = []
        self.raw: Callable[[trio.SocketStream], Awaitable[None]] | None = None

    async def serve(self, stream: trio.SocketStream) -> None:
        self.streams.append(stream)
        if self.raw is not None:
            await self.raw(stream)
            return
        protocol = LinkProtocol.listener(
            Credentials(NODE, Random(len(self.streams)).randbytes(32), self.secret),
            trio.current_time(),
        )
        try:
            while not protocol.ended:
                data = await stream.receive_some(1 << 16)
                if not data:
                    return
                events = protocol.receive_data(bytes(data), trio.current_time())
                output = protocol.take_output()
                count = 0
                for event in events:
                    if isinstance(event, Received):
                        count += 1
                        self.received.append(event.message)
                        for reply in self.answer(event.message) if protocol.established else []:
                            output += protocol.send(reply, event.stream)
                if count:
                    self.reads.append(count)
                await stream.send_all(output)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            return
        finally:
            with trio.CancelScope(shield=True):
                await stream.aclose()


def echo(message: Message) -> list[Message]:
    """ClientGet is answered by its keys as values; admin verbs say what happens."""
    if isinstance(message, ClientGet):
        return [ClientValues(1, 0, message.keys)]
    if isinstance(message, Subscribe):
        return [StatisticsReport(index) for index in range(message.interval_ms)]
    if isinstance(message, Admin) and message.verb == "fail":
        return [ErrorReply(12, "busy", unknown=True, retry_after_ms=50)]
    if isinstance(message, Admin) and message.verb == "twice":
        return [AdminReply(1), AdminReply(2)]
    return []


@asynccontextmanager
async def running(answer: Callable[[Message], list[Message]] = echo) -> AsyncIterator[Node]:
    node = Node(answer)
    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
            port = listeners[0].socket.getsockname()[1]
            node.address = f"127.0.0.1:{port}"
            nursery.start_soon(trio.serve_listeners, node.serve, listeners)
            yield node
            nursery.cancel_scope.cancel()


CONSOLE = LinkOptions(role=Role.CONSOLE)


async def test_requests_are_answered() -> None:
    async with running() as node:
        async with open_link(node.address) as link:
            assert link.peer.node_id == "n1"
            for index in range(20):
                reply = await link.request(ClientGet([index]), 5.0)
                assert reply == ClientValues(1, 0, [index])
        assert link.end is not None
        with pytest.raises(ConnectionClosed):
            await link.request(ClientGet([]), 5.0)


async def test_requests_of_one_tick_leave_in_one_send() -> None:
    async with running() as node:
        async with open_link(node.address) as link:
            await link.request(ClientGet([]), 5.0)
            before = link.sends
            answers: dict[int, Message] = {}

            async def ask(index: int) -> None:
                answers[index] = await link.request(ClientGet([index]), 5.0)

            async with trio.open_nursery() as nursery:
                for index in range(100):
                    nursery.start_soon(ask, index)
            assert answers == {index: ClientValues(1, 0, [index]) for index in range(100)}
            assert link.sends == before + 1
            assert sum(node.reads) == 101


async def test_a_large_value_travels_both_ways_among_small_ones() -> None:
    value = bytes(3_000_000)
    async with running() as node:
        async with open_link(node.address) as link:
            async with trio.open_nursery() as nursery:

                async def large() -> None:
                    assert await link.request(ClientGet([value]), 10.0) == ClientValues(
                        1, 0, [value]
                    )

                nursery.start_soon(large)
                for _ in range(20):
                    await link.request(ClientGet([b"small"]), 10.0)


async def test_error_replies_are_raised() -> None:
    async with running() as node, open_link(node.address, CONSOLE) as link:
        with pytest.raises(RemoteError, match="busy") as caught:
            await link.request(Admin("fail", {}), 5.0)
        assert (caught.value.code, caught.value.unknown) == (12, True)
        assert caught.value.retry_after_ms == 50


async def test_no_answer_in_time_is_indefinite_and_late_answers_are_dropped() -> None:
    async with running() as node, open_link(node.address, CONSOLE) as link:
        with pytest.raises(RequestTimedOut, match="Admin") as caught:
            await link.request(Admin("silence", {}), 0.01)
        assert not caught.value.definite
        assert await link.request(Admin("twice", {}), 5.0) == AdminReply(1)
        await link.request(ClientGet([]), 5.0)
        assert link.unclaimed == 1


async def test_a_cancelled_request_leaves_the_link_whole() -> None:
    async with running() as node, open_link(node.address) as link:
        with trio.CancelScope() as scope:
            scope.cancel()
            await link.request(ClientGet([bytes(1_000_000)]), 5.0)
        assert await link.request(ClientGet([b"k"]), 5.0) == ClientValues(1, 0, [b"k"])


async def test_a_lost_connection_fails_what_is_in_flight_and_what_follows() -> None:
    async with running() as node, open_link(node.address, CONSOLE) as link:
        errors: list[ConnectionLost] = []

        async def ask() -> None:
            with pytest.raises(ConnectionLost) as caught:
                await link.request(Admin("silence", {}), 10.0)
            errors.append(caught.value)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask)
            nursery.start_soon(ask)
            while len(node.received) < 2:
                await trio.lowlevel.checkpoint()
            await node.streams[0].aclose()
        assert len(errors) == 2
        assert not errors[0].definite
        assert link.ended.is_set()
        with pytest.raises(NotConnected) as caught:
            await link.request(ClientGet([]), 1.0)
        assert caught.value.definite


async def test_bad_requests_are_refused_and_harm_nobody() -> None:
    async with running() as node, open_link(node.address) as link:
        with pytest.raises(LocalProtocolError):
            await link.request(ClientGet([object()]), 1.0)
        with pytest.raises(LocalProtocolError, match="exceeds the limit"):
            await link.request(ClientGet([bytes(limits.MESSAGE_BYTES_MAX)]), 1.0)
        await link.request(ClientGet([]), 1.0)


async def test_too_many_unanswered_requests_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "REQUESTS_IN_FLIGHT_MAX", 3)
    async with running() as node, open_link(node.address, CONSOLE) as link:
        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(link.request, Admin("silence", {}), math.inf)
            while len(node.received) < 3:
                await trio.lowlevel.checkpoint()
            with pytest.raises(LinkOverloaded, match="3 requests"):
                await link.request(ClientGet([]), 1.0)
            nursery.cancel_scope.cancel()
        await link.request(ClientGet([]), 1.0)


async def test_subscriptions_deliver_in_order_and_drop_the_oldest() -> None:
    count = limits.STREAM_BACKLOG_MAX + 10
    async with running() as node, open_link(node.address, CONSOLE) as link:
        subscription = link.stream(Subscribe(interval_ms=count, events_after=-1))
        await link.request(ClientGet([]), 5.0)
        seen = []
        async for message in subscription:
            assert isinstance(message, StatisticsReport)
            seen.append(message.statistics)
            if message.statistics == count - 1:
                subscription.close()
        assert seen == list(range(10, count))
        assert subscription.dropped == 10


async def test_subscriptions_end_with_their_link() -> None:
    async with running() as node, open_link(node.address, CONSOLE) as link:
        subscription = link.stream(Subscribe(interval_ms=1, events_after=-1))
        assert await anext(subscription) == StatisticsReport(0)
        await node.streams[0].aclose()
        with pytest.raises(ConnectionLost):
            await anext(subscription)


async def test_a_refused_subscription_raises() -> None:
    def refuse(message: Message) -> list[Message]:
        return [ErrorReply(15, "not you")]

    async with running(refuse) as node, open_link(node.address, CONSOLE) as link:
        with pytest.raises(RemoteError, match="not you"):
            await anext(link.stream(Subscribe(1000, -1)))


async def test_unasked_messages_reach_the_callback() -> None:
    got: list[tuple[int, Message]] = []
    async with running() as node:
        async with open_link(
            node.address, CONSOLE, on_message=lambda stream, message: got.append((stream, message))
        ) as link:
            link.notify(Admin("twice", {}))
            await link.request(ClientGet([]), 5.0)
    assert got == [(0, AdminReply(1)), (0, AdminReply(2))]


async def test_errors_of_the_block_come_out_as_they_are() -> None:
    async with running() as node:
        with pytest.raises(ValueError, match="mine"):
            async with open_link(node.address):
                raise ValueError("mine")


async def test_refusals_say_why() -> None:
    async with running() as node:
        node.secret = SECRET
        with pytest.raises(LinkRefused) as caught:
            async with open_link(node.address):
                pytest.fail("established")
        assert caught.value.code is ErrorCode.BAD_PROOF
        async with open_link(node.address, LinkOptions(secret=SECRET)) as link:
            assert link.peer.authenticated
        elsewhere = LinkOptions(identity=Identity(cluster_id="prod"))
        with pytest.raises(LinkRefused, match="this is cluster 'demo'"):
            async with open_link(node.address, elsewhere):
                pytest.fail("established")


async def test_what_does_not_speak_the_protocol_is_noticed() -> None:
    async with running() as node:

        async def http(stream: trio.SocketStream) -> None:
            await stream.send_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            await stream.receive_some()

        async def hang_up(stream: trio.SocketStream) -> None:
            await stream.aclose()

        async def silence(stream: trio.SocketStream) -> None:
            await trio.sleep_forever()

        node.raw = http
        with pytest.raises(RemoteProtocolError):
            async with open_link(node.address):
                pytest.fail("established")
        node.raw = hang_up
        with pytest.raises(ConnectFailed, match="handshake"):
            async with open_link(node.address):
                pytest.fail("established")
        node.raw = silence
        with pytest.raises(ConnectFailed, match="no answer within"):
            async with open_link(node.address, connect_timeout_s=0.05):
                pytest.fail("established")


async def test_nobody_listens() -> None:
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listeners[0].socket.getsockname()[1]
    await listeners[0].aclose()
    with pytest.raises(ConnectFailed, match="refused"):
        async with open_link(f"127.0.0.1:{port}"):
            pytest.fail("established")
    with pytest.raises(LocalProtocolError):
        async with open_link("nowhere"):
            pytest.fail("established")


async def test_goodbye_is_said_after_what_was_queued() -> None:
    async with running() as node:
        async with open_link(node.address) as link:
            for index in range(50):
                link.notify(ClientGet([index]))
        while len(node.received) < 50:
            await trio.lowlevel.checkpoint()


async def test_a_reconnecting_link_comes_back() -> None:
    changes: list[bool] = []
    async with running() as node:
        async with open_reconnecting_link(
            node.address,
            CONSOLE,
            rng=Random(1),
            on_change=lambda link, error: changes.append(link is not None),
        ) as reconnecting:
            first = await reconnecting.wait_connected(5.0)
            await reconnecting.request(ClientGet([]), 5.0)
            await node.streams[0].aclose()
            await first.ended.wait()
            while reconnecting.link is first:
                await trio.lowlevel.checkpoint()
            assert reconnecting.error is not None
            assert await reconnecting.request(ClientGet([1]), 5.0) == ClientValues(1, 0, [1])
            second: Link | None = reconnecting.link
            assert second is not first
            assert reconnecting.connects == 2
            with pytest.raises(RequestTimedOut):
                await reconnecting.request(Admin("silence", {}), 0.01)
    assert changes[:3] == [True, False, True]


async def test_a_reconnecting_link_says_why_there_is_none() -> None:
    async with running() as node:
        node.secret = SECRET
        async with open_reconnecting_link(node.address, rng=Random(1)) as reconnecting:
            with pytest.raises(NotConnected, match="secret"):
                await reconnecting.request(ClientGet([]), 0.1)
            with pytest.raises(ValueError, match="mine"):
                async with open_reconnecting_link(node.address, rng=Random(1)):
                    raise ValueError("mine")
        with pytest.raises(LocalProtocolError):
            async with open_reconnecting_link("nowhere", rng=Random(1)):
                pytest.fail("opened")


async def test_a_silent_node_is_given_up(autojump_clock: trio.testing.MockClock) -> None:
    """Virtual time over a memory stream: pings go out, nothing comes back."""
    ours, theirs = trio.testing.memory_stream_pair()
    node = LinkProtocol.listener(Credentials(NODE, bytes(32)), trio.current_time())
    dialler = LinkProtocol.dialler(
        Credentials(Identity(), bytes([1]) * 32), Role.CLIENT, trio.current_time()
    )
    node.receive_data(dialler.initial_bytes(), trio.current_time())
    dialler.receive_data(node.take_output(), trio.current_time())
    assert dialler.peer is not None
    link = Link(ours, dialler, dialler.peer, None)
    started_s = trio.current_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(link.run)
        with pytest.raises(ConnectionLost, match="no sign of life"):
            await link.request(ClientGet([]), math.inf)
        nursery.cancel_scope.cancel()
    waited_s = trio.current_time() - started_s
    assert waited_s == pytest.approx(limits.PING_INTERVAL_S + limits.PONG_TIMEOUT_S, abs=5.1)
    await theirs.aclose()
