"""Messages of every link: handshake, keep-alive, farewell, errors (1..19)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from transport.messages.base import Message


@dataclass(frozen=True, slots=True)
class Hello(Message):
    """First frame of the side that dialled."""

    TYPE: ClassVar[int] = 1
    version_min: int
    version_max: int
    feature_level: int
    role: str
    cluster_id: str
    """Empty: any cluster (clients and consoles may not know)."""
    node_id: str
    """Empty for clients."""
    incarnation: int
    nonce: bytes
    """32 random bytes."""
    options: int = 0
    """What this side offers: bits of ``transport.identity.Option``."""


@dataclass(frozen=True, slots=True)
class Challenge(Message):
    """Answer to Hello: who answers, its proof over both nonces when a secret is set, and its nonce."""

    TYPE: ClassVar[int] = 2
    version: int
    feature_level: int
    cluster_id: str
    node_id: str
    incarnation: int
    nonce: bytes
    proof: bytes
    """Keyed blake3 over the transcript; empty without a secret."""
    options: int = 0
    """Which of the offered options this link uses."""


@dataclass(frozen=True, slots=True)
class Proof(Message):
    """The dialling side's proof; ends the handshake when a secret is set."""

    TYPE: ClassVar[int] = 3
    proof: bytes


@dataclass(frozen=True, slots=True)
class Welcome(Message):
    """The link is established."""

    TYPE: ClassVar[int] = 4


@dataclass(frozen=True, slots=True)
class Refuse(Message):
    """The link is refused and closes; ``code`` is a transport ErrorCode."""

    TYPE: ClassVar[int] = 5
    code: int
    text: str


@dataclass(frozen=True, slots=True)
class Goodbye(Message):
    """The sender closes after what it has sent: not a failure."""

    TYPE: ClassVar[int] = 6
    reason: str


@dataclass(frozen=True, slots=True)
class Ping(Message):
    """Keeps an idle link alive; answered by Pong on the same stream."""

    TYPE: ClassVar[int] = 7


@dataclass(frozen=True, slots=True)
class Pong(Message):
    """Answer to Ping."""

    TYPE: ClassVar[int] = 8


@dataclass(frozen=True, slots=True)
class ErrorReply(Message):
    """Any request can be answered by this. ``unknown``: it may have happened."""

    TYPE: ClassVar[int] = 9
    code: int
    """``nodecore.errors.Code``."""
    text: str
    unknown: bool = False
    retry_after_ms: int = 0
    reason: str = ""
    """A word for programs where the code says too little."""
