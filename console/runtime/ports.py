"""Chooses the ports of local nodes: the documented ones when they are free, else the next free one.

A port is tried by binding it and letting go; somebody else may take it before the node does, so
whoever starts nodes must be ready to choose again.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final

from console.errors import UsageError

HOST: Final = "127.0.0.1"
RESP_BASE: Final = 7001
NATIVE_OFFSET: Final = 100
HTTP_OFFSET: Final = 1080
RESERVED: Final = frozenset({8080, 8090, 8091, 8092})
"""Gateway, and the service ports that documents name beside the nodes' own."""
TRIES_MAX: Final = 2000


@dataclass(frozen=True, slots=True)
class NodePorts:
    """Ports of one node, and which of them are not the documented ones."""

    resp: int
    native: int
    http: int
    moved: tuple[str, ...] = ()
    """``resp 7001 is busy, 7004 instead``."""


def port_base(environment: Mapping[str, str] = os.environ) -> int:
    """First RESP port; ``RINGDECK_PORT_BASE`` moves all doors together.

    Raises:
        UsageError: the variable is no port, or leaves no room for the other doors.
    """
    text = environment.get("RINGDECK_PORT_BASE", "")
    if not text:
        return RESP_BASE
    if not text.isascii() or not text.isdigit() or not 1024 <= int(text) <= 60_000:
        raise UsageError(f"RINGDECK_PORT_BASE={text!r}: expected a port from 1024 to 60000")
    return int(text)


def is_free(port: int) -> bool:
    """Whether a listener could be opened on this port of the loopback address now."""
    with contextlib.closing(socket.socket(socket.AF_INET, socket.SOCK_STREAM)) as probe:
        # As the nodes' listeners do: a port in TIME_WAIT is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
            probe.listen(1)
        except OSError:
            return False
    return True


def choose_ports(index: int, taken: Collection[int], base: int) -> NodePorts:
    """Ports for the node of 1-based ``index``, none of them in ``taken``.

    Raises:
        UsageError: no port was free within reach.
    """
    used = set(taken)
    chosen: dict[str, int] = {}
    moved = []
    for door, first in (
        ("resp", base),
        ("native", base + NATIVE_OFFSET),
        ("http", base + HTTP_OFFSET),
    ):
        wanted = _nth(first, index)
        port = _next_free(wanted, used)
        if port != wanted:
            moved.append(f"{door} {wanted} is busy, {port} instead")
        used.add(port)
        chosen[door] = port
    return NodePorts(chosen["resp"], chosen["native"], chosen["http"], tuple(moved))


def _nth(first: int, index: int) -> int:
    port = first - 1
    for _ in range(index):
        port += 1
        while port in RESERVED:
            port += 1
    return port


def _next_free(wanted: int, used: set[int]) -> int:
    for port in range(wanted, min(wanted + TRIES_MAX, 65_536)):
        if port not in used and port not in RESERVED and is_free(port):
            return port
    raise UsageError(f"no free port from {wanted} on", hint="set RINGDECK_PORT_BASE")
