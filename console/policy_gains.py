"""What other eviction policies would have gained on the nodes, from their shadow caches.

A gain is the difference of two estimates from the same sample, in points of the hit ratio: what both
misjudge cancels out. It measures nothing itself.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from nodecore.statistics import NodeStatistics


@dataclass(frozen=True, slots=True)
class Gain:
    """One policy on one node."""

    node: str
    policy: str
    hit_ratio: float
    """Estimated, 0..1."""
    gain: float | None
    """Against the policy that rules there; None when that is not among the estimates."""
    samples: int
    rules: bool


def gains(nodes: Iterable[NodeStatistics]) -> list[Gain]:
    """By node, best policy first."""
    found = []
    for node in nodes:
        ruling = next((one.hit_ratio for one in node.policy_shadows if one.rules), None)
        found += [
            Gain(
                node.node_id,
                one.policy,
                one.hit_ratio,
                None if ruling is None else one.hit_ratio - ruling,
                one.samples,
                one.rules,
            )
            for one in node.policy_shadows
        ]
    return found


def advice(node: NodeStatistics) -> str:
    """``arc would have had +3.1 % hits here``, or that nothing else is better; empty if unknown."""
    entries = gains([node])
    if not entries or entries[0].gain is None:
        return ""
    best = entries[0]
    assert best.gain is not None
    if best.rules or best.gain < 0.0005:
        ruling = next(one.policy for one in entries if one.rules)
        return f"no other policy would have had more hits than {ruling} here"
    return f"{best.policy} would have had {best.gain:+.1%} hits here".replace("%", " %")
