"""Conflicts: what is one, what is merely old, and how they are told."""

from __future__ import annotations

import pytest

from nodecore.effects import Emit
from nodecore.ids import NodeId, Now, Version
from nodecore.placement.hashing import node_tag
from nodecore.replication.conflicts import (
    EVENTS_PER_S,
    KEY_SHOWN_MAX,
    RACE_MS,
    REMEMBERED_MAX,
    TOLD_TOGETHER_MAX,
    Conflicts,
    Met,
    shown_key,
)
from nodecore.replication.separations import Separations
from tests.nodecore.replication.change_fakes import moment

HERE, NEAR, FAR = NodeId("here"), NodeId("near"), NodeId("far")
T0_MS = moment().wall_ms


def version(node: NodeId, at_s: float, counter: int = 0) -> Version:
    return Version((T0_MS + int(at_s * 1000)) << 16 | counter, node_tag(node))


class Owner:
    """An owner that was apart from ``far`` between 10 s and 20 s."""

    def __init__(self) -> None:
        self.events: list[Emit] = []
        away: list[str] = []
        separations = Separations(lambda peer: peer not in away)
        separations.tick([NEAR, FAR], moment(10))
        away.append(FAR)
        separations.tick([NEAR, FAR], moment(11))
        away.clear()
        separations.tick([NEAR, FAR], moment(20))
        names = {node_tag(name): str(name) for name in (HERE, NEAR, FAR)}
        self.rooms = Conflicts(separations, names.__getitem__, self.events.append)

    def meets(
        self,
        arrived: Version,
        held: Version,
        cause: str = "hint",
        key: bytes = b"k",
        now: Now | None = None,
    ) -> bool:
        return self.rooms.on_met(Met(key, arrived, 3, held, 5, cause), now or moment(21))


def test_writes_on_both_sides_of_a_partition_are_in_conflict_whoever_wins() -> None:
    owner = Owner()
    assert owner.meets(version(FAR, 12), version(HERE, 13))
    assert owner.meets(version(FAR, 15), version(NEAR, 14), "repair", b"other")
    assert owner.rooms.by_cause == {"hint": 1, "repair": 1}
    assert (owner.rooms.won_here, owner.rooms.won_there, owner.rooms.total) == (1, 1, 2)


@pytest.mark.parametrize(
    ("arrived", "held", "why"),
    [
        (version(FAR, 12), version(HERE, 25), "written after the return, by one who could know"),
        (version(FAR, 12), version(HERE, 5), "written before they were parted"),
        (version(FAR, 3), version(HERE, 12), "late, but from before"),
        (version(FAR, 12), version(FAR, 13), "one writer"),
        (version(NEAR, 12), version(HERE, 13), "one side"),
    ],
)
def test_an_overwrite_by_one_who_could_know_is_none(
    arrived: Version, held: Version, why: str
) -> None:
    owner = Owner()
    assert not owner.meets(arrived, held), why
    assert owner.rooms.total == 0
    assert owner.events == []


def test_updates_that_were_under_way_at_once_race() -> None:
    owner = Owner()
    assert owner.meets(version(NEAR, 30), version(HERE, 30 + RACE_MS / 1000), "update", b"a")
    assert not owner.meets(version(NEAR, 30), version(HERE, 30.1), "update", b"b")
    assert not owner.meets(version(NEAR, 30, 1), version(HERE, 30, 0), "update", b"c")
    assert owner.rooms.by_cause == {"update": 1}
    assert (owner.rooms.won_here, owner.rooms.won_there) == (0, 0)


def test_the_same_loser_counts_once() -> None:
    owner = Owner()
    assert owner.meets(version(FAR, 12), version(HERE, 13))
    assert not owner.meets(version(FAR, 12), version(HERE, 13), "repair")
    for number in range(REMEMBERED_MAX):
        owner.meets(version(FAR, 12), version(HERE, 13), "hint", b"%d" % number)
    assert owner.meets(version(FAR, 12), version(HERE, 13)), "memory is bounded"


def test_an_event_shows_both_versions_and_many_share_one() -> None:
    owner = Owner()
    for number in range(EVENTS_PER_S + 3):
        owner.meets(version(FAR, 12), version(HERE, 13), key=b"%d" % number)
    owner.rooms.tick(moment(21))
    assert len(owner.events) == EVENTS_PER_S
    event = owner.events[0]
    assert event.kind == "conflict.resolved"
    fields = dict(event.fields)
    assert fields["key"] == "0"
    assert fields["winner"] == f"{T0_MS + 13_000}.0@here/5B"
    assert fields["loser"] == f"{T0_MS + 12_000}.0@far/3B"
    assert fields["cause"] == "hint"
    owner.rooms.tick(moment(23))
    together = dict(owner.events[-1].fields)
    assert (len(owner.events), together["count"], together["unreported"]) == (
        EVENTS_PER_S + 1,
        3,
        0,
    )
    shown = str(together["conflicts"]).split("; ")
    winner, loser = f"{T0_MS + 13_000}.0@here/5B", f"{T0_MS + 12_000}.0@far/3B"
    assert shown == [f"{n}: {winner} won over {loser}, met by hint" for n in (5, 6, 7)]
    owner.rooms.tick(moment(24))
    assert len(owner.events) == EVENTS_PER_S + 1


def test_what_one_event_can_not_show_is_counted() -> None:
    owner = Owner()
    for number in range(EVENTS_PER_S + TOLD_TOGETHER_MAX + 4):
        owner.meets(version(FAR, 12), version(HERE, 13), key=b"%d" % number)
    owner.meets(version(FAR, 12), version(HERE, 13), key=b"later", now=moment(23))
    together = dict(owner.events[-2].fields)
    assert (together["count"], together["unreported"]) == (TOLD_TOGETHER_MAX + 4, 4)
    assert dict(owner.events[-1].fields)["key"] == "later"


def test_keys_are_shown_escaped_and_cut() -> None:
    assert shown_key(b"user:1") == "user:1"
    assert shown_key(b"a\n\x1b[31m\xff") == "a\\n\\x1b[31m\\xff"
    assert shown_key(b"x" * 500) == "x" * KEY_SHOWN_MAX + "... (500 bytes)"
