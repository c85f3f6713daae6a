"""What a join or a leave would move, before it is done."""

from __future__ import annotations

import pytest

from console.errors import ConsoleError
from console.previews import from_answer, preview_join, preview_leave
from nodecore.config import Addresses
from nodecore.ids import NodeId
from nodecore.placement.proposals import bootstrap
from nodecore.placement.topology import Member, RingSettings, Topology


def topology(count: int) -> Topology:
    members = [
        Member(NodeId(f"n{n}"), Addresses(f"127.0.0.1:{n}", f"127.0.0.1:{100 + n}", ""))
        for n in range(1, count + 1)
    ]
    return bootstrap("c", members, RingSettings())


def test_a_join_takes_about_its_share_and_gives_nothing_between_others() -> None:
    holdings = {NodeId(f"n{n}"): (3000, 300_000) for n in range(1, 6)}
    preview = preview_join(topology(5), holdings, "n6", 1)
    assert preview.node_id == "n6"
    assert preview.minimum_share == pytest.approx(1 / 6)
    shares = dict(preview.share_from)
    assert shares["n6"] < 1.3 * preview.minimum_share
    assert preview.first_owners is not None
    assert preview.first_owners.count("n6") / 16_384 == pytest.approx(shares["n6"])
    assert shares["n6"] < preview.slots_moved / 16_384 <= preview.copies_moved / 16_384
    assert all(change < 0 for node, change in shares.items() if node != "n6")
    assert preview.keys_moved is not None
    assert 0 < preview.keys_moved < 15_000


def test_several_and_unknown_holdings() -> None:
    preview = preview_join(topology(3), {}, "n4", 2)
    assert preview.node_id == "n4..n5"
    assert (preview.keys_moved, preview.bytes_moved, preview.seconds) == (None, None, None)
    assert preview.minimum_share == pytest.approx(2 / 5)


def test_a_leave_gives_everything_away() -> None:
    preview = preview_leave(topology(4), {}, "n2")
    assert dict(preview.share_from)["n2"] < 0
    assert preview.slots_moved > 0


def test_what_can_not_be_is_said() -> None:
    with pytest.raises(ConsoleError):
        preview_leave(topology(3), {}, "n9")


def test_an_answer_of_the_nodes_is_put_into_shape() -> None:
    answer = {
        "slots_moved": 5,
        "copies_moved": 7,
        "keys_moved": 70,
        "bytes_moved": 700,
        "seconds": 1.5,
        "share_from": [["n1", -0.25], ["n4", 0.25]],
        "minimum_share": 0.25,
        "nodes": [],
        "silent": [],
    }
    shown = from_answer("n4", answer)
    assert shown is not None
    assert (shown.node_id, shown.keys_moved, shown.seconds) == ("n4", 70, 1.5)
    assert shown.share_from == (("n1", -0.25), ("n4", 0.25))
    assert from_answer("n4", {**answer, "seconds": None}) is None
    assert from_answer("n4", 7) is None
