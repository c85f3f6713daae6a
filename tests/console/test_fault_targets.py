"""Where link faults are installed."""

from __future__ import annotations

import pytest

from console.errors import UsageError
from console.fault_targets import Installation, installations, links_of

NODES = ["n1", "n2", "n3"]


def places(link: str, reachable: list[str] | None = None) -> list[tuple[str, str]]:
    found = installations(link, NODES, NODES if reachable is None else reachable)
    return [(entry.on, entry.link) for entry in found]


def test_names_mean_all_that_reaches_the_node() -> None:
    assert links_of("n3", "latency") == ("*->n3", "client->n3")
    assert links_of("n3", "cut") == ("*->n3", "client->n3", "n3->*")
    assert links_of("n1 -> n3", "cut") == ("n1->n3",)


def test_the_caller_holds_the_fault_once() -> None:
    assert places("n1->n3") == [("n1", "n1->n3")]
    assert places("*->n3") == [("n1", "n1->n3"), ("n2", "n2->n3")]
    assert places("client->n3") == [("n3", "client->n3")]
    assert places("client->*") == [(name, f"client->{name}") for name in NODES]
    assert places("n3->*") == [("n3", "n3->*")]
    assert places("*->*") == [(name, f"{name}->*") for name in NODES]


def test_the_callee_stands_in_for_a_caller_that_is_down() -> None:
    assert places("n1->n3", ["n2", "n3"]) == [("n3", "n1->n3")]
    assert places("*->n3", ["n2"]) == [("n2", "n2->n3")]
    with pytest.raises(UsageError, match="no node at either end"):
        places("client->n3", ["n1"])


def test_a_lone_node_has_no_peers_to_slow_down() -> None:
    assert installations("*->n1", ["n1"], ["n1"]) == []
    assert installations("client->n1", ["n1"], ["n1"]) == [Installation("n1", "client->n1")]


def test_a_disk_or_clock_is_the_nodes_own() -> None:
    assert links_of("n2:disk", "eio") == ("n2:disk",)
    assert links_of("n2", "eio") == links_of("n2:disk", "eio")
    assert links_of("n2", "skew") == ("n2:clock",)
    with pytest.raises(UsageError):
        links_of("*", "jump")
    assert places("n2:clock") == [("n2", "clock")]
    with pytest.raises(UsageError, match="can't be reached"):
        places("n2:clock", ["n1"])
    with pytest.raises(UsageError, match="no such node"):
        places("n9:disk")


@pytest.mark.parametrize(
    "target", ["n1:memory", ":disk", "", "*", "client", "->n1", "n1->", "n1->client", "a->b->c"]
)
def test_bad_targets(target: str) -> None:
    with pytest.raises(UsageError):
        links_of(target, "latency")


def test_unknown_names_list_the_known() -> None:
    with pytest.raises(UsageError, match="known: n1, n2, n3"):
        places("n1->n9")
