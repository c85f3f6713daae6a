"""Faults of one node: verbs over the fault board, their words for people, and skewed clocks.

The board (``transport.faults``) keeps and ends faults; links and disks apply them. This module checks
that chaos is allowed, translates arguments and board entries, and says what the wall clock of this
node is off by.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Final

from nodecore.disk_faults import disk_fault_problem
from nodecore.doors.session import OnOutcome
from nodecore.effects import Emit, Severity
from nodecore.errors import Code
from nodecore.ids import Now
from nodecore.requests import Done, Failed, Outcome
from nodecore.statistics import FaultState
from transport.faults import (
    ActiveFault,
    FaultBoard,
    FaultRefused,
    FaultSpec,
    InvalidFault,
    parse_fault,
)

if TYPE_CHECKING:
    from nodecore.node import Node

FOR_S_MAX: Final = 86_400.0
LEASE_S_MAX: Final = 60.0
ID_LENGTH_MAX: Final = 100
_DISABLED: Final = Failed(
    Code.CHAOS_DISABLED, "this node was started without --enable-chaos: it takes no faults"
)


def fault_add(
    node: Node, arguments: Mapping[str, object], _on_outcome: OnOutcome, now: Now
) -> Outcome:
    """Start a fault: ``id``, ``owner``, ``lease_s`` or ``for_s``, and what ``parse_fault`` takes."""
    if not node.config.enable_chaos:
        return _DISABLED
    fault_id, owner = arguments.get("id"), arguments.get("owner", "admin")
    lease_s, for_s = arguments.get("lease_s"), arguments.get("for_s")
    problems: list[str] = []
    if not isinstance(fault_id, str) or not 0 < len(fault_id) <= ID_LENGTH_MAX:
        problems.append(f"id must be a text of 1 to {ID_LENGTH_MAX} characters")
    if not isinstance(owner, str) or not 0 < len(owner) <= ID_LENGTH_MAX:
        problems.append(f"owner must be a text of 1 to {ID_LENGTH_MAX} characters")
    problems += _span_problem("lease_s", lease_s, LEASE_S_MAX)
    problems += _span_problem("for_s", for_s, FOR_S_MAX)
    rest = {
        name: value
        for name, value in arguments.items()
        if name not in ("id", "owner", "lease_s", "for_s")
    }
    spec: FaultSpec | None = None
    try:
        spec = parse_fault(rest)
    except InvalidFault as invalid:
        problems += invalid.problems
    if spec is not None and (problem := disk_fault_problem(spec, node.config)):
        problems.append(problem)
    if spec is None or problems:
        return Failed(Code.BAD_REQUEST, "; ".join(problems))
    lease = float(lease_s) if isinstance(lease_s, int | float) else None
    end_s = None
    if lease is None and isinstance(for_s, int | float):
        end_s = now.mono_s + for_s
    try:
        fault = node.fault_board.add(
            str(fault_id), spec, str(owner), now.mono_s, lease_s=lease, ends_at_s=end_s
        )
    except FaultRefused as refused:
        return Failed(Code.REFUSED, str(refused))
    _tell(node, "fault.added", fault, Severity.WARNING)
    return Done({"id": fault.fault_id})


def fault_remove(
    node: Node, arguments: Mapping[str, object], _on_outcome: OnOutcome, _now: Now
) -> Outcome:
    """End one fault, by ``id``."""
    if not node.config.enable_chaos:
        return _DISABLED
    fault = node.fault_board.remove(str(arguments.get("id", "")))
    if fault is None:
        return Failed(Code.BAD_REQUEST, f"no fault with id {arguments.get('id')!r}")
    _tell(node, "fault.removed", fault, Severity.NOTICE)
    return Done({"id": fault.fault_id, "hits": fault.hits})


def fault_renew(
    node: Node, arguments: Mapping[str, object], _on_outcome: OnOutcome, now: Now
) -> Outcome:
    """Extend the leases of an ``owner``."""
    if not node.config.enable_chaos:
        return _DISABLED
    return Done({"renewed": node.fault_board.renew(str(arguments.get("owner", "")), now.mono_s)})


def fault_heal(
    node: Node, arguments: Mapping[str, object], _on_outcome: OnOutcome, _now: Now
) -> Outcome:
    """End every fault, or every one of an ``owner``."""
    owner = arguments.get("owner")
    ended = node.fault_board.remove_all(str(owner) if owner else None)
    for fault in ended:
        _tell(node, "fault.removed", fault, Severity.NOTICE)
    return Done({"removed": len(ended)})


def fault_list(
    node: Node, _arguments: Mapping[str, object], _on_outcome: OnOutcome, now: Now
) -> Outcome:
    """All active faults."""
    return Done({"faults": [asdict(state) for state in fault_states(node.fault_board, now)]})


def expire_faults(node: Node, now: Now) -> None:
    """End what is due."""
    board = node.fault_board
    if len(board):
        for fault in board.expire(now.mono_s):
            _tell(node, "fault.ended", fault, Severity.NOTICE)


def clock_skew_ms(board: FaultBoard) -> int:
    """What the faults on the clock add to this node's wall clock."""
    if not len(board):
        return 0
    return round(sum(fault.spec["offset"] for fault in board.at("clock")))


def fault_states(board: FaultBoard, now: Now) -> tuple[FaultState, ...]:
    """As statistics and the list verb show them."""
    return tuple(
        FaultState(
            fault_id=fault.fault_id,
            kind=fault.spec.kind,
            target=fault.spec.link,
            text=describe(fault),
            owner=fault.owner,
            since_wall_ms=now.wall_ms - round((now.mono_s - fault.since_s) * 1000),
            ends_wall_ms=(
                0
                if fault.ends_at_s is None
                else now.wall_ms + round((fault.ends_at_s - now.mono_s) * 1000)
            ),
            hits=fault.hits,
        )
        for fault in board.faults()
    )


def describe(fault: ActiveFault) -> str:
    """One line for a person: ``latency 200±50 ms down``, as whoever asked for it words it."""
    return fault.spec.text()


def _span_problem(name: str, value: object, high: float) -> list[str]:
    if value is None:
        return []
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= high:
        return [f"{name} must be a number of seconds above 0 and at most {high:g}"]
    return []


_BEGINNINGS: Final = {"fault.removed": "lifted: ", "fault.ended": "ended: "}


def _tell(node: Node, kind: str, fault: ActiveFault, severity: Severity) -> None:
    node.emit(
        Emit(
            kind,
            f"{_BEGINNINGS.get(kind, '')}{describe(fault)} on {fault.spec.link} ({fault.fault_id}, by {fault.owner})",
            severity,
            (("id", fault.fault_id), ("kind", fault.spec.kind), ("target", fault.spec.link)),
        )
    )
