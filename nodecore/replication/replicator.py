"""Sends jobs to the owners of their keys and tallies the frames.

What goes to one peer within one wake-up travels together: large jobs (the writes of many requests
share one) as one columnar ``PeerWrite`` for each peer whatever the number of owner sets, small ones
joined into one ``PeerApply``. One acknowledgement of a frame counts for everything in it. Owners that can't be asked, or did not
answer, get hints.

It decides whom to send to and what to keep for those that missed it; versions and outcomes are made
elsewhere (``versions``, ``job``).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Final

from nodecore.errors import Code
from nodecore.ids import Epoch, Incarnation, NodeId, Now
from nodecore.replication.calls import CallEnd, CallFailed, Calls
from nodecore.replication.epochs import OnStale
from nodecore.replication.hints import Hint, Hints
from nodecore.replication.job import Claim, Job, Part
from nodecore.replication.own_copy import OwnCopies
from nodecore.replication.policy import Policy
from nodecore.replication.replica import Replica
from nodecore.requests import Failed, Outcome
from nodecore.routing import Peers, Route, Routing
from nodecore.table.interface import Kind
from transport.messages import Message, PeerApply, PeerWrite, PeerWritten

COLUMNAR_ROWS_MIN: Final = 8
"""From so many keys (or alone) a job gets a frame of its own: bulk apply beats sharing a frame."""
APPLY_ROWS_MAX: Final = 1024
APPLY_BYTES_MAX: Final = 1024 * 1024
RESTARTS_MAX: Final = 4
"""Epochs that one job may outlive before it gives up."""

_Item = tuple[Job, int, list[Part]]
"""A job, its round, and the parts that this peer owns."""


class Replicator:
    """Replication of this node's writes.

    Args:
        node: this node's id.
        replica: applies local copies.
        peers: whom to call.
        calls: how.
        hints: for those that miss a write.
        incarnation: of this node, for its own acknowledgement.
        policy: whether a keyspace takes writes now.
        on_stale: what to do when a peer is ahead of our epoch.
    """

    def __init__(
        self,
        node: NodeId,
        replica: Replica,
        peers: Peers,
        calls: Calls,
        hints: Hints,
        incarnation: Incarnation,
        policy: Policy,
        on_stale: OnStale,
    ) -> None:
        self._node = node
        self._replica = replica
        self._peers = peers
        self._calls = calls
        self._hints = hints
        self._incarnation = incarnation
        self._policy = policy
        self._on_stale = on_stale
        self._outbox: dict[NodeId, list[_Item]] = {}
        self.routing: Routing | None = None
        self.own_copies = OwnCopies(node, incarnation, calls, self._progress)

    def replicate(self, job: Job, groups: dict[Route, list[int]], now: Now) -> Outcome | None:
        """Start a job of one request; returns its outcome if it is settled at once.

        Strict jobs, and those whose keyspace is not ``available``, are refused before anything is
        written when too few owners can be asked.
        """
        complaint = self.complaint(job, groups)
        if complaint is not None:
            self._policy.count_write(complaint)
            return complaint
        self._begin(job, groups, now)
        self._judge(job, now)
        return job.claims[0].outcome

    def replicate_shared(self, job: Job, groups: dict[Route, list[int]], now: Now) -> None:
        """Start a job of many requests, about which :meth:`complaint` has nothing to say."""
        self._begin(job, groups, now)
        self._settle(job, now)

    def flush(self, now: Now) -> None:
        """Send what has collected since the last flush: the end of a wake-up."""
        if not self._outbox:
            return
        outbox, self._outbox = self._outbox, {}
        shared: tuple[list[_Item], Message] | None = None
        for peer, items in outbox.items():
            small: list[_Item] = []
            for item in items:
                job = item[0]
                alone = len(items) == 1 or len(job.keys) >= COLUMNAR_ROWS_MIN
                if alone and job.kind == Kind.STRING:
                    self._request(peer, [item], self._columnar(item), now)
                else:
                    small.append(item)
            for batch in _batches(small):
                # Peers of one owner set get the same rows: the same message object says so to the encoder.
                if shared is None or not _same_rows(shared[0], batch):
                    shared = (batch, self._rows(batch))
                self._request(peer, batch, shared[1], now)

    def refusal(self, route: Route) -> Failed | None:
        """Why the keyspace of ``route`` takes no writes now; counted."""
        refused = self._policy.refuses_write(route) if route.ruled else None
        if refused is not None:
            self._policy.count_write(refused)
        return refused

    def complaint(self, job: Job, groups: dict[Route, list[int]]) -> Failed | None:
        """Why a job can't be started, None when it can."""
        for route in groups:
            refused = self._policy.refuses_write(route) if route.ruled else None
            if refused is not None:
                return refused
        for route in groups:
            needed = 1
            if job.strict or route.keyspace.on_partition != "available":
                needed = route.writes_needed(job.level, route.n)
            reachable = sum(1 for owner in route.owners if self._peers.reachable(owner))
            if reachable < needed:
                text = f"{reachable} of {needed} owners can be reached"
                return Failed(Code.NOT_ENOUGH_COPIES, text)
        return None

    def _begin(self, job: Job, groups: dict[Route, list[int]], now: Now) -> None:
        assert self.routing is not None
        epoch = self.routing.epoch
        parts = [Part(route, indexes, job.level, epoch) for route, indexes in groups.items()]
        job.begin_round(parts)
        by_peer: dict[NodeId, list[Part]] = {}
        for part in parts:
            for peer in part.route.targets:
                by_peer.setdefault(peer, []).append(part)
        for peer, owned in by_peer.items():
            if peer == self._node:
                self._apply_here(job, owned, now, alone=len(by_peer) == 1)
            elif self._peers.can_call(peer):
                job.waiting += 1
                self._outbox.setdefault(peer, []).append((job, job.round, owned))
            else:
                for part in owned:
                    part.fail(peer)
                job.missed.append((peer, owned))

    def _apply_here(self, job: Job, owned: list[Part], now: Now, *, alone: bool) -> None:
        keys, values, indexes = rows_of(job, owned)
        if not alone:
            # In a round after the first, what that one replaced, not what it wrote.
            job.replaced = self._replica.held(keys, job.version) | job.replaced
        disk = self._replica.disk
        synced = disk.synced_puts
        refused = self._replica.apply_own(keys, values, job.kind, job.version, job.expires_ms, now)
        for row, code in refused:
            job.refusals.setdefault(indexes[row], {})[self._node] = code
        assert self.routing is not None
        if disk.synced_puts != synced:
            self.own_copies.wait(job, owned, self.routing.epoch, disk, now)
            return
        for part in owned:
            part.ack(self._node, self.routing.epoch, self._incarnation)

    def _columnar(self, item: _Item) -> PeerWrite:
        job, _round, owned = item
        assert self.routing is not None
        if job.frame is not None and _same_parts(job.frame[0], owned):
            return job.frame[1]
        keys, values, _ = rows_of(job, owned)
        message = PeerWrite(
            epoch=self.routing.epoch,
            keys=keys,
            values=values,
            hlc=job.version.hlc,
            node=job.version.node,
            expires_ms=job.expires_ms,
        )
        job.frame = (owned, message)
        return message

    def _rows(self, batch: list[_Item]) -> PeerApply:
        assert self.routing is not None
        entries: list[object] = []
        for job, _round, owned in batch:
            hlc, node = job.version
            keys, values, kind, expires_ms = job.keys, job.values, job.kind, job.expires_ms
            entries.extend(
                [keys[index], kind, values[index], hlc, node, expires_ms]
                for index in indexes_of(job, owned)
            )
        return PeerApply(epoch=self.routing.epoch, cause="update", entries=entries)

    def _request(self, peer: NodeId, items: list[_Item], message: Message, now: Now) -> None:
        self._calls.request(peer, message, partial(self._on_end, peer, items), now)

    def _on_end(self, peer: NodeId, items: list[_Item], end: CallEnd, now: Now) -> None:
        if isinstance(end, PeerWritten):
            refused = _parse_refused(end.refused)
            start = 0
            for job, round_, owned in items:
                rows = sum(len(part.indexes) for part in owned)
                if job.round == round_:
                    if refused:
                        self._note_refusals(job, owned, peer, refused, start)
                    for part in owned:
                        part.ack(peer, Epoch(end.epoch), Incarnation(end.incarnation))
                    self._progress(job, now)
                else:
                    # Of an epoch that is over: it counts no more, but it was applied.
                    job.possible = True
                start += rows
            return
        stale = isinstance(end, CallFailed) and end.code is Code.STALE_EPOCH
        for job, round_, owned in items:
            if job.round != round_:
                continue
            if stale and job.restarts < RESTARTS_MAX:
                job.restarts += 1
                # The round is over: what else it brings counts no more.
                job.round += 1
                self._on_stale(peer, owned[0].old.epoch, partial(self._restart, job), now)
            else:
                job.possible = job.possible or not isinstance(end, CallFailed) or end.sent
                for part in owned:
                    part.fail(peer)
                self._missed(job, peer, owned, now)
                self._progress(job, now)

    def _restart(self, job: Job, newer: bool, now: Now) -> None:
        """Run a job again at the new epoch (or, when none came in time, let it end)."""
        assert self.routing is not None
        if newer:
            slots = self._replica.store.table.slots_of(job.keys)
            self._begin(job, self.routing.group(job.keys, slots), now)
        else:
            job.possible = True
            job.waiting = 0
        self._settle(job, now)

    def restart_all(self, now: Now) -> None:
        """A newer document is in force: what waits to be sent is grouped again."""
        outbox, self._outbox = self._outbox, {}
        seen: list[Job] = []
        for items in outbox.values():
            for job, round_, _owned in items:
                if job.round == round_:
                    job.round += 1
                    seen.append(job)
        for job in seen:
            self._restart(job, True, now)

    def _progress(self, job: Job, now: Now) -> None:
        job.waiting -= 1
        self._settle(job, now)

    def _judge(self, job: Job, now: Now) -> list[Claim]:
        """Judge a job; returns the claims that have just been settled."""
        if job.outcome is not None:
            return []
        if job.refusals and not job.waiting:
            self.own_copies.take_back(job, self._replica, now)
        claims = job.judge()
        if job.settled:
            self._after(job, now)
        return claims

    def _settle(self, job: Job, now: Now) -> None:
        """Judge a job and tell the requests that are settled."""
        for claim in self._judge(job, now):
            assert claim.outcome is not None
            claim.on_settled(claim.outcome, now)

    def _after(self, job: Job, now: Now) -> None:
        """The outcome is known: keep hints for those that missed a write that counts."""
        if isinstance(job.outcome, Failed):
            return
        for peer, owned in job.missed:
            self._hint(job, peer, owned, now)
        job.missed = []

    def _missed(self, job: Job, peer: NodeId, owned: list[Part], now: Now) -> None:
        if job.outcome is None:
            job.missed.append((peer, owned))
        elif not isinstance(job.outcome, Failed):
            self._hint(job, peer, owned, now)

    def _hint(self, job: Job, peer: NodeId, owned: list[Part], now: Now) -> None:
        for part in owned:
            for index in part.indexes:
                if index in job.taken_back or job.surely_failed(part, index):
                    continue
                self._hints.add(
                    peer,
                    Hint(
                        job.keys[index],
                        job.kind,
                        job.values[index],
                        job.version,
                        job.expires_ms,
                        now.mono_s,
                    ),
                )

    def _note_refusals(
        self,
        job: Job,
        owned: list[Part],
        peer: NodeId,
        refused: list[tuple[int, Code]],
        start: int,
    ) -> None:
        indexes = indexes_of(job, owned)
        for row, code in refused:
            if start <= row < start + len(indexes):
                job.refusals.setdefault(indexes[row - start], {})[peer] = code


def rows_of(job: Job, owned: list[Part]) -> tuple[Sequence[bytes], Sequence[bytes], Sequence[int]]:
    """(keys, values, their positions in the job) of some parts: of all of them in order of the job,
    else part after part.
    """
    indexes = indexes_of(job, owned)
    keys, values = job.keys, job.values
    if len(indexes) == len(keys):
        return list(keys), list(values), indexes
    return [keys[i] for i in indexes], [values[i] for i in indexes], indexes


def indexes_of(job: Job, owned: list[Part]) -> Sequence[int]:
    """Positions of the rows of some parts, in the order in which they travel."""
    if sum([len(part.indexes) for part in owned]) == len(job.keys):
        return range(len(job.keys))
    return [index for part in owned for index in part.indexes]


def _batches(items: list[_Item]) -> list[list[_Item]]:
    """Split so that no frame outgrows its bounds."""
    batches: list[list[_Item]] = []
    rows = size = 0
    for item in items:
        job = item[0]
        item_size = sum(map(len, job.keys)) + sum(map(len, job.values))
        fits = rows + len(job.keys) <= APPLY_ROWS_MAX and size + item_size <= APPLY_BYTES_MAX
        if not batches or not fits:
            batches.append([])
            rows = size = 0
        batches[-1].append(item)
        rows += len(job.keys)
        size += item_size
    return batches


def _same_rows(one: list[_Item], other: list[_Item]) -> bool:
    if len(one) != len(other):
        return False
    return all(
        job is job_other and _same_parts(owned, owned_other)
        for (job, _, owned), (job_other, _, owned_other) in zip(one, other, strict=True)
    )


def _same_parts(one: list[Part], other: list[Part]) -> bool:
    return len(one) == len(other) and all(a is b for a, b in zip(one, other, strict=True))


def _parse_refused(plain: object) -> list[tuple[int, Code]]:
    found: list[tuple[int, Code]] = []
    if isinstance(plain, list):
        for item in plain:
            if isinstance(item, list) and len(item) == 2 and isinstance(item[0], int):
                try:
                    found.append((item[0], Code(item[1])))
                except (ValueError, TypeError):
                    found.append((item[0], Code.INTERNAL))
    return found
