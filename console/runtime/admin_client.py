"""One operator's link to a node: verbs, and the stream of its statistics and events.

Turns what can go wrong on a link into the console's errors. A verb is sent once; whoever repeats it
must know that it may.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Final, final

import msgspec
import trio

from console.errors import (
    ClusterUnreachable,
    ConsoleError,
    NodeRefused,
    OutcomeUnknown,
    UsageError,
)
from console.runtime.secret import HELD
from nodecore.config_rules import split_address
from nodecore.errors import Code
from nodecore.replication.wire import MalformedPlain, outcome_from_plain, request_to_plain
from nodecore.requests import Outcome, Request
from nodecore.statistics import EventRecord, NodeStatistics
from transport.errors import RemoteError, TransportError
from transport.messages import (
    Admin,
    AdminReply,
    ClientExecute,
    ClientOutcome,
    EventReport,
    Message,
    Role,
    StatisticsReport,
    Subscribe,
)
from transport.runtime.link import Link, LinkOptions, Subscription, open_link

CONNECT_TIMEOUT_S: Final = 2.0
CALL_TIMEOUT_S: Final = 5.0


@final
class AdminLink:
    """An open link to one node."""

    def __init__(self, link: Link, address: str) -> None:
        self._link = link
        self.address = address

    async def call(
        self,
        verb: str,
        arguments: Mapping[str, object] | None = None,
        timeout_s: float = CALL_TIMEOUT_S,
    ) -> object:
        """Run a verb; returns its result.

        Raises:
            NodeRefused: the node said no.
            OutcomeUnknown: no answer; it may have happened.
            ClusterUnreachable: it was not sent.
        """
        try:
            reply = await self._link.request(Admin(verb, dict(arguments or {})), timeout_s)
        except TransportError as error:
            raise console_error(error, f"{verb} at {self.address}") from None
        if not isinstance(reply, AdminReply):
            raise ConsoleError(f"{self.address} answered {verb} with {type(reply).__name__}")
        return reply.result

    async def execute(self, request: Request, timeout_s: float = CALL_TIMEOUT_S) -> Outcome:
        """Run a client's request on the operator's link; returns its outcome.

        Raises:
            NodeRefused, OutcomeUnknown, ClusterUnreachable: as :meth:`call`.
        """
        what = f"{type(request).__name__.lower()} at {self.address}"
        try:
            reply = await self._link.request(ClientExecute(request_to_plain(request)), timeout_s)
            if not isinstance(reply, ClientOutcome):
                raise ConsoleError(f"{what} was answered with {type(reply).__name__}")
            return outcome_from_plain(reply.outcome)
        except TransportError as error:
            raise console_error(error, what) from None
        except MalformedPlain as error:
            raise ConsoleError(f"{what}: {error}") from None

    def subscribe(self, interval_s: float, events_after: int) -> Reports:
        """Statistics each interval, and events as they happen, until the link ends."""
        request = Subscribe(int(interval_s * 1000), events_after)
        return Reports(self._link.stream(request), self.address)


@final
class Reports:
    """What a subscription brings; iterating raises ConsoleError when the link ends."""

    def __init__(self, subscription: Subscription, address: str) -> None:
        self._subscription = subscription
        self._address = address

    def __aiter__(self) -> Reports:
        return self

    async def __anext__(self) -> NodeStatistics | list[EventRecord]:
        while True:
            try:
                message = await self._subscription.__anext__()
            except TransportError as error:
                raise console_error(error, f"statistics of {self._address}") from None
            parsed = _parse_report(message)
            if parsed is not None:
                return parsed


def _parse_report(message: Message) -> NodeStatistics | list[EventRecord] | None:
    """A report as records; None for one that a newer node shapes differently."""
    try:
        if isinstance(message, StatisticsReport):
            return NodeStatistics.from_plain(message.statistics)
        if isinstance(message, EventReport) and isinstance(message.events, list):
            return [EventRecord.from_plain(entry) for entry in message.events]
    except msgspec.ValidationError:
        return None
    return None


@asynccontextmanager
async def open_admin(
    address: str, *, timeout_s: float = CONNECT_TIMEOUT_S
) -> AsyncIterator[AdminLink]:
    """An operator's link to the native door of a node, with the secret of this process.

    Raises:
        UsageError: ``address`` is none.
        ClusterUnreachable: nobody answers there.
        ConsoleError: it refused the link (wrong secret, version).
    """
    options = LinkOptions(Role.CONSOLE, secret=HELD.content)
    pair = split_address(address)
    if pair is None:
        raise UsageError(f"{address!r} is not host:port")
    try:
        async with open_link(address, options, connect_timeout_s=timeout_s) as link:
            yield AdminLink(link, address)
    except TransportError as error:
        raise console_error(error, address) from None


async def call_first(
    addresses: Sequence[str],
    verb: str,
    arguments: Mapping[str, object] | None = None,
    *,
    timeout_s: float = CALL_TIMEOUT_S,
) -> object:
    """Run a verb at the first node that can be reached; a node that refused has the last word.

    Raises:
        ClusterUnreachable: no node answers.
        NodeRefused, OutcomeUnknown: as :meth:`AdminLink.call`.
    """
    unreachable = ClusterUnreachable("the cluster has no running node")
    for address in addresses:
        try:
            async with open_admin(address) as admin:
                return await admin.call(verb, arguments, timeout_s)
        except ClusterUnreachable as error:
            unreachable = error
    raise unreachable


async def call_each(
    addresses: Mapping[str, str],
    verb: str,
    arguments: Mapping[str, object] | None = None,
    *,
    timeout_s: float = CALL_TIMEOUT_S,
) -> dict[str, object | ConsoleError]:
    """Run a verb at every node at once; per node its result or what went wrong."""
    results: dict[str, object | ConsoleError] = {}

    async def one(node_id: str, address: str) -> None:
        try:
            async with open_admin(address) as admin:
                results[node_id] = await admin.call(verb, arguments, timeout_s)
        except ConsoleError as error:
            results[node_id] = error

    async with trio.open_nursery() as nursery:
        for node_id, address in addresses.items():
            nursery.start_soon(one, node_id, address)
    return results


def console_error(error: TransportError, what: str) -> ConsoleError:
    """The console's error for a link's: refused, unknown, or never sent."""
    if isinstance(error, RemoteError):
        if error.unknown:
            return OutcomeUnknown(f"{what}: {error}")
        hint = ""
        if error.code == Code.CHAOS_DISABLED:
            hint = "start the nodes with --enable-chaos"
        return NodeRefused(str(error), error.code, hint=hint, reason=error.reason)
    if error.definite:
        return ClusterUnreachable(f"{what}: {error}")
    return OutcomeUnknown(f"{what}: {error}")
