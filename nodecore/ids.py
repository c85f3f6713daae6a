"""The names and moments that every room of the node shares.

A *node id* is a stable name (``n1``), never an address. A *version* orders all writes of one key
across the cluster: hybrid logical clock first, node tag second; equal pairs are settled by the
value's hash in :mod:`nodecore.replication.versions`. Time enters the pure core only as a
:class:`Now`, read once per wake-up by whoever drives the node.
"""

from __future__ import annotations

from typing import Final, NamedTuple, NewType

NodeId = NewType("NodeId", str)
"""Stable name of a node: 1..64 characters of ``[a-z0-9][a-z0-9._-]*``."""

Incarnation = NewType("Incarnation", int)
"""Counts the lives of a node (and its refutations); higher is newer."""

Epoch = NewType("Epoch", int)
"""Number of a topology document in the chain; 0 means "none known yet"."""

Slot = NewType("Slot", int)
"""0..16383, Redis Cluster's rule."""

SLOTS_COUNT: Final = 16_384


class Now(NamedTuple):
    """One reading of both clocks."""

    mono_s: float
    """Monotonic seconds: every timeout, rate and interval."""
    wall_ms: int
    """Milliseconds since 1970: versions and expiries only."""


class Version(NamedTuple):
    """Total order of writes to one key."""

    hlc: int
    """Hybrid logical clock: 48 bits of milliseconds, 16 bits of counter."""
    node: int
    """Tag of the writing node: 32 bits, derived from its id (see ``versions.node_tag``)."""


NO_VERSION: Final = Version(0, 0)
