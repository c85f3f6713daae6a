"""Open a link under trio, for clients and the console.

The only way to an established :class:`~transport.runtime.live_link.Link`: connect, TLS if asked for,
handshake, all within one deadline; then the link's tasks run as long as the block does.
"""

from __future__ import annotations

import os
import secrets
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import trio

from transport import limits
from transport.addresses import parse_address
from transport.errors import ConnectFailed
from transport.handshake import Credentials
from transport.identity import Identity
from transport.messages import Role
from transport.protocol import (
    DEFAULT_TIMES,
    Ended,
    Established,
    Event,
    LinkProtocol,
    LinkTimes,
)
from transport.runtime.live_link import Link, OnMessage
from transport.runtime.subscription import Subscription

__all__ = ["Link", "LinkOptions", "OnMessage", "Subscription", "open_link"]


@dataclass(frozen=True, slots=True)
class LinkOptions:
    """How a link is opened, apart from where to."""

    role: Role = Role.CLIENT
    identity: Identity = field(default_factory=Identity)
    secret: bytes | None = None
    expected_node_id: str = ""
    """Refuse any other node; empty: take whoever answers."""
    times: LinkTimes = DEFAULT_TIMES
    ssl_context: ssl.SSLContext | None = None
    """Speak TLS, with the host name of the address checked as the context says."""


def _why(error: OSError) -> str:
    """The reasons of all attempts (a name may have several addresses), each once."""
    attempts: list[BaseException] = [error]
    if isinstance(error.__cause__, BaseExceptionGroup):
        attempts = list(error.__cause__.exceptions)
    reasons = [_reason(entry) for entry in attempts]
    return ", ".join(dict.fromkeys(reasons)).lower()


def _reason(error: BaseException) -> str:
    """The system's own words: what trio adds names the address a second time."""
    number = getattr(error, "errno", None)
    # Failed look-ups of names have numbers of their own.
    if number is None or isinstance(error, socket.gaierror):
        return str(getattr(error, "strerror", None) or error)
    return os.strerror(number)


async def _connect(address: str, options: LinkOptions) -> trio.abc.Stream:
    host, port = parse_address(address)
    try:
        stream = await trio.open_tcp_stream(host, port)
    except OSError as error:
        raise ConnectFailed(f"can't connect to {address}: {_why(error)}") from error
    if options.ssl_context is None:
        return stream
    return trio.SSLStream(stream, options.ssl_context, server_hostname=host)


async def _shake_hands(
    transport: trio.abc.Stream, options: LinkOptions, on_message: OnMessage | None
) -> Link:
    credentials = Credentials(
        options.identity, secrets.token_bytes(limits.NONCE_BYTES), options.secret
    )
    protocol = LinkProtocol.dialler(
        credentials,
        options.role,
        trio.current_time(),
        expected_node_id=options.expected_node_id,
        times=options.times,
    )
    output = protocol.initial_bytes()
    events: list[Event] = []
    while not events:
        try:
            if output:
                await transport.send_all(output)
            data = await transport.receive_some(limits.READ_BYTES_PER_TURN)
        except (trio.BrokenResourceError, ssl.SSLError) as error:
            text = str(error.__cause__ or error)
            raise ConnectFailed(f"connection lost in the handshake: {text}") from error
        if not data:
            raise ConnectFailed("the other side closed in the handshake")
        events = protocol.receive_data(bytes(data), trio.current_time())
        output = protocol.take_output()
    first = events[0]
    if isinstance(first, Established):
        link = Link(transport, protocol, first.peer, on_message)
        link.handle(events[1:])
        return link
    if output:
        try:
            await transport.send_all(output)
        except trio.BrokenResourceError:
            # The refusal is a courtesy; what matters is raised below.
            await trio.lowlevel.checkpoint()
    assert isinstance(first, Ended)
    raise first.error or ConnectFailed(f"the other side said goodbye: {first.text}")


async def _open(
    address: str,
    options: LinkOptions,
    connect_timeout_s: float,
    on_message: OnMessage | None,
) -> Link:
    with trio.move_on_after(connect_timeout_s):
        transport = await _connect(address, options)
        try:
            return await _shake_hands(transport, options, on_message)
        except BaseException:
            await trio.aclose_forcefully(transport)
            raise
    raise ConnectFailed(f"can't connect to {address}: no answer within {connect_timeout_s:g} s")


@asynccontextmanager
async def open_link(
    address: str,
    options: LinkOptions | None = None,
    *,
    connect_timeout_s: float = limits.CONNECT_TIMEOUT_S,
    on_message: OnMessage | None = None,
) -> AsyncIterator[Link]:
    """Connect, shake hands, and serve the link while the block runs; leaving it says goodbye.

    Args:
        address: ``host:port``; names are resolved.
        options: role, identity, secret, TLS.
        connect_timeout_s: for connection and handshake together.
        on_message: called, synchronously, with messages that answer no request of this side.

    Raises:
        ConnectFailed: no connection, or it ended in the handshake.
        LinkRefused: one side refused, with the reason.
        RemoteProtocolError: what answers does not speak this protocol.
        LocalProtocolError: the address or the options can't be used.
    """
    link = await _open(address, options or LinkOptions(), connect_timeout_s, on_message)
    failure: Exception | None = None

    async def serve() -> None:
        try:
            await link.run()
        finally:
            link.mark_drained()

    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(serve)
            try:
                yield link
            except Exception as error:
                # Kept out of the nursery, which would wrap it into a group.
                failure = error
            await link.aclose()
            nursery.cancel_scope.cancel()
    finally:
        await trio.aclose_forcefully(link.transport)
    if failure is not None:
        raise failure
