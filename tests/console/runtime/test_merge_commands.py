"""Merges of a cluster: answers joined in order, silent nodes named, the table readable."""

from __future__ import annotations

import pytest

from console.cli_merges import _row
from console.errors import ClusterUnreachable
from console.runtime.merge_commands import Merge, merged
from nodecore.replication.merges import MergeFigures, MergeReport


def answer(node: str, began_ms: int, end: str = "complete") -> dict[str, object]:
    figures = MergeFigures(5, 2, 4, 1, 2, 16_384, 12, 9)
    ended_ms = began_ms + 9_500 if end else 0
    report = MergeReport(1, ("n3",), began_ms - 30_000, began_ms, ended_ms, end, figures)
    apart = [{"peer": "n9", "since_wall_ms": 5}]
    return {"node": node, "merges": [report.to_plain()], "apart": apart}


def test_answers_of_all_nodes_are_joined_in_order_of_time() -> None:
    found = merged({"n1": answer("n1", 2_000), "n2": answer("n2", 1_000)})
    assert [merge.node for merge in found.merges] == ["n2", "n1"]
    assert [(away.node, away.peer) for away in found.apart] == [("n1", "n9"), ("n2", "n9")]
    assert found.silent == []


def test_nodes_without_a_usable_answer_are_named() -> None:
    found = merged({"n1": ClusterUnreachable("gone"), "n2": answer("n2", 1), "n3": {"x": 1}})
    assert found.silent == ["n1", "n3"]
    with pytest.raises(ClusterUnreachable):
        merged({"n1": ClusterUnreachable("gone")})


def row(end: str) -> tuple[object, ...]:
    merge: Merge = merged({"n1": answer("n1", 50_000, end)}).merges[0]
    return _row(merge)


def test_a_row_tells_the_story_of_one_merge() -> None:
    assert row("complete") == (
        "n1", "n3", 30.0, 9.5, "complete", 5, 2, 4, 16_384, 12, 3, 1, 2,
    )  # fmt: skip
    assert row("")[3:5] == (None, "running")
