"""A native session: one client or console link after its handshake.

Every request carries its stream number, so answers leave in any order. Reads are first offered to
the table's gate, in bulk; only what it does not hold goes to the coordinator. Consoles may run
verbs and subscribe to statistics and events, which the node's runtime pushes once per tick.

The link itself (handshake, frames, keep-alive) is :class:`transport.protocol.LinkProtocol`'s.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import groupby
from typing import Final, Protocol, final

from nodecore import limits
from nodecore.doors.session import Backend
from nodecore.errors import Code
from nodecore.ids import SLOTS_COUNT, Now, Version
from nodecore.replication.wire import MalformedPlain, outcome_to_plain, request_from_plain
from nodecore.requests import (
    Done,
    Failed,
    Level,
    Outcome,
    Read,
    Request,
    Unknown,
    Value,
    Write,
)
from nodecore.statistics import EventRecord, NodeStatistics
from nodecore.table.interface import MULTI_GET_BYTES_MAX, SLOT_READ
from transport.errors import TransportError
from transport.messages import (
    Admin,
    AdminReply,
    ClientExecute,
    ClientGet,
    ClientOutcome,
    ClientRoutes,
    ClientRouteTable,
    ClientSet,
    ClientValues,
    ClientWritten,
    ErrorReply,
    EventReport,
    Message,
    Role,
    StatisticsReport,
    Subscribe,
)

SUBSCRIPTION_INTERVAL_MS_MIN: Final = 100
EVENTS_PER_REPORT_MAX: Final = 200
_TOO_MUCH: Final = Failed(
    Code.ANSWER_TOO_LARGE, "the values together exceed what one answer carries: ask for fewer keys"
)


class Link(Protocol):
    """What a session needs of its link."""

    def send(self, message: Message, stream: int = 0) -> bytes:
        """The bytes of a message; raises TransportError when it can't be sent."""


@final
class NativeSession:
    """One native client, see :class:`nodecore.doors.session.Session`."""

    gate_open = False
    gate_bits = SLOT_READ
    nil = b""

    def __init__(self, backend: Backend, link: Link, role: Role, wake: Callable[[], None]) -> None:
        self._backend = backend
        self._link = link
        self._operator = role is Role.CONSOLE
        self._wake = wake
        self._output: list[bytes] = []
        self._active = False
        self._ended = False
        self._subscribed: int | None = None
        self._interval_s = 0.0
        self._due_s = 0.0
        self.events_after = -1
        """Sequence number of the last event that was pushed; -1 before the first."""
        self.closing = False
        self.outstanding = 0

    # --- the seam ----------------------------------------------------------------------------------

    def on_message(self, stream: int, message: Message, now: Now) -> None:
        """Handle one message of the client. Anything wrong is answered on its stream."""
        if self._ended:
            return
        self._active = True
        try:
            if type(message) is ClientGet:
                self._get(stream, message, now)
            elif type(message) is ClientSet:
                self._set(stream, message, now)
            else:
                self._other(stream, message, now)
        except MalformedPlain as error:
            self._refuse(stream, Failed(Code.BAD_REQUEST, str(error)))
        finally:
            self._active = False

    def take_output(self) -> bytes:
        """Frames that are ready."""
        output = self._output
        if not output:
            return b""
        self._output = []
        return output[0] if len(output) == 1 else b"".join(output)

    def end(self, now: Now) -> None:
        """The link is gone: outcomes that still come are dropped."""
        self._ended = self.closing = True
        self._subscribed = None
        self._output = []
        self.outstanding = 0

    # --- reading and writing -------------------------------------------------------------------------

    def _get(self, stream: int, message: ClientGet, now: Now) -> None:
        keys, level = _keys(message.keys), _level(message.level)
        backend = self._backend
        backend.count_request("native_get", len(keys))
        values: list[object]
        if level is Level.DEFAULT:
            values = list(backend.table.multi_get(keys, now.wall_ms))
            if None not in values:
                self._send(ClientValues(backend.epoch(), 0, values), stream)
                return
            found_bytes = sum([len(value) for value in values if isinstance(value, bytes)])
            if found_bytes >= MULTI_GET_BYTES_MAX:
                self._refuse(stream, _TOO_MUCH)
                return
            missing = [index for index, value in enumerate(values) if value is None]
            keys = [keys[index] for index in missing]
        else:
            values = [None] * len(keys)
            missing = list(range(len(keys)))
        finish = partial(self._on_values, stream, values, missing)
        self._submit(Read(tuple(keys), level), finish, now)

    def _on_values(
        self, stream: int, values: list[object], missing: Sequence[int], outcome: Outcome, _: Now
    ) -> None:
        if not isinstance(outcome, Done):
            self._refuse(stream, outcome)
            return
        assert isinstance(outcome.result, list)
        for index, found in zip(missing, outcome.result, strict=True):
            if isinstance(found, Value):
                values[index] = found.value
            elif found is not None:
                values[index] = [int(found.code), found.text]
        self._send(ClientValues(self._backend.epoch(), int(outcome.flags), values), stream)

    def _set(self, stream: int, message: ClientSet, now: Now) -> None:
        keys, values = _keys(message.keys), _values(message.values)
        if len(keys) != len(values):
            raise MalformedPlain(f"{len(keys)} keys but {len(values)} values")
        if message.expires_ms < 0:
            raise MalformedPlain("expires_ms must not be negative")
        self._backend.count_request("native_set", len(keys))
        write = Write(tuple(keys), tuple(values), message.expires_ms, _level(message.level))
        self._submit(write, partial(self._on_written, stream), now)

    def _on_written(self, stream: int, outcome: Outcome, _: Now) -> None:
        if not isinstance(outcome, Done):
            self._refuse(stream, outcome)
            return
        assert isinstance(outcome.result, list)
        failures: list[list[object]] = []
        if not {Version}.issuperset(map(type, outcome.result)):
            failures = [
                [index, int(entry.code), entry.text, isinstance(entry, Unknown)]
                for index, entry in enumerate(outcome.result)
                if isinstance(entry, Failed | Unknown)
            ]
        flags, copies = int(outcome.flags), outcome.copies
        self._send(ClientWritten(self._backend.epoch(), flags, copies, failures), stream)

    # --- everything else -------------------------------------------------------------------------------

    def _other(self, stream: int, message: Message, now: Now) -> None:
        match message:
            case ClientExecute(plain):
                request = request_from_plain(plain)
                self._backend.count_request(f"native_{type(request).__name__.lower()}")
                self._submit(request, partial(self._on_executed, stream), now)
            case ClientRoutes():
                self._send(route_table(self._backend), stream)
            case Admin(verb, arguments) if self._operator:
                if not isinstance(arguments, Mapping):
                    raise MalformedPlain("arguments of a verb must be a mapping")
                finish = partial(self._on_verb, stream)
                self.outstanding += 1
                answered = partial(self._answered, finish)
                outcome = self._backend.admin(verb, arguments, answered, now)
                if outcome is not None:
                    answered(outcome, now)
            case Subscribe(interval_ms, events_after) if self._operator:
                self._subscribed = stream
                self._interval_s = max(SUBSCRIPTION_INTERVAL_MS_MIN, interval_ms) / 1000
                self._due_s = now.mono_s
                self.events_after = events_after
            case _:
                text = f"{type(message).__name__} is not taken on this link"
                self._refuse(stream, Failed(Code.REFUSED, text))

    def _on_executed(self, stream: int, outcome: Outcome, _: Now) -> None:
        self._send(ClientOutcome(self._backend.epoch(), outcome_to_plain(outcome)), stream)

    def _on_verb(self, stream: int, outcome: Outcome, _: Now) -> None:
        if isinstance(outcome, Done):
            self._send(AdminReply(outcome.result), stream)
        else:
            self._refuse(stream, outcome)

    # --- pushes ----------------------------------------------------------------------------------------

    def statistics_due(self, now: Now) -> bool:
        """Whether the subscriber's interval has passed."""
        return self._subscribed is not None and now.mono_s >= self._due_s

    def push_statistics(self, statistics: NodeStatistics, now: Now) -> None:
        """Send a snapshot to a subscriber; nothing without a subscription."""
        if self._subscribed is None:
            return
        self._due_s = now.mono_s + self._interval_s
        self._send(StatisticsReport(statistics.to_plain()), self._subscribed)

    def push_events(self, records: Sequence[EventRecord]) -> None:
        """Send events that the subscriber does not have yet, oldest first, a bounded number."""
        if self._subscribed is None:
            return
        fresh = [record for record in records if record.sequence > self.events_after]
        fresh = fresh[:EVENTS_PER_REPORT_MAX]
        if fresh:
            self.events_after = fresh[-1].sequence
            plain = [record.to_plain() for record in fresh]
            self._send(EventReport(plain), self._subscribed)

    # --- inside ------------------------------------------------------------------------------------------

    def _submit(self, request: Request, finish: Callable[[Outcome, Now], None], now: Now) -> None:
        if self.outstanding >= limits.OUTSTANDING_REQUESTS_MAX:
            finish(Failed(Code.OVERLOADED, "too many requests in flight on this link", 0.1), now)
            return
        self.outstanding += 1
        answered = partial(self._answered, finish)
        outcome = self._backend.submit(request, answered, now)
        if outcome is not None:
            answered(outcome, now)

    def _answered(self, finish: Callable[[Outcome, Now], None], outcome: Outcome, now: Now) -> None:
        if self._ended:
            return
        self.outstanding -= 1
        finish(outcome, now)

    def _refuse(self, stream: int, failed: Failed | Unknown) -> None:
        unknown = isinstance(failed, Unknown)
        retry_ms = 0 if isinstance(failed, Unknown) else int(failed.retry_after_s * 1000)
        reason = "" if isinstance(failed, Unknown) else failed.reason
        self._send(ErrorReply(int(failed.code), failed.text, unknown, retry_ms, reason), stream)

    def _send(self, message: Message, stream: int) -> None:
        try:
            frame = self._link.send(message, stream)
        except TransportError as error:
            if isinstance(message, ErrorReply):
                self.closing = True
                return
            # Too large for the link: the client still learns what became of its request.
            written = isinstance(message, ClientWritten | ClientOutcome | AdminReply)
            if isinstance(message, ClientValues):
                self._refuse(stream, _TOO_MUCH)
                return
            text = f"the answer can't be sent: {error}"
            self._refuse(
                stream, Unknown(Code.INTERNAL, text) if written else Failed(Code.INTERNAL, text)
            )
            return
        self._output.append(frame)
        if not self._active:
            self._wake()


def route_table(backend: Backend) -> ClientRouteTable:
    """The slot map as clients take it: members, and owners by index in runs of slots."""
    topology = backend.topology
    members: list[list[object]] = [
        [str(member.node_id), member.addresses.native, backend.is_live(member.node_id)]
        for member in topology.all_members
    ]
    index = {member[0]: position for position, member in enumerate(members)}
    ranges: list[list[object]] = []
    for owners, run in groupby(range(SLOTS_COUNT), key=lambda slot: tuple(backend.owners(slot))):
        slots = list(run)
        ranges.append([slots[0], slots[-1], [index[node] for node in owners if node in index]])
    return ClientRouteTable(backend.epoch(), members, ranges)


def _keys(plain: object) -> list[bytes]:
    if not isinstance(plain, list) or not set(map(type, plain)) <= {bytes}:
        raise MalformedPlain("keys must be a list of bytes")
    if len(plain) > limits.BATCH_KEYS_MAX:
        raise MalformedPlain(f"more than {limits.BATCH_KEYS_MAX} keys in one batch")
    if plain and max(map(len, plain)) > limits.KEY_BYTES_MAX:
        raise MalformedPlain(f"a key exceeds {limits.KEY_BYTES_MAX} bytes")
    return plain


def _values(plain: object) -> list[bytes]:
    if not isinstance(plain, list) or not set(map(type, plain)) <= {bytes}:
        raise MalformedPlain("values must be a list of bytes")
    if plain and max(map(len, plain)) > limits.VALUE_BYTES_MAX:
        raise MalformedPlain(f"a value exceeds {limits.VALUE_BYTES_MAX} bytes")
    return plain


def _level(number: int) -> Level:
    try:
        return Level(number)
    except ValueError:
        raise MalformedPlain(f"no consistency level {number}") from None
