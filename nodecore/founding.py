"""The first document of a new cluster, and this node's own entry in a document.

Every first member is given the same list and computes the same document, so that nothing needs to
be agreed upon before there is anybody to agree.
"""

from __future__ import annotations

from nodecore.config import NodeConfig
from nodecore.ids import NodeId
from nodecore.placement.hashing import node_tag
from nodecore.placement.proposals import DEFAULT_KEYSPACES, bootstrap
from nodecore.placement.topology import ChangePolicy, Keyspace, Member, RingSettings, Topology


def own_member(config: NodeConfig) -> Member:
    """This node as it wants to stand in a document."""
    return Member(
        NodeId(config.node_id), config.advertise or config.bind, config.zone, config.weight
    )


def first_document(config: NodeConfig) -> Topology | None:
    """Document 1, when the configuration founds a cluster; None when it joins one.

    A configuration that neither founds nor joins makes a cluster of this node alone.

    Raises:
        Refused: the first members break the rules.
    """
    if config.join:
        return None
    # Zones and weights of the others are not known here, and equal documents need equal entries.
    members = [
        Member(NodeId(node_id), addresses) for node_id, addresses in sorted(config.bootstrap)
    ] or [own_member(config)]
    names = ",".join(member.node_id for member in members)
    cluster_id = config.cluster_id or f"cluster-{node_tag(NodeId(names)):08x}"
    ring = RingSettings(config.vnodes, config.ring_hash, config.placement)
    default = Keyspace(n=config.replicas, w=config.write_quorum, r=config.read_quorum)
    others = tuple(space for space in DEFAULT_KEYSPACES if space.pattern != default.pattern)
    policy = ChangePolicy(config.change_approval)
    return bootstrap(cluster_id, members, ring, (default, *others), policy)
