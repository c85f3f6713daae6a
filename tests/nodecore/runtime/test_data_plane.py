"""Who is let in: the doors of clients share one bound, health checks pass a flood."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

from nodecore.doors.resp import RespDoor
from nodecore.ids import Now
from nodecore.runtime.data_plane import Clients
from nodecore.runtime.faulted import PipeClock
from nodecore.table import make_table
from tests.nodecore.doors.fakes import FakeBackend
from transport.faults import FaultBoard
from transport.runtime.connection import Connection


def test_doors_share_the_bound_and_one_has_a_reserve() -> None:
    now = Now(1.0, 1_000)
    clock = PipeClock(FaultBoard(), 7)
    clients = Clients("n1", make_table(), clock, now)
    door = RespDoor(FakeBackend())
    resp = clients.acceptor(door.connect, 3)
    http = clients.acceptor(door.connect, 5)

    def connection() -> Connection:
        return cast("Connection", SimpleNamespace(peer=("127.0.0.1", 1), unsent_bytes_max=0))

    let_in = [resp(connection()), http(connection()), resp(connection())]
    assert None not in let_in
    assert resp(connection()) is None, "those of the other door count too"
    assert http(connection()) is not None
    assert http(connection()) is not None
    assert http(connection()) is None
    for client in list(clients.open)[:3]:
        clients.forget(client)
    assert resp(connection()) is not None, "who has left makes room"
