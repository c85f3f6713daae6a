"""Lanes, roles and the base of all messages."""

from __future__ import annotations

from enum import StrEnum
from typing import ClassVar


class Lane(StrEnum):
    """Which of the two links of a pair of nodes."""

    CONTROL = "control"
    """SWIM, topology, consensus, admin: small frames, never behind a large value."""
    DATA = "data"


class Role(StrEnum):
    """Who is at the other end of a link, as it says in its hello."""

    PEER_CONTROL = "peer-control"
    PEER_DATA = "peer-data"
    CLIENT = "client"
    CONSOLE = "console"
    """An operator's tool: admin verbs, subscriptions, faults."""


class Message:
    """Base of all messages; ``TYPE`` is the number on the wire."""

    TYPE: ClassVar[int]
    __slots__ = ()
