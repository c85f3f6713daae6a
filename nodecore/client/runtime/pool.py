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


class NodeLink(Protocol):
    """What the client needs of a link, see :class:`transport.runtime.link.Link`."""

    async def request(self, message: Message, timeout_s: float) -> Message:
        """Send and wait for the answer; raises TransportError."""


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
        try:
            return await slot.link.request(message, max(0.0, deadline_s - trio.current_time()))
        except TransportError as error:
            if not _answered(error):
                self._drop(address, slot)
            raise

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
