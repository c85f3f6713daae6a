"""What a node's settings may be, alone and together: every broken rule in words.

Decides nothing about where values come from (``config_parsing``) and reads nothing. A rule that
protects data or the machine says so in its message, so that the person who meets it knows why.
"""

from __future__ import annotations

import ipaddress
import re
from typing import Final

from nodecore.config import Addresses, NodeConfig
from nodecore.limits import MEMBERS_MAX

NODE_ID: Final = re.compile(r"^[a-z0-9][a-z0-9._-]{0,63}$")
RING_HASHES: Final = ("blake3", "md5", "sha1", "xxh3", "crc32")
EVICTION_POLICIES: Final = (
    "lru",
    "lfu",
    "arc",
    "s3fifo",
    "sieve",
    "twoq",
    "tinylfu",
    "gdsf",
    "ttl",
    "fifo",
    "clock",
    "adaptive",
)
LOG_LEVELS: Final = ("debug", "info", "warning", "error")
MAXMEMORY_BYTES_MIN: Final = 1 << 20
MAXMEMORY_BYTES_MAX: Final = 1 << 46
"""Below a mebibyte the accounting overhead is all there is."""
VNODES_MAX: Final = 4096
REPLICAS_MAX: Final = 16
WEIGHT_MAX: Final = 100.0

_CHOICES: Final = {
    "placement": ("ring", "even"),
    "resp_cluster": ("auto", "redirect", "proxy"),
    "table": ("auto", "compiled", "reference"),
    "change_approval": ("auto", "manual"),
    "log_level": LOG_LEVELS,
    "eviction": EVICTION_POLICIES,
}
_RANGES: Final = {
    "weight": (0.01, WEIGHT_MAX),
    "vnodes": (1, VNODES_MAX),
    "replicas": (1, REPLICAS_MAX),
    "maxmemory_bytes": (MAXMEMORY_BYTES_MIN, MAXMEMORY_BYTES_MAX),
    "disk_bytes_max": (0, 1 << 46),
    "scrub_bytes_per_s": (0, 1 << 40),
    "down_grace_s": (1.0, 86_400.0),
    "migration_bytes_per_s": (1024, 1 << 40),
    "operation_timeout_s": (0.05, 60.0),
    "slow_call_ms": (1.0, 60_000.0),
    "probe_interval_s": (0.05, 60.0),
    "probe_timeout_s": (0.01, 60.0),
    "suspicion_multiplier": (1.0, 20.0),
}


def split_address(text: str) -> tuple[str, int] | None:
    """``host:port`` or ``[v6]:port`` as a pair; None when it is neither."""
    host, colon, port_text = text.rpartition(":")
    if (
        not colon
        or not (port_text.isascii() and port_text.isdigit())
        or not 0 < int(port_text) < 65_536
    ):
        return None
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        return None
    return (host, int(port_text)) if host else None


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach ``host``; names other than localhost are not looked up."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def problems_of(config: NodeConfig) -> list[str]:
    """Every rule that ``config`` breaks, in words; empty when it can be used."""
    problems: list[str] = []
    if not NODE_ID.match(config.node_id):
        problems.append(
            f"node_id: {config.node_id!r} must be 1 to 64 of a-z 0-9 . _ -, a letter or digit first"
        )
    for name, (low, high) in _RANGES.items():
        value = getattr(config, name)
        # The comparison is written so that NaN fails it.
        if not low <= value <= high:
            shown = _size if "bytes" in name else _number
            problems.append(f"{name}: {shown(value)} is outside {shown(low)}..{shown(high)}")
    for name, choices in _CHOICES.items():
        if getattr(config, name) not in choices:
            problems.append(f"{name}: {getattr(config, name)!r} is none of {', '.join(choices)}")
    if config.ring_hash not in RING_HASHES and ":" not in config.ring_hash:
        names = ", ".join(RING_HASHES)
        problems.append(
            f"ring_hash: {config.ring_hash!r} is none of {names}, nor package.module:function"
        )
    problems += _quorum_problems(config)
    problems += _address_problems("bind", config.bind)
    if config.advertise is not None:
        problems += _address_problems("advertise", config.advertise)
    problems += _exposure_problems(config)
    problems += _member_problems(config)
    if config.probe_timeout_s > config.probe_interval_s:
        problems.append("probe_timeout_s: must not exceed probe_interval_s")
    return problems


def _number(value: float) -> str:
    return str(value) if isinstance(value, int) else f"{value:g}"


def _size(value: float) -> str:
    """Bytes in the largest unit that gives a whole number, as settings accept it."""
    for unit, bytes_ in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if value and value % bytes_ == 0:
            return f"{value // bytes_:.0f}{unit}"
    return _number(value)


def _quorum_problems(config: NodeConfig) -> list[str]:
    problems = []
    for name in ("write_quorum", "read_quorum"):
        value = getattr(config, name)
        if not 1 <= value <= config.replicas:
            problems.append(f"{name}: {value} is outside 1..replicas ({config.replicas})")
    return problems


def _address_problems(name: str, addresses: Addresses) -> list[str]:
    problems = []
    seen: dict[str, str] = {}
    for door in ("native", "resp", "http"):
        text = getattr(addresses, door)
        if not text:
            if door == "native":
                problems.append(f"{name}.native: can't be turned off, nodes talk through it")
            continue
        if split_address(text) is None:
            problems.append(f"{name}.{door}: {text!r} is not host:port")
        elif text in seen:
            problems.append(f"{name}.{door}: {text} is {seen[text]}'s address already")
        seen.setdefault(text, door)
    return problems


def _exposure_problems(config: NodeConfig) -> list[str]:
    if config.secret_file:
        return []
    problems = []
    for door in ("native", "resp", "http"):
        pair = split_address(getattr(config.bind, door))
        if pair is not None and not is_loopback(pair[0]):
            problems.append(
                f"bind.{door}: {pair[0]} can be reached from outside this machine; "
                "set secret_file first"
            )
    return problems


def _member_problems(config: NodeConfig) -> list[str]:
    problems = []
    if config.replaces and not NODE_ID.match(config.replaces):
        problems.append(f"replaces: {config.replaces!r} is not a node id")
    if config.replaces and not config.join:
        problems.append("replaces: only a node that joins can take another's place")
    if config.bootstrap and config.join:
        problems.append("bootstrap and join: a node begins a cluster or joins one, not both")
    ids = [node_id for node_id, _ in config.bootstrap]
    if ids and config.node_id not in ids:
        problems.append(f"bootstrap: does not list {config.node_id} itself")
    twice = sorted({entry for entry in ids if ids.count(entry) > 1})
    problems += [f"bootstrap: {node_id} is listed twice" for node_id in twice]
    if len(ids) > MEMBERS_MAX:
        problems.append(f"bootstrap: {len(ids)} members, at most {MEMBERS_MAX}")
    if len(ids) > 1 and not config.cluster_id:
        problems.append("cluster_id: required with bootstrap, the same on every first member")
    for index, (node_id, addresses) in enumerate(config.bootstrap):
        if not NODE_ID.match(node_id):
            problems.append(f"bootstrap[{index}].id: {node_id!r} is not a node id")
        problems += _address_problems(f"bootstrap[{index}]", addresses)
    for index, text in enumerate(config.join):
        if split_address(text) is None:
            problems.append(f"join[{index}]: {text!r} is not host:port")
    return problems
