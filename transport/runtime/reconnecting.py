"""A link that comes back: dials again, with back-off, as long as its block runs."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from random import Random
from typing import TypeAlias, final

import trio

from transport import limits
from transport.addresses import parse_address
from transport.backoff import Backoff
from transport.errors import NotConnected, RequestTimedOut, TransportError
from transport.messages import Message
from transport.runtime.link import Link, LinkOptions, OnMessage, open_link

OnChange: TypeAlias = Callable[[Link | None, TransportError | None], None]
"""Told of every change: the new link and None, or None and why there is none."""


@final
class ReconnectingLink:
    """The current link to one address, or none. Made by :func:`open_reconnecting_link`."""

    def __init__(
        self,
        address: str,
        options: LinkOptions,
        backoff: Backoff,
        on_change: OnChange | None,
        on_message: OnMessage | None,
    ) -> None:
        self._options = options
        self._backoff = backoff
        self._on_change = on_change
        self._on_message = on_message
        self._changed = trio.Event()
        self.address = address
        self.link: Link | None = None
        """None while there is none."""
        self.error: TransportError | None = None
        """Why the last attempt failed or the last link ended; None while there is a link."""
        self.connects = 0
        """Links established so far."""

    async def request(self, message: Message, timeout_s: float) -> Message:
        """As :meth:`Link.request`; while there is no link it waits for one, within ``timeout_s``.

        A request that was sent is never repeated: whether it happened is the caller's to find out.
        """
        started_s = trio.current_time()
        link = await self.wait_connected(timeout_s)
        left_s = timeout_s - (trio.current_time() - started_s)
        if left_s <= 0:
            raise NotConnected(f"no link to {self.address} within {timeout_s:g} s")
        try:
            return await link.request(message, left_s)
        except RequestTimedOut as error:
            raise RequestTimedOut(
                f"no answer to {type(message).__name__} within {timeout_s:g} s"
            ) from error

    async def wait_connected(self, timeout_s: float) -> Link:
        """The current link, or the next one.

        Raises:
            NotConnected: there was none in time; the cause is why.
        """
        with trio.move_on_after(timeout_s):
            while self.link is None:
                await self._changed.wait()
            await trio.lowlevel.checkpoint()
        if self.link is None:
            why = f": {self.error.text}" if self.error is not None else ""
            raise NotConnected(f"no link to {self.address} within {timeout_s:g} s{why}")
        return self.link

    def _change(self, link: Link | None, error: TransportError | None) -> None:
        self.link, self.error = link, error
        changed, self._changed = self._changed, trio.Event()
        changed.set()
        if self._on_change is not None:
            self._on_change(link, error)

    async def run(self, connect_timeout_s: float) -> None:
        """Dial, serve, wait, again; until cancelled."""
        while True:
            try:
                async with open_link(
                    self.address,
                    self._options,
                    connect_timeout_s=connect_timeout_s,
                    on_message=self._on_message,
                ) as link:
                    self.connects += 1
                    self._backoff.reset()
                    self._change(link, None)
                    await link.ended.wait()
                    text = link.end.text if link.end is not None else ""
                    ending = link.end.error if link.end is not None else None
                    self._change(None, ending or NotConnected(f"the link ended: {text}"))
            except TransportError as error:
                self._change(None, error)
            await trio.sleep(self._backoff.next_s())


@asynccontextmanager
async def open_reconnecting_link(
    address: str,
    options: LinkOptions | None = None,
    *,
    rng: Random,
    connect_timeout_s: float = limits.CONNECT_TIMEOUT_S,
    on_change: OnChange | None = None,
    on_message: OnMessage | None = None,
) -> AsyncIterator[ReconnectingLink]:
    """Keep a link to ``address`` while the block runs. Never fails for want of one: ask ``link``,
    ``error`` or :meth:`ReconnectingLink.wait_connected`.

    Raises:
        LocalProtocolError: ``address`` is none.
    """
    parse_address(address)
    reconnecting = ReconnectingLink(
        address, options or LinkOptions(), Backoff(rng), on_change, on_message
    )
    failure: Exception | None = None
    async with trio.open_nursery() as nursery:
        nursery.start_soon(reconnecting.run, connect_timeout_s)
        try:
            yield reconnecting
        except Exception as error:
            # Kept out of the nursery, which would wrap it into a group.
            failure = error
        current = reconnecting.link
        if current is not None:
            await current.aclose()
        nursery.cancel_scope.cancel()
    if failure is not None:
        raise failure
