"""Who is at each end of a link, and what each role may carry over it.

Decides the form of node and cluster ids, the size limits of a link by its role, and which messages
a role may send. That a client can't speak as a peer is settled here, once, for every door; what an
operator's verb may do is the node's decision.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import IntFlag
from typing import Final

from transport import limits
from transport.messages import Role

_NODE_ID: Final = re.compile(r"[a-z0-9][a-z0-9._-]*", re.ASCII)
_CLUSTER_ID: Final = re.compile(r"[!-~]+", re.ASCII)

LINK_TYPES: Final = range(1, 9)
"""Message types of the link itself: handshake, keep-alive, farewell."""
_JOIN_TYPES: Final = frozenset({25, 26, 31, 32})
"""Fetching the topology and asking to join: also for tools, and for nodes that know no cluster yet."""
_PEER_TYPES: Final = frozenset({*range(20, 33), 38, *range(50, 80)})


class Option(IntFlag):
    """What both sides must agree to. Values are part of the protocol: only append."""

    NONE = 0
    COMPRESSION = 1
    """Messages may be sent compressed."""


@dataclass(frozen=True, slots=True)
class Identity:
    """What this side says about itself."""

    cluster_id: str = ""
    """Empty: not known (yet), or any."""
    node_id: str = ""
    """Empty for clients."""
    incarnation: int = 0
    feature_level: int = 1


@dataclass(frozen=True, slots=True)
class PeerInfo:
    """What the other side has said, and proved if a secret is set."""

    role: Role
    """The role of the link: what the side that dialled said it is."""
    node_id: str
    cluster_id: str
    incarnation: int
    feature_level: int
    version: int
    """The protocol version that both use."""
    options: Option = Option.NONE
    authenticated: bool = False
    """It has proved that it knows the secret."""


@dataclass(frozen=True, slots=True)
class LinkLimits:
    """Sizes on an established link."""

    frame_bytes_max: int
    """Payload of one frame."""
    message_bytes_max: int


def limits_of(role: Role) -> LinkLimits:
    """A control link stays small, so that a probe never waits for long."""
    if role is Role.PEER_CONTROL:
        return LinkLimits(limits.CONTROL_CHUNK_BYTES_MAX, limits.CONTROL_MESSAGE_BYTES_MAX)
    return LinkLimits(limits.CHUNK_BYTES_MAX, limits.MESSAGE_BYTES_MAX)


def may_carry(role: Role, message_type: int) -> bool:
    """Whether a link of this role may carry this message after the handshake."""
    if role in (Role.PEER_CONTROL, Role.PEER_DATA):
        return True
    if role is Role.CONSOLE and message_type in _JOIN_TYPES:
        return True
    return message_type not in _PEER_TYPES


def node_id_problem(node_id: str) -> str:
    """Why this is no node id; empty when it is one."""
    if len(node_id) > limits.NODE_ID_CHARACTERS_MAX:
        return f"node id of {len(node_id)} characters"
    if not _NODE_ID.fullmatch(node_id):
        return f"not a node id: {node_id!r}"
    return ""


def cluster_id_problem(cluster_id: str) -> str:
    """Why this is no cluster id; empty when it is one."""
    if len(cluster_id) > limits.CLUSTER_ID_CHARACTERS_MAX:
        return f"cluster id of {len(cluster_id)} characters"
    if not _CLUSTER_ID.fullmatch(cluster_id):
        return f"not a cluster id: {cluster_id!r}"
    return ""
