"""Configuration of one node: a frozen record, its presets and its rules.

Sources, weakest first: defaults, TOML file, environment (``RINGDECK_...``), flags that were typed.
They are merged as plain mappings by ``config_parsing.merge`` and parsed once by
``config_parsing.parse``, which reports every problem, not the first. Files are read in ``runtime/``.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where a node listens; ``host:port``; an empty string turns the door off (not the native one)."""

    native: str = "127.0.0.1:7101"
    resp: str = "127.0.0.1:7001"
    http: str = "127.0.0.1:8081"


@dataclass(frozen=True, slots=True)
class NodeConfig:
    """Everything that a node is told from outside."""

    node_id: str
    cluster_id: str = ""
    """Empty: taken from the cluster that is joined."""
    data_dir: str = ""
    """Acceptor state, identity, HLC high-water mark; empty: temporary, gone with the process."""
    bind: Addresses = field(default_factory=Addresses)
    advertise: Addresses | None = None
    """What others connect to; None: the bind addresses."""
    zone: str = ""
    weight: float = 1.0
    """Share of the ring against the others, > 0."""
    bootstrap: tuple[tuple[str, Addresses], ...] = ()
    """First members (id, advertised addresses) of a new cluster, the same list on each of them."""
    join: tuple[str, ...] = ()
    """Native addresses of members of a running cluster."""
    vnodes: int = 160
    ring_hash: str = "blake3"
    placement: str = "ring"
    replicas: int = 3
    write_quorum: int = 2
    read_quorum: int = 1
    maxmemory_bytes: int = 256 * 1024 * 1024
    disk_bytes_max: int = 1024 * 1024 * 1024
    """Records of the cache on disk, where there is a ``data_dir``; 0: only what keyspaces promise."""
    scrub_bytes_per_s: int = 256 * 1024
    """How fast records are read over in the background to find damage; 0: not at all."""
    eviction: str = "s3fifo"
    resp_cluster: str = "auto"
    """``auto``, ``redirect`` or ``proxy``."""
    enable_chaos: bool = False
    secret_file: str = ""
    down_grace_s: float = 300.0
    """A failed node is removed from the topology after this; 15 under the console."""
    migration_bytes_per_s: int = 32 * 1024 * 1024
    """What this node streams to all others together: 100,000 small entries in about a second, and far
    less than loopback or a gigabit network carries. ``ringdeck cluster change limit`` lowers it."""
    change_approval: str = "auto"
    """In the first document: ``manual`` lets joins, removals and rebalancing wait for approval."""
    replaces: str = ""
    """The member that goes when this node joins; no member: it joins like any other."""
    operation_timeout_s: float = 2.0
    slow_call_ms: float = 100.0
    probe_interval_s: float = 0.5
    probe_timeout_s: float = 0.25
    suspicion_multiplier: float = 3.0
    """Suspicion lasts multiplier * log10(members + 9) * probe_interval_s."""
    log_level: str = "info"
    log_file: str = ""
    """Rotated by the node; empty: standard error."""
    table: str = "auto"
    """``auto``, ``compiled`` or ``reference``."""
    extra: dict[str, str] = field(default_factory=dict)
