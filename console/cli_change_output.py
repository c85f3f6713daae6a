"""How the commands that change a cluster print previews, the history, and why something can't be done."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from console.cli_output import print_json, print_table, result
from console.errors import NodeRefused
from console.formatting import clock


@contextmanager
def reasons(json_: bool) -> Iterator[None]:
    """With ``--json`` a refusal is a result too: its reason for programs, and the text."""
    try:
        yield
    except NodeRefused as refused:
        if json_ and refused.reason:
            print_json({"refused": refused.reason, "text": refused.text})
        if refused.reason and not refused.hint:
            refused.hint = f"reason: {refused.reason}"
        raise


def print_preview(found: Mapping[str, Any], json_: bool) -> None:
    """What a change would move, node by node."""
    if json_:
        print_json(found)
        return
    result(
        f"{found['slots_moved']:,} slots, {found['copies_moved']:,} slot copies, "
        f"{found['keys_moved']:,} keys, {found['bytes_moved'] / 1048576:,.1f} MiB; "
        f"about {found['seconds']:,.1f} s at {found['bytes_per_s'] / 1048576:,.1f} MiB/s a node"
    )
    result(
        f"{found['share_moved']:.1%} of all copies move; "
        f"no method could move less than {found['minimum_share']:.1%}"
    )
    print_table(
        ("node", "copies in", "keys in", "MiB in", "copies out", "MiB sent", "share", "share then"),
        [
            (
                node["node_id"],
                node["copies_in"],
                node["keys_in"],
                node["bytes_in"] / 1048576,
                node["copies_out"],
                node["bytes_out"] / 1048576,
                f"{node['first_share_before']:.1%}",
                f"{node['first_share_after']:.1%}",
            )
            for node in found["nodes"]
        ],
    )
    if found["silent"]:
        result(f"estimated for {', '.join(found['silent'])}, which did not answer")


def print_history(lines: Sequence[Mapping[str, Any]]) -> None:
    """The chain's documents, oldest first."""
    print_table(
        ("epoch", "when", "state", "members", "changed", "by", "reason"),
        [
            (
                line["epoch"],
                clock(line["proposed_ms"] or line["seen_ms"]),
                line["state"],
                line["members"],
                " ".join(
                    [f"+{node}" for node in line["added"]]
                    + [f"-{node}" for node in line["removed"]]
                ),
                line["proposer"] or None,
                line["reason"],
            )
            for line in lines
        ],
    )
