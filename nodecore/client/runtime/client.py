"""The Python client under trio.

``async with Client.connect("host:7101") as client`` gives an object that any number of tasks may
use. Single gets and sets that are called within one scheduler tick travel together. Every call ends
within its ``timeout_s``; failures are ``Failed``, ``Refused`` (asking again is pointless) and
``Unknown`` (it may have happened).
"""

from __future__ import annotations

import random
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Final, cast, final

import trio

from nodecore.client.arguments import Text, level_of, many_keys, many_values, one_key, one_value
from nodecore.client.batching import PLAIN_RESULTS, Batch, Batches
from nodecore.client.errors import ClientError, Failed, Unknown
from nodecore.client.quality import AnswerQuality
from nodecore.client.routing import Router
from nodecore.client.runtime.calls import Calls, Results
from nodecore.client.runtime.pool import Dial, NodeLink, Pool
from nodecore.errors import Code
from nodecore.ids import NO_VERSION, Version
from nodecore.requests import Applied, Change, Read, Update, Value
from transport.messages import Role
from transport.runtime.link import LinkOptions, open_link

TIMEOUT_S: Final = 5.0
"""Default of every call: two tries at nodes that answer with their own operation timeout."""
REFRESH_TIMEOUT_S: Final = 2.0
REFRESH_PAUSE_S: Final = 0.2
"""At most five route requests a second, however many calls notice a change."""


def _expires_ms(ttl_s: float | None) -> int:
    if ttl_s is None:
        return 0
    if ttl_s <= 0:
        raise ValueError(f"ttl_s must be above 0, not {ttl_s}")
    return int(time.time() * 1000) + max(1, round(ttl_s * 1000))


@final
class _Waiter:
    """A single call that waits for its batch."""

    __slots__ = ("done", "result")

    def __init__(self) -> None:
        self.done = trio.Event()
        self.result: bytes | ClientError | None = None


@final
class Client:
    """A connection to a cluster, made by :meth:`connect`."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls
        self._batches: Batches[_Waiter] = Batches()
        self._work = trio.Event()

    @classmethod
    def connect(
        cls,
        addresses: str | Sequence[str],
        *,
        secret: bytes | None = None,
        timeout_s: float = TIMEOUT_S,
        dial: Dial | None = None,
    ) -> AbstractAsyncContextManager[Client]:
        """Connect to a cluster by the native address of one or more of its nodes.

        Args:
            addresses: ``host:port``, or several.
            secret: the cluster's secret, when it has one.
            timeout_s: for the first route table.
            dial: opens links; for tests and for other transports.

        Raises:
            Failed: no node answers.
        """
        seeds = [addresses] if isinstance(addresses, str) else list(addresses)
        return cls._run(seeds, dial or _dialler(secret), timeout_s)

    @classmethod
    @asynccontextmanager
    async def _run(
        cls, seeds: Sequence[str], dial: Dial, timeout_s: float
    ) -> AsyncIterator[Client]:
        failure: Exception | None = None
        async with trio.open_nursery() as nursery:
            calls = Calls(Router(), Pool(nursery, dial), seeds, random.Random())
            client = cls(calls)
            try:
                await calls.refresh(timeout_s)
                nursery.start_soon(client._flush_forever, nursery)
                nursery.start_soon(client._refresh_forever)
                yield client
            except Exception as error:
                # Kept out of the nursery, which would wrap it into a group.
                failure = error
            nursery.cancel_scope.cancel()
        if failure is not None:
            raise failure

    @property
    def quality(self) -> AnswerQuality:
        """How good the answers were so far: sloppy, degraded, stale, fewest copies."""
        return self._calls.quality

    # --- background ----------------------------------------------------------------------------------

    async def _flush_forever(self, nursery: trio.Nursery) -> None:
        while True:
            await self._work.wait()
            self._work = trio.Event()
            # Let every task that runs in this tick add its call.
            await trio.lowlevel.checkpoint()
            for batch in self._batches.take():
                nursery.start_soon(self._send, batch)

    async def _send(self, batch: Batch[_Waiter]) -> None:
        if batch.values:
            results = await self._calls.write(
                batch.keys, batch.values, batch.expires_ms, batch.level, TIMEOUT_S
            )
        else:
            results = await self._calls.read(batch.keys, batch.level, TIMEOUT_S)
        for waiter, result in zip(batch.tokens, results, strict=True):
            waiter.result = result
            waiter.done.set()

    async def _refresh_forever(self) -> None:
        while True:
            await self._calls.refresh_wanted.wait()
            try:
                await self._calls.refresh(REFRESH_TIMEOUT_S)
            except Failed:
                # The old routes stay; the next call that fails asks again.
                self._calls.refresh_wanted.set()
            await trio.sleep(REFRESH_PAUSE_S)

    async def _wait(self, waiter: _Waiter, timeout_s: float, writes: bool) -> bytes | None:
        self._work.set()
        with trio.move_on_after(timeout_s):
            await waiter.done.wait()
        if not waiter.done.is_set():
            text = f"no answer within {timeout_s:g} s"
            raise (Unknown if writes else Failed)(Code.TIMED_OUT, text)
        if isinstance(waiter.result, ClientError):
            raise waiter.result
        return waiter.result

    # --- reading -------------------------------------------------------------------------------------

    async def get(
        self, key: Text, *, consistency: str = "default", timeout_s: float = TIMEOUT_S
    ) -> bytes | None:
        """The value of a key, None when there is none."""
        waiter = _Waiter()
        self._batches.read(one_key(key), level_of(consistency), waiter)
        return await self._wait(waiter, timeout_s, writes=False)

    async def mget(
        self,
        keys: Sequence[Text],
        *,
        consistency: str = "default",
        timeout_s: float = TIMEOUT_S,
    ) -> list[bytes | None]:
        """The values of keys, in their order. Raises when any of them could not be read."""
        results = await self.read_each(keys, consistency=consistency, timeout_s=timeout_s)
        if not PLAIN_RESULTS.issuperset(map(type, results)):
            raise next(result for result in results if isinstance(result, ClientError))
        return cast("list[bytes | None]", results)

    def groups(self, keys: Sequence[Text]) -> list[list[int]]:
        """Positions of keys by the node that is asked for them. Calls made apart for each group do
        not wait for one another's nodes.
        """
        found = self._calls.router.group(many_keys(keys), trio.current_time())
        return [positions for _, positions in found] or [list(range(len(keys)))]

    async def read_each(
        self,
        keys: Sequence[Text],
        *,
        consistency: str = "default",
        timeout_s: float = TIMEOUT_S,
    ) -> Results:
        """Per key its value, None when there is none, or the error that it met."""
        return await self._calls.read(many_keys(keys), level_of(consistency), timeout_s)

    async def get_entry(
        self, key: Text, *, consistency: str = "default", timeout_s: float = TIMEOUT_S
    ) -> Value | None:
        """Value, version and expiry of a key; the version is what :meth:`cas` takes."""
        encoded = one_key(key)
        request = Read((encoded,), level_of(consistency))
        result = await self._calls.execute(encoded, request, timeout_s, idempotent=True)
        entry = result[0] if isinstance(result, list) and result else None
        if entry is None or isinstance(entry, Value):
            return entry
        text = getattr(entry, "text", "unexpected answer")
        raise Failed(getattr(entry, "code", Code.INTERNAL), text)

    async def exists(self, *keys: Text, timeout_s: float = TIMEOUT_S) -> int:
        """How many of the keys exist."""
        return sum(value is not None for value in await self.mget(keys, timeout_s=timeout_s))

    # --- writing -------------------------------------------------------------------------------------

    async def set(
        self,
        key: Text,
        value: Text,
        *,
        ttl_s: float | None = None,
        consistency: str = "default",
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        """Write a key."""
        waiter = _Waiter()
        level = level_of(consistency)
        self._batches.write(one_key(key), one_value(value), _expires_ms(ttl_s), level, waiter)
        await self._wait(waiter, timeout_s, writes=True)

    async def mset(
        self,
        entries: Mapping[Text, Text] | Mapping[str, Text] | Mapping[bytes, Text],
        *,
        ttl_s: float | None = None,
        consistency: str = "default",
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        """Write keys. Raises the gravest failure: then some may be written."""
        results = await self.write_each(
            list(entries),
            list(entries.values()),
            ttl_s=ttl_s,
            consistency=consistency,
            timeout_s=timeout_s,
        )
        if not PLAIN_RESULTS.issuperset(map(type, results)):
            errors = [result for result in results if isinstance(result, ClientError)]
            raise next((error for error in errors if isinstance(error, Unknown)), errors[0])

    async def write_each(
        self,
        keys: Sequence[Text],
        values: Sequence[Text],
        *,
        ttl_s: float | None = None,
        consistency: str = "default",
        timeout_s: float = TIMEOUT_S,
    ) -> Results:
        """Write keys; per key None, or the error that it met. Of a key that is given twice the last
        value remains.
        """
        if len(keys) != len(values):
            raise ValueError(f"{len(keys)} keys and {len(values)} values")
        level, expires_ms = level_of(consistency), _expires_ms(ttl_s)
        return await self._calls.write(
            many_keys(keys), many_values(values), expires_ms, level, timeout_s
        )

    async def _update(
        self,
        key: Text,
        change: Change,
        arguments: tuple[bytes | int, ...],
        options: tuple[str, float],
        *,
        idempotent: bool = False,
    ) -> Applied:
        encoded = one_key(key)
        consistency, timeout_s = options
        request = Update(encoded, change, arguments, level_of(consistency))
        result = await self._calls.execute(encoded, request, timeout_s, idempotent=idempotent)
        if not isinstance(result, Applied):
            raise Unknown(Code.INTERNAL, f"unexpected result {type(result).__name__}")
        return result

    async def delete(
        self, *keys: Text, consistency: str = "default", timeout_s: float = TIMEOUT_S
    ) -> int:
        """Delete keys; returns how many existed (a repeated try counts what it finds)."""
        deleted = 0
        options = (consistency, timeout_s)
        for key in keys:
            applied = await self._update(key, Change.DELETE, (), options, idempotent=True)
            deleted += applied.number
        return deleted

    async def incr(
        self,
        key: Text,
        delta: int = 1,
        *,
        consistency: str = "default",
        timeout_s: float = TIMEOUT_S,
    ) -> int:
        """Add to an integer; returns the new value. Never repeated: it may raise Unknown."""
        options = (consistency, timeout_s)
        return (await self._update(key, Change.INCREMENT, (delta,), options)).number

    async def append(
        self, key: Text, suffix: Text, *, consistency: str = "default", timeout_s: float = TIMEOUT_S
    ) -> int:
        """Add bytes at the end of a value; returns the new length."""
        options = (consistency, timeout_s)
        return (await self._update(key, Change.APPEND, (one_value(suffix),), options)).number

    async def getset(
        self, key: Text, value: Text, *, consistency: str = "default", timeout_s: float = TIMEOUT_S
    ) -> bytes | None:
        """Write a key; returns what it held."""
        arguments = (one_value(value), 0, 0, 1)
        return (await self._update(key, Change.SET, arguments, (consistency, timeout_s))).previous

    async def getdel(
        self, key: Text, *, consistency: str = "default", timeout_s: float = TIMEOUT_S
    ) -> bytes | None:
        """Delete a key; returns what it held."""
        return (await self._update(key, Change.GET_DELETE, (), (consistency, timeout_s))).previous

    async def expire(
        self,
        key: Text,
        ttl_s: float | None,
        *,
        consistency: str = "default",
        timeout_s: float = TIMEOUT_S,
    ) -> bool:
        """Let a key expire after ``ttl_s``, or never with None; False when it does not exist."""
        arguments = (_expires_ms(ttl_s), 0)
        options = (consistency, timeout_s)
        applied = await self._update(key, Change.EXPIRE, arguments, options, idempotent=True)
        return applied.number > 0

    async def cas(
        self,
        key: Text,
        value: Text,
        *,
        version: Version = NO_VERSION,
        ttl_s: float | None = None,
        consistency: str = "default",
        timeout_s: float = TIMEOUT_S,
    ) -> Version | None:
        """Write a key only while it has this version (NO_VERSION: only while it is absent).

        Returns:
            The new version, None when the key had another one.
        """
        arguments = (version.hlc, version.node, one_value(value), _expires_ms(ttl_s))
        options = (consistency, timeout_s)
        applied = await self._update(key, Change.COMPARE_AND_SET, arguments, options)
        return applied.version if applied.number else None


def _dialler(secret: bytes | None) -> Dial:
    def dial(address: str) -> AbstractAsyncContextManager[NodeLink]:
        return open_link(address, LinkOptions(role=Role.CLIENT, secret=secret))

    return dial
