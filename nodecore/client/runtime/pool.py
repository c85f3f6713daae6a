"""The client's links: one a node, opened when first needed, shared by all calls.

A link that ends is forgotten; the next call dials again. It decides nothing about which node to ask.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Protocol, TypeAlias, final

import trio

from transport.errors import ConnectFailed, LinkOverloaded, RemoteError, TransportError
from transport.messages import Message


class Pending(Protocol):
    """A request that was sent, see :class:`transport.runtime.live_link.PendingReply`."""

    async def wait(self, timeout_s: float) -> Message:
        """The answer; raises TransportError."""

    def forget(self) -> None:
        """Drop the answer if it still comes; harmless afterwards."""


class NodeLink(Protocol):
    """What the client needs of a link, see :class:`transport.runtime.link.Link`."""

    def begin(self, message: Message) -> Pending:
        """Send; raises TransportError."""


Dial: TypeAlias = Callable[[str], AbstractAsyncContextManager[NodeLink]]
"""Opens a link to ``host:port``; raises TransportError."""


@final
class _Slot:
    """A link that is being opened, is open, or failed to open."""

    __slots__ = ("ended", "error", "link", "ready")

    def __init__(self) -> None:
        self.ready = trio.Event()
        self.ended = trio.Event()
        self.link: NodeLink | None = None
        self.error: TransportError | None = None


@final
class Flight:
    """A request to one node; a link that fails it is not used again."""

    __slots__ = ("_address", "_pending", "_pool", "_slot")

    def __init__(self, pool: Pool, address: str, slot: _Slot, message: Message) -> None:
        self._pool = pool
        self._address = address
        self._slot = slot
        assert slot.link is not None
        try:
            self._pending = slot.link.begin(message)
        except TransportError as error:
            pool.blame(address, slot, error)
            raise

    async def wait(self, timeout_s: float) -> Message:
        """The answer; raises TransportError."""
        try:
            return await self._pending.wait(timeout_s)
        except TransportError as error:
            self._pool.blame(self._address, self._slot, error)
            raise

    def forget(self) -> None:
        """Drop the answer if it still comes."""
        self._pending.forget()


@final
class Pool:
    """Links by address. Lives within a nursery, whose cancellation closes them."""

    def __init__(self, nursery: trio.Nursery, dial: Dial) -> None:
        self._nursery = nursery
        self._dial = dial
        self._slots: dict[str, _Slot] = {}

    async def request(self, address: str, message: Message, timeout_s: float) -> Message:
        """Ask the node at an address.

        Raises:
            TransportError: its ``definite`` says whether the request certainly did not happen.
        """
        deadline_s = trio.current_time() + timeout_s
        slot = self._slots.get(address)
        if slot is None:
            slot = self._slots[address] = _Slot()
            self._nursery.start_soon(self._keep, address, slot)
        if not slot.ready.is_set():
            with trio.move_on_after(timeout_s):
                await slot.ready.wait()
        if slot.error is not None:
            raise slot.error
        if slot.link is None:
            raise ConnectFailed(f"no link to {address} within {timeout_s:g} s")
        flight = Flight(self, address, slot, message)
        return await flight.wait(max(0.0, deadline_s - trio.current_time()))

    def begin(self, address: str, message: Message) -> Flight | None:
        """Send now and wait later; None while the link is not open.

        Raises:
            TransportError: it can't be sent.
        """
        slot = self._slots.get(address)
        if slot is None or slot.link is None:
            return None
        return Flight(self, address, slot, message)

    def blame(self, address: str, slot: _Slot, error: TransportError) -> None:
        """A request failed: unless it was answered, the link is dropped."""
        if not _answered(error):
            self._drop(address, slot)

    def _drop(self, address: str, slot: _Slot) -> None:
        if self._slots.get(address) is slot:
            del self._slots[address]
        slot.ended.set()

    async def _keep(self, address: str, slot: _Slot) -> None:
        try:
            async with self._dial(address) as link:
                slot.link = link
                slot.ready.set()
                await slot.ended.wait()
        except TransportError as error:
            slot.error = error
        finally:
            slot.ready.set()
            self._drop(address, slot)


def _answered(error: TransportError) -> bool:
    """Whether the link itself is fine."""
    return isinstance(error, RemoteError | LinkOverloaded)
