"""Client routing: route tables, owners, groups, nodes that are down."""

from __future__ import annotations

import pytest

from nodecore.client.routing import DOWN_S, MalformedRoutes, Router, Routes
from nodecore.placement.hashing import slot_of
from transport.messages import ClientRouteTable

MEMBERS: list[object] = [["n1", "h:1", True], ["n2", "h:2", True], ["n3", "h:3", True]]
RANGES: list[object] = [[0, 5461, [0, 1]], [5462, 10922, [1, 2]], [10923, 16383, [2, 0]]]


def router(epoch: int = 3) -> Router:
    made = Router()
    assert made.adopt(Routes.parse(ClientRouteTable(epoch, MEMBERS, RANGES)))
    return made


def test_keys_go_to_their_first_owner() -> None:
    made = router()
    keys = [b"key%d" % number for number in range(200)]
    groups = dict(made.group(keys, 0.0))
    assert sorted(index for indexes in groups.values() for index in indexes) == list(range(200))
    for node, indexes in groups.items():
        for index in indexes:
            assert slot_of(keys[index]) * 3 // 16384 == int(node[1]) - 1
            assert made.candidates(keys[index], 0.0)[0] == node


def test_a_node_that_failed_is_avoided_for_a_while() -> None:
    made = router()
    key = b"foo"  # slot 12182: n3, then n1
    assert made.group([key], 0.0) == [("n3", [0])]
    made.mark_down("n3", 0.0)
    assert made.group([key], 0.1) == [("n1", [0])]
    made.mark_down("n1", 0.1)
    assert made.group([key], 0.2) == [("n2", [0])], "no owner is left: anybody else may forward"
    assert made.group([key], DOWN_S + 0.01) == [("n3", [0])]
    made.mark_down("n3", 5.0)
    made.mark_up("n3")
    assert made.group([key], 5.0) == [("n3", [0])]


def test_nodes_that_the_cluster_calls_down_come_last() -> None:
    made = Router()
    members: list[object] = [["n1", "h:1", True], ["n2", "h:2", False], ["n3", "h:3", True]]
    made.adopt(Routes.parse(ClientRouteTable(1, members, [[0, 16383, [1, 2, 0]]])))
    assert made.group([b"a", b"b"], 0.0) == [("n3", [0, 1])]


def test_older_routes_are_ignored() -> None:
    made = router(3)
    assert not made.adopt(Routes.parse(ClientRouteTable(2, MEMBERS, RANGES)))
    assert made.adopt(Routes.parse(ClientRouteTable(3, MEMBERS, RANGES)))


@pytest.mark.parametrize(
    ("members", "ranges"),
    [
        ("x", RANGES),
        (MEMBERS, {}),
        ([["n1", "h:1"]], [[0, 16383, [0]]]),
        (MEMBERS, [[0, 5461, [0]]]),
        (MEMBERS, [[0, 16383, [3]]]),
        (MEMBERS, [[0, 16383, [-1]]]),
        (MEMBERS, [[0, 16384, [0]]]),
        (MEMBERS, [[0, 100, [0]], [100, 16383, [0]]]),
        (MEMBERS, [[0, 16383, 0]]),
    ],
)
def test_malformed_tables_are_refused(members: object, ranges: object) -> None:
    with pytest.raises(MalformedRoutes):
        Routes.parse(ClientRouteTable(1, members, ranges))
