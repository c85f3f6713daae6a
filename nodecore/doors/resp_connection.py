"""The state of one RESP connection and of the door that it came through.

Handlers read and change a :class:`Connection`; the session drives it. :class:`DoorState` is shared
by all connections of a door: settings, the client list, cached cluster replies.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, final

from nodecore.doors.commands.spec import Arguments, Command
from nodecore.doors.resp_writer import RESP2, Encoder
from nodecore.doors.session import Backend
from nodecore.ids import Now, Version
from nodecore.requests import Level

REDIS_VERSION: Final = "7.0.15"
"""The redis-server whose behaviour and wording this door follows; clients choose features by it."""


@final
@dataclass(slots=True)
class DoorState:
    """What the connections of one RESP door share."""

    backend: Backend
    resp_cluster: str = "auto"
    """``auto``, ``redirect`` or ``proxy``."""
    password: bytes = b""
    """Empty: no authentication."""
    version: str = ""
    """This product's version."""
    connections: dict[int, Connection] = field(default_factory=dict)
    accepted: int = 0
    protocol_errors: int = 0
    commands: int = 0
    slots_cache: tuple[object, tuple[tuple[int, int, tuple[str, ...]], ...]] | None = None


@final
@dataclass(slots=True)
class Transaction:
    """A MULTI that is being filled."""

    queued: list[tuple[Command, Arguments]] = field(default_factory=list)
    queued_bytes: int = 0
    broken: bool = False
    """A command was refused while queueing: EXEC will discard."""


@final
@dataclass(slots=True)
class Connection:
    """One client's settings."""

    door: DoorState
    client_id: int
    peer: str
    encoder: Encoder = RESP2
    authenticated: bool = True
    name: bytes = b""
    library_name: bytes = b""
    library_version: bytes = b""
    level: Level = Level.DEFAULT
    redirects: bool = False
    """Cluster-aware: commands for other nodes' slots are answered with MOVED."""
    readonly: bool = False
    """READONLY was sent: replicas may answer reads."""
    transaction: Transaction | None = None
    watched: dict[bytes, Version] = field(default_factory=dict)
    quitting: bool = False
    last_command: str = "NULL"
    first_mono_s: float = 0.0
    last_mono_s: float = 0.0

    def touch(self, now: Now) -> None:
        """Bytes came: times for CLIENT LIST."""
        self.last_mono_s = now.mono_s
        if not self.first_mono_s:
            self.first_mono_s = now.mono_s

    def announce_cluster(self) -> None:
        """The client has shown that it knows Redis Cluster."""
        if self.door.resp_cluster == "auto":
            self.redirects = True

    def reset(self) -> None:
        """Back to the state of a new connection (RESET)."""
        self.encoder = RESP2
        self.authenticated = not self.door.password
        self.name = b""
        self.level = Level.DEFAULT
        self.redirects = self.door.resp_cluster == "redirect"
        self.readonly = False
        self.transaction = None
        self.watched.clear()
