"""Who could do most harm by forgetting: owners that alone hold the newest value of a strong key.

The nemesis looks into nodes here as no client can. A fault that falls at random seldom meets the moment
in which a single loss would be one too many for a protocol that is wrong; this one waits for it.
"""

from __future__ import annotations

from nodecore.consensus.ballot import NO_BALLOT, Ballot
from nodecore.simulation.process import SimProcess


def bare_majority(processes: list[SimProcess]) -> list[SimProcess]:
    """Owners of some strong key that have accepted its newest value, where no owner less would do for a
    majority; empty when every key is held by more.
    """
    by_name = {process.node_id: process for process in processes}
    keys: dict[bytes, int] = {}
    for process in processes:
        keys |= dict(process.node.strong.registers.keys())
    for key, slot in sorted(keys.items()):
        routing = processes[0].node.standing.routing
        owners = () if routing is None else routing.route(key, slot).owners
        if not owners or any(name not in by_name for name in owners):
            continue
        accepted = {name: _accepted(by_name[name], key, slot) for name in owners}
        newest = max(accepted.values())
        holders = [name for name in owners if accepted[name] == newest]
        if newest > NO_BALLOT and len(holders) == len(owners) // 2 + 1 < len(owners):
            return [by_name[name] for name in holders]
    return []


def _accepted(process: SimProcess, key: bytes, slot: int) -> Ballot:
    state = process.node.strong.registers.get(key, slot)
    return NO_BALLOT if state is None else state.accepted_ballot
