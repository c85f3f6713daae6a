"""Memories of keys that a table offers to eviction policies: evicted ones, and how often all were asked for."""

from __future__ import annotations

from typing import Protocol


class Ghosts(Protocol):
    """A bounded memory of keys, oldest forgotten first."""

    @property
    def overhead_bytes(self) -> int:
        """Memory."""

    def add(self, key: bytes) -> None:
        """Remember a key; the oldest is forgotten when there is no room."""

    def take(self, key: bytes) -> bool:
        """Whether the key was remembered; it is forgotten."""


class KeyMemory(Protocol):
    """Keys with the size that each had, oldest first."""

    @property
    def total(self) -> int:
        """Sum of the sizes."""

    @property
    def overhead_bytes(self) -> int:
        """Memory."""

    def __len__(self) -> int: ...

    def __contains__(self, key: bytes) -> bool: ...

    def add(self, key: bytes, size: int, total_max: int, keys_max: int) -> None:
        """Remember a key as the newest; the oldest are forgotten until the sizes sum up to
        ``total_max`` and ``keys_max`` are left at most.
        """

    def discard(self, key: bytes) -> None:
        """Forget a key if it is remembered."""

    def shrink(self, total_max: int) -> None:
        """Forget the oldest until the sizes sum up to ``total_max`` at most."""


class FrequencySketch(Protocol):
    """How often keys were asked for lately, in a little memory: a count-min sketch with ageing.

    Four counters a key that stop at 15; once as many uses were counted as ten times the keys that it
    is made for, all are halved. Estimates are never too low between two halvings, and seldom too high.
    Cormode and Muthukrishnan, 2005; ageing as in Einziger, Friedman, Manes, "TinyLFU", 2017.
    """

    @property
    def overhead_bytes(self) -> int:
        """Memory: sixteen bytes a key, rounded up."""

    def add(self, key: bytes) -> None:
        """Count a use."""

    def estimate(self, key: bytes) -> int:
        """Uses, 0..15."""
