"""What scenario steps may ask for about data: keyspaces, consistency levels, keys.

Names every mistake of such a step; carrying it out is the runner's.
"""

from __future__ import annotations

from typing import Final

from console.scenario import Step, Verb
from nodecore.ids import Epoch
from nodecore.placement.keyspace_edits import edited
from nodecore.placement.topology import Keyspace, Topology
from nodecore.requests import Level

LEVELS: Final = {level.name.lower(): level for level in Level}
"""Consistency by its word."""


def data_problems(step: Step) -> list[str]:
    """Everything that is wrong with a ``keyspace``, ``write`` or ``read`` step."""
    if step.verb not in (Verb.KEYSPACE, Verb.WRITE, Verb.READ):
        return []
    if not step.pattern.endswith("*") or step.pattern == "*":
        return [f"pattern: {step.pattern!r} is no prefix such as 'cart:*'"]
    if step.verb is Verb.KEYSPACE:
        if not step.settings:
            return ["settings: at least one is required"]
        topology = Topology("", Epoch(0), (), keyspaces=(Keyspace(),))
        return [f"settings: {text}" for text in edited(topology, step.pattern, step.settings)[1]]
    if step.level not in LEVELS:
        return [f"level: {step.level!r} is none of {', '.join(LEVELS)}"]
    return []


def key_names(step: Step) -> list[bytes]:
    """The keys that a ``write`` or ``read`` step means."""
    prefix = step.pattern.removesuffix("*").encode()
    return [b"%b%d" % (prefix, number) for number in range(step.count)]
