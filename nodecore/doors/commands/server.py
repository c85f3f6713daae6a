"""Server commands: INFO, CONFIG GET and SET, TIME, MEMORY USAGE and this product's own RINGDECK family.

Figures come from the node's latest statistics snapshot; what a Redis client expects and this node
does not have is either left out or a constant that is true of it (``loading:0``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from nodecore import limits
from nodecore.doors.commands.connection import by_subcommand
from nodecore.doors.commands.keys import glob_pattern
from nodecore.doors.commands.settings import config_set, redis_policy_name
from nodecore.doors.commands.spec import (
    SYNTAX,
    Arguments,
    Ask,
    Command,
    CommandError,
    check_keys,
    failure,
    listed,
)
from nodecore.doors.resp_connection import REDIS_VERSION, Connection
from nodecore.doors.resp_writer import OK, array, bulk, integer
from nodecore.ids import Now
from nodecore.requests import Level, Outcome, Read, Value
from nodecore.statistics import NodeStatistics

_ENTRY_OVERHEAD_BYTES: Final = 96
"""Bookkeeping of one entry beside its key and value; MEMORY USAGE is an estimate, as in Redis."""
_LEVELS: Final = {
    b"DEFAULT": Level.DEFAULT, b"ONE": Level.ONE, b"QUORUM": Level.QUORUM, b"ALL": Level.ALL,
}  # fmt: skip


def _human(size: int) -> str:
    number = float(size)
    for unit in ("B", "K", "M", "G"):
        if number < 1024 or unit == "G":
            return f"{number:.2f}{unit}" if unit != "B" else f"{size}B"
        number /= 1024
    return f"{size}B"


def _server(connection: Connection, now: NodeStatistics) -> dict[str, object]:
    mode = "standalone" if connection.door.resp_cluster == "proxy" else "cluster"
    return {
        "redis_version": REDIS_VERSION,
        "redis_git_sha1": "00000000",
        "redis_git_dirty": 0,
        "redis_mode": mode,
        "arch_bits": 64,
        "process_id": now.pid,
        "run_id": run_id(now.node_id),
        "server_time_usec": now.at_wall_ms * 1000,
        "uptime_in_seconds": int(now.uptime_s),
        "uptime_in_days": int(now.uptime_s // 86400),
        "hz": int(1 / limits.TICK_S),
    }


def run_id(node_id: str) -> str:
    """A node id as the 40 hexadecimal digits that Redis clients expect of one."""
    return node_id.encode().hex().ljust(40, "0")[:40]


def _clients(connection: Connection, now: NodeStatistics) -> dict[str, object]:
    return {
        "connected_clients": len(connection.door.connections),
        "maxclients": limits.CONNECTIONS_MAX,
        "blocked_clients": 0,
    }


def _memory(connection: Connection, now: NodeStatistics) -> dict[str, object]:
    ratio = now.rss_bytes / now.memory_bytes if now.memory_bytes else 0.0
    return {
        "used_memory": now.memory_bytes,
        "used_memory_human": _human(now.memory_bytes),
        "used_memory_rss": now.rss_bytes,
        "maxmemory": now.memory_bytes_max,
        "maxmemory_human": _human(now.memory_bytes_max),
        "maxmemory_policy": redis_policy_name(now.eviction_policy) or "none",
        "mem_fragmentation_ratio": f"{ratio:.2f}",
    }


def _stats(connection: Connection, now: NodeStatistics) -> dict[str, object]:
    return {
        "total_connections_received": connection.door.accepted,
        "total_commands_processed": now.reads + now.writes,
        "total_net_input_bytes": now.bytes_in,
        "total_net_output_bytes": now.bytes_out,
        "rejected_connections": now.connections_refused,
        "expired_keys": now.evictions.get("expired", 0),
        "evicted_keys": now.evictions.get("size", 0) + now.evictions.get("forced", 0),
        "keyspace_hits": now.hits,
        "keyspace_misses": now.misses,
        "total_error_replies": now.errors,
    }


def _ringdeck(connection: Connection, now: NodeStatistics) -> dict[str, object]:
    return {
        "ringdeck_version": connection.door.version or now.version,
        "node_id": now.node_id,
        "cluster_id": now.cluster_id,
        "epoch": connection.door.backend.epoch(),
        "cluster_state": now.cluster_state,
        "node_status": now.status,
        "table": now.table,
        "slots_primary": now.slots_primary,
        "slots_replica": now.slots_replica,
        "gate_reads": now.gate_reads,
        "unknowns": now.unknowns,
        "hints_queued": now.hints_queued,
        "sloppy_writes": now.sloppy_writes,
        "degraded_reads": now.degraded_reads,
        "stale_reads": now.counters.get("stale_reads", 0),
        "in_minority": now.counters.get("in_minority", 0),
        "partition_reads_refused": now.counters.get("partition_reads_refused", 0),
        "partition_writes_refused": now.counters.get("partition_writes_refused", 0),
    }


_SECTIONS: Final[
    Mapping[str, tuple[str, Callable[[Connection, NodeStatistics], dict[str, object]]]]
] = {
    "server": ("Server", _server),
    "clients": ("Clients", _clients),
    "memory": ("Memory", _memory),
    "persistence": ("Persistence", lambda _, __: {"loading": 0, "async_loading": 0}),
    "stats": ("Stats", _stats),
    "replication": ("Replication", lambda _, __: {"role": "master", "connected_slaves": 0}),
    "cpu": ("CPU", lambda _, now: {"used_cpu_user": f"{now.cpu_s:.6f}"}),
    "cluster": (
        "Cluster",
        lambda connection, _: {"cluster_enabled": int(connection.door.resp_cluster != "proxy")},
    ),
    "keyspace": (
        "Keyspace",
        lambda _, now: {"db0": f"keys={now.keys},expires=0,avg_ttl=0"} if now.keys else {},
    ),
    "ringdeck": ("Ringdeck", _ringdeck),
}


def info(connection: Connection, arguments: Arguments, now: Now) -> bytes:
    wanted = [word.decode("utf-8", "replace").lower() for word in arguments[1:]]
    everything = not wanted or any(word in ("all", "everything", "default") for word in wanted)
    statistics = connection.door.backend.statistics(now)
    blocks = []
    for section, (title, fields) in _SECTIONS.items():
        if everything or section in wanted:
            lines = [f"{name}:{value}" for name, value in fields(connection, statistics).items()]
            blocks.append("\r\n".join([f"# {title}", *lines, ""]))
    return connection.encoder.verbatim("\r\n".join(blocks).encode())


def _settings(connection: Connection, now: Now) -> dict[str, str]:
    statistics = connection.door.backend.statistics(now)
    return {
        "appendonly": "no",
        "cluster-enabled": "no" if connection.door.resp_cluster == "proxy" else "yes",
        "databases": "1",
        "maxclients": str(limits.CONNECTIONS_MAX),
        "maxmemory": str(statistics.memory_bytes_max),
        "maxmemory-policy": redis_policy_name(statistics.eviction_policy),
        "proto-max-bulk-len": str(limits.VALUE_BYTES_MAX),
        "resp-cluster": connection.door.resp_cluster,
        "save": "",
        "timeout": "0",
    }


def config_get(connection: Connection, arguments: Arguments, now: Now) -> bytes:
    patterns = [glob_pattern(pattern.lower()) for pattern in arguments[2:]]
    return connection.encoder.mapping(
        [
            (bulk(name.encode()), bulk(value.encode()))
            for name, value in _settings(connection, now).items()
            if any(pattern.fullmatch(name.encode()) for pattern in patterns)
        ]
    )


def time(connection: Connection, arguments: Arguments, now: Now) -> bytes:
    seconds, milliseconds = divmod(now.wall_ms, 1000)
    return array([bulk(b"%d" % seconds), bulk(b"%d" % (milliseconds * 1000))])


def _render_memory(
    connection: Connection, outcomes: Sequence[Outcome], extra: object, now: Now
) -> bytes:
    found = listed(outcomes[0])
    if not isinstance(found, list):
        return failure(found)
    value = found[0]
    if not isinstance(value, Value):
        return connection.encoder.nil
    assert isinstance(extra, bytes)
    return integer(len(extra) + len(value.value) + _ENTRY_OVERHEAD_BYTES)


def memory_usage(connection: Connection, arguments: Arguments, now: Now) -> Ask:
    if len(arguments) not in (3, 5) or (len(arguments) == 5 and arguments[3].upper() != b"SAMPLES"):
        raise CommandError(SYNTAX)
    check_keys((arguments[2],))
    return Ask((Read((arguments[2],), connection.level),), _render_memory, arguments[2])


def ringdeck_level(connection: Connection, arguments: Arguments, now: Now) -> bytes:
    if len(arguments) == 2:
        return bulk(connection.level.name.lower().encode())
    level = _LEVELS.get(arguments[2].upper())
    if level is None or len(arguments) > 3:
        raise CommandError("ERR level must be one of DEFAULT, ONE, QUORUM, ALL")
    connection.level = level
    return OK


def ringdeck_owners(connection: Connection, arguments: Arguments, now: Now) -> bytes:
    backend = connection.door.backend
    slot = backend.table.slot_of(arguments[2])
    owners = [bulk(node.encode()) for node in backend.owners(slot)]
    return array([integer(slot), array(owners)])


def _container(connection: Connection, arguments: Arguments, now: Now) -> bytes:
    raise CommandError(SYNTAX)


_CONFIG: Final = (
    Command("config|get", -3, config_get, ("admin",), "Settings whose names match.", "server", since="2.0.0"),
    Command("config|set", -4, config_set, ("admin",), "Change settings of this node.", "server", barrier=True, since="2.0.0"),
)  # fmt: skip
_MEMORY: Final = (
    Command("memory|usage", -3, memory_usage, ("readonly",), "About how many bytes a key takes.", "server", 2, 2, 1, since="4.0.0"),
)  # fmt: skip
_RINGDECK: Final = (
    Command("ringdeck|level", -2, ringdeck_level, ("fast",), "Show or set this connection's consistency level.", "ringdeck", barrier=True, since="7.0.0"),
    Command("ringdeck|owners", 3, ringdeck_owners, ("fast",), "The slot of a key and its owners.", "ringdeck", since="7.0.0"),
)  # fmt: skip

COMMANDS: Final = (
    Command("info", -1, info, (), "Figures of this node.", "server"),
    Command("config", -2, _container, (), "Settings of this node.", "server", since="2.0.0", subcommands=by_subcommand(_CONFIG)),
    Command("memory", -2, _container, (), "Memory of keys.", "server", since="4.0.0", subcommands=by_subcommand(_MEMORY)),
    Command("time", 1, time, ("fast",), "This node's clock.", "server", since="2.6.0"),
    Command("ringdeck", -2, _container, (), "What Redis has no command for.", "ringdeck", since="7.0.0", subcommands=by_subcommand(_RINGDECK)),
)  # fmt: skip
