"""Who this node says it is on every link; parts of it become known only while it runs."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from nodecore.errors import InvalidConfig
from nodecore.ids import NodeId
from transport.handshake import Credentials
from transport.identity import Identity
from transport.limits import NONCE_BYTES, SECRET_BYTES_MIN


@dataclass(slots=True)
class NodeIdentity:
    """Identity and secret; ``cluster_id`` and ``incarnation`` are updated by the driver."""

    node_id: NodeId
    cluster_id: str
    incarnation: int
    secret: bytes | None = None

    def credentials(self) -> Credentials:
        """For one new link, with a fresh nonce."""
        identity = Identity(self.cluster_id, self.node_id, self.incarnation)
        return Credentials(identity, os.urandom(NONCE_BYTES), self.secret)


def read_secret(path_text: str) -> bytes | None:
    """The cluster secret; None when no file is configured.

    Raises:
        InvalidConfig: unreadable, too short, or readable by others.
    """
    if not path_text:
        return None
    path = Path(path_text)
    try:
        secret = path.read_bytes().strip()
        mode = path.stat().st_mode & 0o077
    except OSError as error:
        raise InvalidConfig([f"secret_file {path}: {error.strerror}"]) from error
    problems = []
    if len(secret) < SECRET_BYTES_MIN:
        problems.append(f"secret_file {path}: {len(secret)} bytes, at least {SECRET_BYTES_MIN}")
    if mode:
        problems.append(f"secret_file {path} is readable by others: chmod 600 it")
    if problems:
        raise InvalidConfig(problems)
    return secret
