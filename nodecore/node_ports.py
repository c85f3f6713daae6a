"""What each room of a node is given of the others: their ports, bound to one node.

Which room may call what is decided here and nowhere else. A port is a function or a room; nothing
is remembered between calls.
"""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

from nodecore.config import NodeConfig
from nodecore.effects import Stop
from nodecore.membership.members import Status
from nodecore.membership.ports import MembershipPorts
from nodecore.membership.settings import MembershipSettings
from nodecore.replication.change_ports import ChangePorts
from nodecore.replication.coordinator import CoordinatorPorts

if TYPE_CHECKING:
    from nodecore.node import Node


def membership_ports(node: Node) -> MembershipPorts:
    """For failure detection and gossip."""
    return MembershipPorts(
        node.send,
        node.emit,
        node.epoch,
        node.chain.hear_epoch,
        node.on_status_change,
        node.on_incarnation,
    )


def membership_settings(config: NodeConfig) -> MembershipSettings:
    """Timing of failure detection."""
    return MembershipSettings(
        probe_interval_s=config.probe_interval_s,
        probe_timeout_s=config.probe_timeout_s,
        suspicion_multiplier=config.suspicion_multiplier,
    )


def coordinator_ports(node: Node, rng: Random) -> CoordinatorPorts:
    """For requests and copies."""
    return CoordinatorPorts(
        node.node_id,
        node.incarnation,
        node.store,
        node.clock,
        node.peers,
        node.breakers,
        node.timers,
        rng,
        node.config.operation_timeout_s,
        node.send,
    )


def change_ports(node: Node, rng: Random) -> ChangePorts:
    """For joins, leaves and removals."""
    return ChangePorts(
        node_id=node.node_id,
        send=node.send,
        request=node.coordinator.calls.request,
        propose=node.chain.propose,
        learn=node.chain.learn,
        is_live=node.is_live,
        is_failed=lambda peer: node.membership.status(peer) is Status.FAILED,
        emit=node.emit,
        stop=lambda reason, exit_code: node.add_effect(Stop(reason, exit_code)),
        on_filled=node.standing.refresh_gate,
        rng=rng,
        heat_bands=lambda: node.heat.bands,
    )
