"""All active faults of one node, and when each of them ends.

Every fault has an owner and, unless ``forever`` was asked for in words, an end: a *lease* that its
owner renews (gone soon after the owner is), or a fixed time. The board only keeps and finds faults;
pipes apply them and count their hits here. ``changes`` grows with every addition and removal, so
that a pipe sees with one comparison that nothing has happened.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from random import Random
from typing import Final, final

from transport import limits
from transport.errors import TransportError
from transport.faulting.spec import DOWN, UP, FaultSpec
from transport.messages import Lane

_FOUND_MAX: Final = 4096
"""Links whose matching faults are remembered between changes."""


class FaultRefused(TransportError):  # noqa: N818 - the name says what it is
    """The board does not take the fault; nothing changed."""


@dataclass(slots=True)
class ActiveFault:
    """One fault on the board."""

    fault_id: str
    spec: FaultSpec
    owner: str
    since_s: float
    ends_at_s: float | None
    """Monotonic; None: until removed."""
    lease_s: float | None = None
    """What a renewal adds; None: the end is fixed."""
    hits: int = 0
    """Pieces of data delayed, dropped or changed, and connections refused or ended."""


@final
class FaultBoard:
    """Holds at most ``faults_max`` faults, in the order in which they were added."""

    def __init__(self, faults_max: int = limits.FAULTS_MAX) -> None:
        self._faults: dict[str, ActiveFault] = {}
        self._faults_max = faults_max
        self._found: dict[tuple[str, str, str, Lane], tuple[ActiveFault, ...]] = {}
        self.changes = 0

    def __len__(self) -> int:
        return len(self._faults)

    def add(
        self,
        fault_id: str,
        spec: FaultSpec,
        owner: str,
        now_s: float,
        *,
        lease_s: float | None = None,
        ends_at_s: float | None = None,
    ) -> ActiveFault:
        """Start a fault. Neither lease nor end: it stays until it is removed.

        Raises:
            FaultRefused: the id is in use, the board is full, the end is past, or both a lease and
                an end were given.
        """
        if fault_id in self._faults:
            raise FaultRefused(f"fault id {fault_id!r} is in use")
        if len(self._faults) >= self._faults_max:
            raise FaultRefused(f"{self._faults_max} faults are active already")
        if lease_s is not None and ends_at_s is not None:
            raise FaultRefused("a fault has a lease or an end, not both")
        if lease_s is not None:
            if lease_s <= 0:
                raise FaultRefused(f"lease of {lease_s:g} s")
            ends_at_s = now_s + lease_s
        if ends_at_s is not None and ends_at_s <= now_s:
            raise FaultRefused("the fault would end before it begins")
        fault = ActiveFault(fault_id, spec, owner, now_s, ends_at_s, lease_s)
        self._faults[fault_id] = fault
        self._changed()
        return fault

    def renew(self, owner: str, now_s: float) -> int:
        """Extend every lease of an owner; returns how many it holds."""
        renewed = 0
        for fault in self._faults.values():
            if fault.owner == owner and fault.lease_s is not None:
                fault.ends_at_s = now_s + fault.lease_s
                renewed += 1
        return renewed

    def remove(self, fault_id: str) -> ActiveFault | None:
        """End a fault; None when there is none of this id."""
        fault = self._faults.pop(fault_id, None)
        if fault is not None:
            self._changed()
        return fault

    def remove_all(self, owner: str | None = None) -> list[ActiveFault]:
        """End every fault, or every one of an owner."""
        return self._drop(
            fault for fault in self._faults.values() if owner is None or fault.owner == owner
        )

    def expire(self, now_s: float) -> list[ActiveFault]:
        """End what is due; returns it."""
        return self._drop(
            fault
            for fault in self._faults.values()
            if fault.ends_at_s is not None and fault.ends_at_s <= now_s
        )

    def _drop(self, ending: Iterable[ActiveFault]) -> list[ActiveFault]:
        dropped = list(ending)
        for fault in dropped:
            del self._faults[fault.fault_id]
        if dropped:
            self._changed()
        return dropped

    def _changed(self) -> None:
        self.changes += 1
        self._found.clear()

    def next_expiry_s(self) -> float | None:
        """When :meth:`expire` is due; None when no fault ends by itself."""
        ends = [fault.ends_at_s for fault in self._faults.values() if fault.ends_at_s is not None]
        return min(ends, default=None)

    def faults(self) -> list[ActiveFault]:
        """All of them, oldest first."""
        return list(self._faults.values())

    def matching(
        self, caller: str, callee: str, direction: str, lane: Lane
    ) -> tuple[ActiveFault, ...]:
        """Link faults that hit one direction of a link, oldest first."""
        key = (caller, callee, direction, lane)
        found = self._found.get(key)
        if found is None:
            found = tuple(
                fault
                for fault in self._faults.values()
                if fault.spec.hits(caller, callee, direction, lane)
            )
            if len(self._found) < _FOUND_MAX:
                self._found[key] = found
        return found

    def at(self, place: str) -> tuple[ActiveFault, ...]:
        """Faults of the ``disk`` or the ``clock``, oldest first."""
        return tuple(fault for fault in self._faults.values() if fault.spec.link == place)

    def refuses(self, caller: str, callee: str, lane: Lane, rng: Random) -> bool:
        """Whether a new connection must fail: a cut in either direction breaks its handshake."""
        if not self._faults:
            return False
        cuts = dict.fromkeys(
            fault.fault_id
            for direction in (UP, DOWN)
            for fault in self.matching(caller, callee, direction, lane)
            if fault.spec.kind == "cut"
        )
        for fault_id in cuts:
            fault = self._faults[fault_id]
            if rng.random() < fault.spec.toxicity:
                fault.hits += 1
                return True
        return False
