"""The client against sessions in memory: batching, failing over, three-valued outcomes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
import trio

from nodecore.client import Client, Failed, Refused, Unknown
from nodecore.doors.native import NativeSession
from nodecore.errors import Code
from nodecore.ids import Epoch, Now
from nodecore.placement.topology import Topology
from nodecore.requests import Failed as FailedOutcome
from nodecore.requests import Flag
from tests.nodecore.doors.fakes import START, FakeBackend
from transport.errors import ConnectFailed, ConnectionLost, RemoteError
from transport.messages import ClientGet, ClientRoutes, ClientSet, ErrorReply, Message, Role


class Cluster:
    """Three nodes over one store; each can be down, or lose its replies."""

    def __init__(self) -> None:
        self.backend = FakeBackend()
        self.down: set[str] = set()
        self.lossy: set[str] = set()
        self.received: list[tuple[str, Message]] = []

    @asynccontextmanager
    async def dial(self, address: str) -> AsyncIterator[MemoryLink]:
        await trio.lowlevel.checkpoint()
        if address in self.down:
            raise ConnectFailed(f"nobody listens at {address}")
        yield MemoryLink(self, address)

    def count(self, kind: type[Message]) -> int:
        return sum(isinstance(message, kind) for _, message in self.received)


class FakePending:
    def __init__(self, link: MemoryLink, message: Message) -> None:
        self._link = link
        self._message = message

    async def wait(self, timeout_s: float) -> Message:
        return await self._link.request(self._message)

    def forget(self) -> None:
        """Nothing is kept."""


class MemoryLink:
    def __init__(self, cluster: Cluster, address: str) -> None:
        self._cluster = cluster
        self._address = address
        self._replies: list[Message] = []
        self._session = NativeSession(cluster.backend, self, Role.CLIENT, lambda: None)

    def send(self, message: Message, stream: int = 0) -> bytes:
        self._replies.append(message)
        return b""

    def begin(self, message: Message) -> FakePending:
        return FakePending(self, message)

    async def request(self, message: Message) -> Message:
        cluster = self._cluster
        await trio.lowlevel.checkpoint()
        if self._address in cluster.down:
            raise ConnectionLost("reset by peer")
        cluster.received.append((self._address, message))
        self._session.on_message(1, message, now())
        reply = self._replies.pop()
        if self._address in cluster.lossy and not isinstance(message, ClientRoutes):
            raise ConnectionLost("reset by peer")
        if isinstance(reply, ErrorReply):
            raise RemoteError(reply.code, reply.text, unknown=reply.unknown)
        return reply


def now() -> Now:
    import time

    return Now(START.mono_s, int(time.time() * 1000))


N1, N2, N3 = "127.0.0.1:7101", "127.0.0.1:7102", "127.0.0.1:7103"


async def test_every_call() -> None:
    cluster = Cluster()
    async with Client.connect(N1, dial=cluster.dial) as client:
        await client.set("a", "1")
        assert await client.get("a") == b"1"
        assert await client.get("none") is None
        await client.mset({"b": "2", "c": b"3"}, ttl_s=60)
        assert await client.mget(["a", "b", "c", "d"]) == [b"1", b"2", b"3", None]
        assert await client.incr("a", 4) == 5
        assert await client.append("b", "x") == 2
        assert await client.getset("b", "y") == b"2x"
        assert await client.exists("a", "b", "zz") == 2
        assert await client.expire("a", 100)
        assert not await client.expire("zz", 100)
        entry = await client.get_entry("b")
        assert entry is not None
        version = await client.cas("b", "z", version=entry.version)
        assert version is not None
        assert await client.cas("b", "late", version=entry.version) is None
        assert await client.getdel("b") == b"z"
        assert await client.delete("a", "b", "c") == 2


async def test_each_key_has_an_outcome_of_its_own(autojump_clock: trio.testing.MockClock) -> None:
    cluster = Cluster()
    async with Client.connect([N1, N2], dial=cluster.dial) as client:
        keys = [f"k{number}" for number in range(30)]
        assert set(await client.write_each(keys, keys)) == {None}
        assert await client.read_each([*keys, "none"]) == [*map(str.encode, keys), None]
        groups = client.groups(keys)
        assert sorted(position for group in groups for position in group) == list(range(30))
        assert len(groups) == 3, "one for each node"
        refused = await client.write_each(["a", "b"], ["1", "2"], consistency="all", timeout_s=0)
        assert [type(error) for error in refused] == [Failed, Failed]
        cluster.lossy.update([N1, N2, N3])
        assert all(isinstance(error, Unknown) for error in await client.write_each(keys, keys))
        with pytest.raises(ValueError, match="2 keys and 1 values"):
            await client.write_each(["a", "b"], ["1"])


async def test_concurrent_calls_travel_together() -> None:
    cluster = Cluster()
    async with Client.connect([N1], dial=cluster.dial) as client:
        async with trio.open_nursery() as nursery:
            for number in range(300):
                nursery.start_soon(client.set, f"k{number}", str(number))
        assert cluster.count(ClientSet) <= 6
        results: dict[int, bytes | None] = {}

        async def read(number: int) -> None:
            results[number] = await client.get(f"k{number}")

        async with trio.open_nursery() as nursery:
            for number in range(300):
                nursery.start_soon(read, number)
        assert cluster.count(ClientGet) <= 6
        assert results == {number: str(number).encode() for number in range(300)}


async def test_reads_and_blind_writes_fail_over(autojump_clock: trio.testing.MockClock) -> None:
    cluster = Cluster()
    async with Client.connect([N1, N2], dial=cluster.dial) as client:
        await client.set("foo", "1")
        cluster.down.add(N3)  # the first owner of foo
        assert await client.get("foo") == b"1"
        await client.set("foo", "2")
        assert await client.mget(["foo", "bar"]) == [b"2", None]
        cluster.down.update([N1, N2])
        with pytest.raises(Failed):
            await client.get("foo")
        cluster.down.clear()
        await trio.sleep(3)
        assert await client.get("foo") == b"2"


async def test_a_lost_reply_is_unknown_unless_repeating_is_safe(
    autojump_clock: trio.testing.MockClock,
) -> None:
    cluster = Cluster()
    async with Client.connect(N1, dial=cluster.dial) as client:
        cluster.lossy.update([N1, N2, N3])
        with pytest.raises(Unknown):
            await client.incr("foo")
        assert cluster.backend.store[b"foo"].value == b"1", "it happened once"
        with pytest.raises(Unknown):
            await client.set("foo", "9")
        with pytest.raises(Unknown):
            await client.mset({"foo": "9"})
        cluster.lossy.discard(N1)
        await trio.sleep(3)
        assert await client.delete("foo") in (0, 1)
        await client.set("foo", "3")
        assert await client.get("foo") == b"3"


async def test_refusals_are_not_repeated() -> None:
    cluster = Cluster()
    async with Client.connect(N1, dial=cluster.dial) as client:
        await client.set("foo", "text")
        before = len(cluster.received)
        with pytest.raises(Refused):
            await client.incr("foo")
        assert len(cluster.received) == before + 1
        with pytest.raises(Refused):
            await client.get("k" * 70_000)
        with pytest.raises(ValueError, match="consistency"):
            await client.get("a", consistency="maybe")
        with pytest.raises(ValueError, match="ttl_s"):
            await client.set("a", "1", ttl_s=0)


async def test_retryable_failures_are_repeated(autojump_clock: trio.testing.MockClock) -> None:
    cluster = Cluster()
    refusals = [3]

    def fail(request: object) -> FailedOutcome | None:
        refusals[0] -= 1
        return FailedOutcome(Code.NOT_READY, "starting") if refusals[0] >= 0 else None

    async with Client.connect(N1, dial=cluster.dial) as client:
        cluster.backend.fail = fail
        assert await client.incr("foo") == 1
        refusals[0] = 2
        assert await client.get("foo") == b"1"


async def test_a_newer_epoch_refreshes_the_routes(autojump_clock: trio.testing.MockClock) -> None:
    cluster = Cluster()
    async with Client.connect(N1, dial=cluster.dial) as client:
        before = cluster.count(ClientRoutes)
        old = cluster.backend.topology_
        cluster.backend.topology_ = Topology(old.cluster_id, Epoch(8), old.members)
        await client.get("foo")
        await trio.sleep(1)
        assert cluster.count(ClientRoutes) == before + 1


async def test_connecting_to_nobody_fails(autojump_clock: trio.testing.MockClock) -> None:
    cluster = Cluster()
    cluster.down.update([N1, N2])
    with pytest.raises(Failed, match="no node answers"):
        async with Client.connect([N1, N2], dial=cluster.dial):
            raise AssertionError("never entered")


async def test_what_the_block_raises_passes_through() -> None:
    cluster = Cluster()
    with pytest.raises(ZeroDivisionError):
        async with Client.connect(N1, dial=cluster.dial):
            raise ZeroDivisionError


def test_importing_the_package_names_the_client_lazily() -> None:
    import nodecore.client as package

    found: Callable[..., object] = package.Client
    assert found is Client
    with pytest.raises(AttributeError):
        package.Nothing  # noqa: B018


async def test_levels_travel_with_every_call_and_quality_is_counted() -> None:
    cluster = Cluster()
    backend = cluster.backend
    async with Client.connect(N1, dial=cluster.dial) as client:
        await client.set("a", "1", consistency="one")
        await client.get("a", consistency="quorum")
        await client.mset({"a": "1"}, consistency="all")
        await client.mget(["a"], consistency="all")
        await client.incr("a", consistency="quorum")
        await client.delete("a", consistency="all")
        levels = [submitted.level.name for submitted in backend.submitted]  # type: ignore[union-attr]
        assert levels == ["ONE", "QUORUM", "ALL", "ALL", "QUORUM", "ALL"]
        quality = client.quality
        assert (quality.sloppy, quality.degraded, quality.copies_least) == (0, 0, 2)
        backend.flags = Flag.SLOPPY | Flag.DEGRADED
        await client.set("a", "1")
        await client.incr("a")
        assert await client.get("none") is None
        assert (quality.sloppy, quality.degraded, quality.stale) == (3, 3, 0)
