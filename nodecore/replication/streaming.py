"""The sending side of copies: streams whole slots to a peer, page by page, coldest first.

A page is one ``PeerApply`` of at most 64 KiB or 256 entries and may span many slots; a few pages are
in flight, all streams of a node share one rate. A slot counts as sent once its page and every page
before it are acknowledged. A change may be
held to a rate of its own (the policy in the document), so that a slow change does not hold up the
repair of an owner. Pages that fail are repeated a few times; then, or when the peer can't be
reached, the stream ends as failed and its owner decides what follows. Writes that arrive meanwhile need no care here: they reach the
receiver from their coordinators.

It decides neither who streams nor when a slot is complete (see ``filling``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import takewhile
from typing import Final, NamedTuple, Protocol, TypeAlias

from nodecore.errors import Code
from nodecore.ids import SLOTS_COUNT, Epoch, NodeId, Now
from nodecore.replication.calls import CallEnd, CallFailed
from nodecore.replication.change_ports import (
    ENTRIES_PER_LOOK,
    PAGE_BYTES_MAX,
    PAGE_ENTRIES_MAX,
    PAGE_TRIES_MAX,
    PAGES_IN_FLIGHT_MAX,
    SLOTS_PER_PAGE_MAX,
    STREAM_BURST_S,
    STREAM_BYTES_PER_S,
    ChangePorts,
    SlotEntry,
)
from nodecore.timers import Timer, Timers
from transport.messages import PeerApply, PeerWritten

_ENTRY_OVERHEAD_BYTES: Final = 32
_RETRY_S: Final = 0.2
_REPORT_INTERVAL_S: Final = 0.25
"""A long slot gives signs of life too."""
_THROTTLED_S: Final = 1.0
"""So does a stream that waits for its rate."""
_PAGE_S: Final = 0.5
"""At a low rate pages are no larger than what it allows in so long,"""
_PAGE_BYTES_MIN: Final = 2048
"""nor smaller than this."""
_MEASURED_BYTES_MIN: Final = 1024 * 1024
"""Less is over before it gets going."""
_CHANGE: Final = "stream"
"""Cause of the pages of a change, see ``Order``."""


class EntrySource(Protocol):
    """What is streamed: entries of the store, or registers of strong keys in their shape."""

    def slot_entries(self, slot: int, after: bytes | None, count: int) -> Sequence[SlotEntry]:
        """Up to ``count`` entries of a slot behind ``after``; stable while writes go on."""

    def empties(self, slots: Iterable[int]) -> Iterator[bool]:
        """Whether each slot certainly holds nothing; cheap, because most slots of most streams do not."""


class Sent(NamedTuple):
    """What a stream reports, as often as it gets on."""

    slots: list[int]
    """Acknowledged since the last report."""
    entries: int
    bytes: int
    ended: bool
    """Nothing follows."""
    failed: str
    """Why it ended early; empty otherwise."""


OnSent: TypeAlias = Callable[[Sent, Now], None]


class Order(NamedTuple):
    """What to stream to whom."""

    peer: NodeId
    cause: str
    """Of the ``PeerApply``: ``stream``, ``repair`` or ``handover``."""
    slots: Sequence[int]
    on_sent: OnSent
    hlc_min: int = 0
    """Older versions are left out."""
    purpose: str = ""
    """One stream runs for each peer and purpose: a new one replaces it."""
    wanted: Callable[[int, bytes], bool] | None = None
    """Which keys of a slot to send; None: all that belong to the peer."""


class _Page:
    __slots__ = ("acked", "entries", "finished", "size", "tries")

    def __init__(self, entries: list[list[object]], size: int, finished: list[int]) -> None:
        self.entries = entries
        self.size = size
        self.finished = finished
        """Slots whose last entry is in this page."""
        self.acked = not entries
        self.tries = 0


class _Stream:
    __slots__ = (
        "after", "ended", "order", "pages", "report", "reported_s", "slot", "slots", "timer",
    )  # fmt: skip

    def __init__(self, order: Order, slots: list[int], begun_s: float) -> None:
        self.order = order
        self.slots = slots
        """Still to be begun, the next one last."""
        self.slot: int | None = None
        """Begun and not finished."""
        self.after: bytes | None = None
        self.pages: list[_Page] = []
        self.report = Sent([], 0, 0, False, "")
        self.reported_s = begun_s
        self.timer: Timer | None = None
        self.ended = False

    @property
    def exhausted(self) -> bool:
        return self.slot is None and not self.slots


class SlotStreams:
    """All streams that leave this node; at most one for each peer and purpose."""

    def __init__(
        self,
        ports: ChangePorts,
        store: EntrySource,
        timers: Timers,
        bytes_per_s: int = STREAM_BYTES_PER_S,
    ) -> None:
        self._ports = ports
        self._store = store
        self._timers = timers
        self._streams: dict[tuple[NodeId, str], _Stream] = {}
        self._bytes_per_s = bytes_per_s
        self._change_bytes_per_s = 0
        self._free_at_s = 0.0
        self._change_free_at_s = 0.0
        self._measured_bytes_per_s = 0.0
        self._busy_since_s = 0.0
        self._busy_from_bytes = 0
        self.epoch = Epoch(0)
        """Stamped on every page."""
        self.belongs: Callable[[NodeId, int, bytes], bool] | None = None
        """Whether a peer holds copies of a key of a slot; None: of every key."""
        self.entries_sent = 0
        self.entries_refused = 0
        """Acknowledged, but not taken: memory, floors, flushes."""
        self.bytes_sent = 0

    @property
    def bytes_per_s(self) -> int:
        """What this node streams for a change at most."""
        return min(self._bytes_per_s, self._change_bytes_per_s or self._bytes_per_s)

    @property
    def pace_bytes_per_s(self) -> float:
        """What to expect of the next change: as fast as the last copying went, if it may."""
        return min(self.bytes_per_s, self._measured_bytes_per_s or self.bytes_per_s)

    def limit_changes(self, bytes_per_s: int) -> None:
        """What the document allows a change; 0: as this node is configured. At once in force."""
        if bytes_per_s != self._change_bytes_per_s:
            self._change_bytes_per_s = bytes_per_s
            self._change_free_at_s = 0.0

    def __len__(self) -> int:
        return len(self._streams)

    def begin(self, order: Order, now: Now) -> None:
        """Start streaming; replaces an earlier stream to the same peer for the same purpose."""
        key = order.peer, order.purpose
        self._drop(self._streams.get(key))
        # Sorted by slot before by heat: equally cold slots leave in a fixed order.
        slots = sorted(dict.fromkeys(order.slots), reverse=True)
        bands = self._ports.heat_bands()
        if any(bands):
            slots.sort(key=lambda slot: bands[slot * len(bands) // SLOTS_COUNT], reverse=True)
        if not self._streams:
            self._busy_since_s, self._busy_from_bytes = now.mono_s, self.bytes_sent
        stream = self._streams[key] = _Stream(order, slots, now.mono_s)
        self._pump(stream, now)

    def is_running(self, peer: NodeId, purpose: str) -> bool:
        """Whether such a stream has not ended yet."""
        return (peer, purpose) in self._streams

    def stop_all(self) -> None:
        """Another document is in force: whoever still wants slots asks again."""
        for stream in list(self._streams.values()):
            self._drop(stream)

    def _drop(self, stream: _Stream | None) -> None:
        if stream is None:
            return
        stream.ended = True
        self._timers.cancel(stream.timer)
        self._streams.pop((stream.order.peer, stream.order.purpose), None)

    def _pump(self, stream: _Stream, now: Now) -> None:
        stream.timer = None
        looked = 0
        while not stream.ended and not stream.exhausted:
            if len(stream.pages) >= PAGES_IN_FLIGHT_MAX:
                break
            free_at_s = self._free_at(stream)
            if free_at_s > now.mono_s + STREAM_BURST_S:
                self._again(stream, min(free_at_s, now.mono_s + _THROTTLED_S))
                break
            if looked >= SLOTS_PER_PAGE_MAX:
                self._again(stream, now.mono_s)
                break
            page = self._next_page(stream)
            looked += len(page.finished)
            stream.pages.append(page)
            if page.entries:
                self._charge(stream, page.size, now)
                self._send(stream, page, now)
        self._advance(stream, now)

    def _free_at(self, stream: _Stream) -> float:
        """When the rates allow the next page."""
        if stream.order.cause == _CHANGE:
            return max(self._free_at_s, self._change_free_at_s)
        return self._free_at_s

    def _charge(self, stream: _Stream, size: int, now: Now) -> None:
        self._free_at_s = max(self._free_at_s, now.mono_s) + size / self._bytes_per_s
        if stream.order.cause == _CHANGE and self._change_bytes_per_s:
            begun_s = max(self._change_free_at_s, now.mono_s)
            self._change_free_at_s = begun_s + size / self._change_bytes_per_s

    def _page_bytes(self, stream: _Stream) -> int:
        rate = self.bytes_per_s if stream.order.cause == _CHANGE else self._bytes_per_s
        return min(PAGE_BYTES_MAX, max(_PAGE_BYTES_MIN, int(rate * _PAGE_S)))

    def _again(self, stream: _Stream, at_s: float) -> None:
        if stream.timer is None:
            stream.timer = self._timers.schedule(at_s, partial(self._pump, stream))

    def _next_page(self, stream: _Stream) -> _Page:
        entries: list[list[object]] = []
        finished: list[int] = []
        size = 0
        page_bytes = self._page_bytes(stream)
        while (
            len(entries) < PAGE_ENTRIES_MAX
            and size < page_bytes
            and len(finished) < SLOTS_PER_PAGE_MAX
        ):
            if stream.slot is None:
                slots, reported_max = stream.slots, SLOTS_PER_PAGE_MAX - len(finished)
                ahead = slots[: -reported_max - 1 : -1]
                empty = len(list(takewhile(bool, self._store.empties(ahead))))
                finished += ahead[:empty]
                del slots[len(slots) - empty :]
                if not slots or len(finished) >= SLOTS_PER_PAGE_MAX:
                    break
                stream.slot, stream.after = slots.pop(), None
            room = min(ENTRIES_PER_LOOK, PAGE_ENTRIES_MAX - len(entries))
            found = self._store.slot_entries(stream.slot, stream.after, room)
            taken = 0
            for entry in found:
                entry_size = len(entry[0]) + len(entry[2]) + _ENTRY_OVERHEAD_BYTES
                if entries and size + entry_size > page_bytes:
                    break
                taken += 1
                stream.after = entry[0]
                if entry[3] >= stream.order.hlc_min and self._is_sent(stream, entry[0]):
                    entries.append(_plain(entry))
                    size += entry_size
            if taken < len(found):
                break
            if len(found) < room:
                finished.append(stream.slot)
                stream.slot = None
        return _Page(entries, size, finished)

    def _is_sent(self, stream: _Stream, key: bytes) -> bool:
        order, slot = stream.order, stream.slot
        assert slot is not None
        if self.belongs is not None and not self.belongs(order.peer, slot, key):
            return False
        return order.wanted is None or order.wanted(slot, key)

    def _send(self, stream: _Stream, page: _Page, now: Now) -> None:
        page.tries += 1
        message = PeerApply(self.epoch, stream.order.cause, page.entries)
        on_end = partial(self._on_end, stream, page)
        self._ports.request(stream.order.peer, message, on_end, now)

    def _on_end(self, stream: _Stream, page: _Page, end: CallEnd, now: Now) -> None:
        if stream.ended:
            return
        if isinstance(end, PeerWritten):
            page.acked = True
            refused = len(end.refused) if isinstance(end.refused, list) else 0
            self.entries_refused += refused
            self.entries_sent += len(page.entries)
            self.bytes_sent += page.size
            self._advance(stream, now)
            self._pump(stream, now)
            return
        unreachable = isinstance(end, CallFailed) and end.code is Code.UNREACHABLE
        if unreachable or page.tries >= PAGE_TRIES_MAX:
            # Not kept until there is a link: by then the page would be older than the store.
            text = end.text if isinstance(end, CallFailed) else "an answer that makes no sense"
            stream.report = stream.report._replace(failed=text)
            self._finish(stream, now)
            return
        again = partial(self._resend, stream, page)
        self._timers.schedule(now.mono_s + _RETRY_S * page.tries, again)

    def _resend(self, stream: _Stream, page: _Page, now: Now) -> None:
        if not stream.ended:
            self._send(stream, page, now)

    def _advance(self, stream: _Stream, now: Now) -> None:
        """Report the slots whose pages, and all pages before, are acknowledged."""
        if stream.ended:
            return
        done = 0
        for page in stream.pages:
            if not page.acked:
                break
            done += 1
            stream.report.slots.extend(page.finished)
            stream.report = stream.report._replace(
                entries=stream.report.entries + len(page.entries),
                bytes=stream.report.bytes + page.size,
            )
        del stream.pages[:done]
        if stream.exhausted and not stream.pages:
            self._finish(stream, now)
        elif (
            len(stream.report.slots) >= SLOTS_PER_PAGE_MAX
            or now.mono_s >= stream.reported_s + _REPORT_INTERVAL_S
        ):
            stream.reported_s = now.mono_s
            report, stream.report = stream.report, Sent([], 0, 0, False, "")
            stream.order.on_sent(report, now)

    def _finish(self, stream: _Stream, now: Now) -> None:
        self._drop(stream)
        self._measure(now)
        stream.order.on_sent(stream.report._replace(ended=True), now)

    def _measure(self, now: Now) -> None:
        """All streams have ended: how fast was it, if enough was sent to tell?"""
        sent = self.bytes_sent - self._busy_from_bytes
        lasted_s = now.mono_s - self._busy_since_s
        if not self._streams and sent >= _MEASURED_BYTES_MIN and lasted_s > 0:
            self._measured_bytes_per_s = sent / lasted_s


def _plain(entry: SlotEntry) -> list[object]:
    return list(entry)
