"""Members for the tests of placement."""

from __future__ import annotations

from nodecore.config import Addresses
from nodecore.ids import NodeId
from nodecore.placement.topology import Member


def member(
    node_id: str, zone: str = "", weight: float = 1.0, *, voter: bool = False, born: int = 0
) -> Member:
    return Member(
        NodeId(node_id), Addresses(f"{node_id}:1", "", ""), zone, weight, voter=voter, born=born
    )


def cluster(size: int, zones: int = 0) -> list[Member]:
    names = sorted(f"n{index}" for index in range(1, size + 1))
    return [member(name, f"z{index % zones}" if zones else "") for index, name in enumerate(names)]
