"""Commands: what a keystroke asks of the source, as data that can be run, shown and undone.

A :class:`Command` is built by the bars and run by the app on the source's side. An
:class:`UndoEntry` says what would take a successful command back; the :class:`UndoStack` keeps
them and drops those that no longer apply.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from console.source import ActiveFault, ClusterSnapshot, ClusterSource, CommandResult, ProcessState

FAULT_DEADLINE_S: Final = 1.0
PROCESS_DEADLINE_S: Final = 3.0
RESTART_DEADLINE_S: Final = 15.0
MEMBERSHIP_DEADLINE_S: Final = 60.0
UNDO_MAX: Final = 100
SETTLE_MS: Final = 3_000
"""An entry younger than this is believed although no snapshot shows its effect yet."""

Run = Callable[[ClusterSource], Awaitable[CommandResult]]


@dataclass(frozen=True, slots=True)
class UndoEntry:
    """What would take a command back."""

    kind: str
    """``kill``, ``pause``, ``fault``, ``add``, ``load``."""
    text: str
    """What is undone: ``kill n3``."""
    node_ids: tuple[str, ...] = ()
    """Those concerned; for ``add`` the ones that were there before."""
    fault_id: str = ""
    at_wall_ms: int = 0


@dataclass(frozen=True, slots=True)
class Command:
    """Something to be done by the source."""

    text: str
    """For the log: ``kill n3``."""
    run: Run
    deadline_s: float = FAULT_DEADLINE_S
    """Without a result for longer, the log says ``not acknowledged``."""
    undo_kind: str = ""
    node_ids: tuple[str, ...] = ()
    clears_undo: bool = False
    """Heal-all: nothing is left to undo."""


def names(node_ids: Sequence[str]) -> str:
    """``n1 n2``; many are counted."""
    return " ".join(node_ids) if len(node_ids) <= 4 else f"{len(node_ids)} nodes"


def kill(node_ids: Sequence[str]) -> Command:
    """Kill -9."""
    ids = tuple(node_ids)
    return Command(
        f"kill {names(ids)}", lambda source: source.kill(ids), PROCESS_DEADLINE_S, "kill", ids
    )


def terminate(node_ids: Sequence[str]) -> Command:
    """A graceful stop."""
    ids = tuple(node_ids)
    return Command(
        f"terminate {names(ids)}",
        lambda source: source.terminate(ids),
        RESTART_DEADLINE_S,
        "kill",
        ids,
    )


def pause(node_ids: Sequence[str]) -> Command:
    """SIGSTOP."""
    ids = tuple(node_ids)
    return Command(
        f"pause {names(ids)}", lambda source: source.pause(ids), PROCESS_DEADLINE_S, "pause", ids
    )


def resume(node_ids: Sequence[str]) -> Command:
    """SIGCONT."""
    ids = tuple(node_ids)
    return Command(f"resume {names(ids)}", lambda source: source.resume(ids), PROCESS_DEADLINE_S)


def restart(node_ids: Sequence[str]) -> Command:
    """Stop if need be, and start again."""
    ids = tuple(node_ids)
    return Command(f"restart {names(ids)}", lambda source: source.restart(ids), RESTART_DEADLINE_S)


def heal_all() -> Command:
    """Everything that was broken on purpose is lifted."""
    return Command(
        "heal all", lambda source: source.heal_all(), RESTART_DEADLINE_S, clears_undo=True
    )


def add_nodes(count: int, present: Sequence[str]) -> Command:
    """Start and join nodes; ``present`` are those already there, so that undo knows the new ones."""
    word = "add node" if count == 1 else f"add {count} nodes"
    return Command(
        word,
        lambda source: source.add_nodes(count),
        MEMBERSHIP_DEADLINE_S,
        "add",
        tuple(present),
    )


def remove_node(node_id: str) -> Command:
    """A graceful leave: its copies move first."""
    return Command(
        f"remove {node_id}", lambda source: source.remove_node(node_id), MEMBERSHIP_DEADLINE_S
    )


def remove_fault(fault_id: str, text: str) -> Command:
    """Lift one fault."""
    return Command(f"lift {text}", lambda source: source.remove_fault(fault_id))


@dataclass(frozen=True, slots=True)
class LinkFault:
    """A link fault to be installed on the same terms on several targets."""

    kind: str
    text: str
    """``latency 200±50 ms``."""
    attributes: Mapping[str, float]
    stream: str = "down"
    """``down`` (what the node answers), ``up`` (what it is asked) or ``both``."""
    toxicity: float = 1.0
    for_s: float | None = None
    control: bool = False
    place: str = ""
    """``disk`` or ``clock``; empty: links."""

    def link(self, node_id: str) -> str:
        """The fault's target at a node: a bare name is everything that reaches it."""
        return f"{node_id}:{self.place}" if self.place else node_id


def add_link_fault(node_ids: Sequence[str], fault: LinkFault) -> Command:
    """Install a fault on everything that reaches each of the nodes, or on its disk or clock."""
    ids = tuple(node_ids)

    async def run(source: ClusterSource) -> CommandResult:
        results = []
        for node_id in ids:
            result = await source.add_fault(
                fault.kind,
                fault.link(node_id),
                fault.attributes,
                stream=fault.stream,
                toxicity=fault.toxicity,
                for_s=fault.for_s,
                control=fault.control,
            )
            results.append(result)
        return combined(results)

    return Command(f"{fault.text} on {names(ids)}", run, FAULT_DEADLINE_S, "fault", ids)


def combined(results: Sequence[CommandResult]) -> CommandResult:
    """One result for several: ok only if all are; the words of the failures first."""
    if len(results) == 1:
        return results[0]
    failed = [result for result in results if not result.ok]
    chosen = failed or list(results)
    ids = " ".join(result.fault_id for result in results if result.fault_id)
    text = "; ".join(dict.fromkeys(result.text for result in chosen))
    return CommandResult(not failed, text, ids, results[0].undo if results else "")


def set_load(*, running: bool, rate: float, zipf: float, reads: float) -> Command:
    """Start, stop or change the built-in load."""
    word = f"load {rate:.0f} op/s zipf {zipf:.1f} reads {reads:.0%}" if running else "stop load"
    return Command(
        word,
        lambda source: source.set_load(running=running, rate=rate, zipf=zipf, reads=reads),
        PROCESS_DEADLINE_S,
    )


class UndoStack:
    """What can be taken back, newest last."""

    def __init__(self) -> None:
        self._entries: list[UndoEntry] = []

    def push(self, command: Command, result: CommandResult, at_wall_ms: int) -> None:
        """A command succeeded."""
        if command.clears_undo:
            self._entries.clear()
        elif command.undo_kind:
            entry = UndoEntry(
                command.undo_kind, command.text, command.node_ids, result.fault_id, at_wall_ms
            )
            self._entries = [*self._entries[-UNDO_MAX + 1 :], entry]

    def newest(self, snapshot: ClusterSnapshot) -> UndoEntry | None:
        """The entry that ``u`` would take back; entries without effect are dropped on the way.

        Without an entry of our own, the newest undoable fault that the cluster reports.
        """
        while self._entries:
            entry = self._entries[-1]
            if still_applies(entry, snapshot):
                return entry
            self._entries.pop()
        reported = [fault for fault in snapshot.faults if fault.undoable]
        if not reported:
            return None
        return entry_of_fault(max(reported, key=lambda fault: fault.since_wall_ms))

    def discard(self, entry: UndoEntry) -> None:
        """An entry is being taken back."""
        self._entries = [kept for kept in self._entries if kept is not entry]


def entry_of_fault(fault: ActiveFault) -> UndoEntry:
    """The undo of a fault that the cluster reports, whoever made it."""
    text = fault.text or f"{fault.kind} {fault.target}"
    if fault.kind in ("kill", "pause", "terminate"):
        kind = "pause" if fault.kind == "pause" else "kill"
        return UndoEntry(kind, text, (fault.target,), fault.fault_id, fault.since_wall_ms)
    return UndoEntry("fault", text, (), fault.fault_id, fault.since_wall_ms)


def still_applies(entry: UndoEntry, snapshot: ClusterSnapshot) -> bool:
    """Whether there is anything left to take back."""
    if snapshot.at_wall_ms - entry.at_wall_ms < SETTLE_MS:
        return True
    by_id = {member.node_id: member for member in snapshot.members}
    if entry.kind == "fault":
        active = {fault.fault_id for fault in snapshot.faults}
        return any(fault_id in active for fault_id in entry.fault_id.split())
    present = [by_id[node_id] for node_id in entry.node_ids if node_id in by_id]
    if entry.kind == "pause":
        return any(member.process is ProcessState.PAUSED for member in present)
    if entry.kind == "kill":
        return any(member.process is ProcessState.EXITED for member in present)
    return entry.kind == "add" and bool(added_since(entry, snapshot))


def added_since(entry: UndoEntry, snapshot: ClusterSnapshot) -> tuple[str, ...]:
    """Nodes that an ``add`` brought and that are still there, newest last."""
    return tuple(
        member.node_id
        for member in snapshot.members
        if member.node_id not in entry.node_ids and member.status != "left"
    )


def inverse(entry: UndoEntry) -> Command | None:
    """The command that takes an entry back; None for membership, which asks first."""
    if entry.kind == "kill":
        return restart(entry.node_ids)
    if entry.kind == "pause":
        return resume(entry.node_ids)
    if entry.kind == "fault":
        fault_ids = tuple(entry.fault_id.split())

        async def lift(source: ClusterSource) -> CommandResult:
            return combined([await source.remove_fault(fault_id) for fault_id in fault_ids])

        return Command(f"undo {entry.text}", lift)
    return None
