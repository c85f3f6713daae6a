"""Eviction policies, one per file, behind one interface."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from nodecore.storage.eviction.adaptive import Adaptive
from nodecore.storage.eviction.arc import Arc
from nodecore.storage.eviction.clock import Clock
from nodecore.storage.eviction.fifo import Fifo
from nodecore.storage.eviction.gdsf import Gdsf
from nodecore.storage.eviction.interface import Capacity, EvictionPolicy
from nodecore.storage.eviction.lfu import Lfu, UnagedLfu
from nodecore.storage.eviction.lru import Lru
from nodecore.storage.eviction.s3fifo import S3Fifo
from nodecore.storage.eviction.sieve import Sieve
from nodecore.storage.eviction.tinylfu import TinyLfu
from nodecore.storage.eviction.ttl import Ttl
from nodecore.storage.eviction.twoq import TwoQ

__all__ = ["POLICIES", "Capacity", "EvictionPolicy", "make_policy"]

POLICIES: Final[dict[str, Callable[[Capacity], EvictionPolicy]]] = {
    "adaptive": Adaptive,
    "arc": Arc,
    "clock": Clock,
    "fifo": Fifo,
    "gdsf": Gdsf,
    "lfu": Lfu,
    "lfu-unaged": UnagedLfu,
    "lru": Lru,
    "s3fifo": S3Fifo,
    "sieve": Sieve,
    "tinylfu": TinyLfu,
    "ttl": Ttl,
    "twoq": TwoQ,
}


def make_policy(name: str, limit: int, in_objects: bool = False) -> EvictionPolicy:
    """A policy by its name in the configuration.

    Args:
        name: one of ``POLICIES``.
        limit: memory of the node in bytes, or entries when ``in_objects``.
        in_objects: count entries instead of bytes.

    Raises:
        ValueError: unknown name, or a limit below 1.
    """
    if name not in POLICIES:
        raise ValueError(f"eviction must be one of {', '.join(sorted(POLICIES))}, not {name!r}")
    if limit < 1:
        raise ValueError(f"capacity must be at least 1, not {limit}")
    return POLICIES[name](Capacity(limit, in_objects))
