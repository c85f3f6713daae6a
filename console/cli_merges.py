"""``ringdeck cluster merges``: what it took to bring nodes together after a partition."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from console.cli_cluster import Json, Name
from console.cli_output import print_json, print_table, result, tell

if TYPE_CHECKING:
    from console.runtime.merge_commands import ClusterMerges, Merge


COLUMNS: Final = (
    "node", "with", "apart s", "took s", "end", "hints out", "hints in", "repaired", "slots",
    "differed", "conflicts", "won here", "won there",
)  # fmt: skip


def merges(name: Name = "default", json_: Json = False) -> None:
    """What each node did when peers came back: hints, repairs, conflicts and who won them."""
    from console.runtime import merge_commands
    from console.runtime.run import run_command

    found = run_command(lambda: merge_commands.merges(name))
    if json_:
        import msgspec

        print_json(msgspec.to_builtins(found))
        return
    _show(found)


def _show(found: ClusterMerges) -> None:
    for away in found.apart:
        result(f"{away.node} is apart from {away.peer}")
    if found.silent:
        tell(f"no answer from {', '.join(found.silent)}")
    if not found.merges:
        result("no merges so far")
        return
    print_table(COLUMNS, [_row(merge) for merge in found.merges])


def _row(merge: Merge) -> tuple[object, ...]:
    running = not merge.ended_wall_ms
    return (
        merge.node,
        " ".join(merge.peers),
        (merge.began_wall_ms - merge.apart_since_wall_ms) / 1000,
        None if running else (merge.ended_wall_ms - merge.began_wall_ms) / 1000,
        "running" if running else merge.end,
        merge.hints_delivered,
        merge.hints_taken,
        merge.keys_repaired,
        merge.slots_compared,
        merge.slots_differed,
        merge.conflicts_resolved,
        merge.conflicts_won_here,
        merge.conflicts_won_there,
    )
