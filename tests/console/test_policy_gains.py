"""What other policies would have gained, from the nodes' shadow caches."""

from __future__ import annotations

from console.policy_gains import advice, gains
from nodecore.statistics import NodeStatistics, PolicyShadow


def node(*shadows: PolicyShadow) -> NodeStatistics:
    return NodeStatistics("n1", 0, 1.0, policy_shadows=shadows)


def test_gains_are_against_the_policy_that_rules() -> None:
    figures = node(PolicyShadow("arc", 0.631, 900), PolicyShadow("lru", 0.6, 900, rules=True))
    found = gains([figures])
    assert [(one.policy, round(one.gain or 0, 3), one.rules) for one in found] == [
        ("arc", 0.031, False),
        ("lru", 0.0, True),
    ]
    assert advice(figures) == "arc would have had +3.1 % hits here"


def test_nothing_is_advised_where_the_ruling_policy_is_best_or_unknown() -> None:
    best = node(PolicyShadow("lru", 0.6, 900, rules=True), PolicyShadow("arc", 0.5, 900))
    assert advice(best) == "no other policy would have had more hits than lru here"
    assert advice(node()) == ""
    unknown = node(PolicyShadow("arc", 0.5, 900))
    assert advice(unknown) == ""
    assert gains([unknown])[0].gain is None


def test_shadows_survive_the_wire() -> None:
    figures = node(PolicyShadow("arc", 0.5, 9, rules=True))
    assert NodeStatistics.from_plain(figures.to_plain()) == figures
