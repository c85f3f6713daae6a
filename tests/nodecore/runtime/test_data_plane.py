"""Who is let in: the doors of clients share one bound, health checks pass a flood."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

from nodecore.doors.resp import RespDoor
from nodecore.doors.session import Session
from nodecore.ids import Now
from nodecore.runtime.data_plane import Clients
from nodecore.runtime.faulted import PipeClock
from nodecore.storage.disk import Area, DiskWrites, Durability, NoDisk
from nodecore.table import make_table
from tests.nodecore.doors.fakes import FakeBackend
from transport.faults import FaultBoard, parse_fault
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


def test_who_is_cut_off_is_reset_without_a_word() -> None:
    board = FaultBoard()
    clients = Clients("n1", make_table(), PipeClock(board, 7), Now(1.0, 1_000))
    accept = clients.acceptor(RespDoor(FakeBackend()).connect, 0)
    reasons: list[str] = []
    connection = cast(
        "Connection",
        SimpleNamespace(peer=("127.0.0.1", 1), unsent_bytes_max=0, abort=reasons.append),
    )
    assert accept(connection) is None, "full: its door says so"
    board.add("cut-1", parse_fault({"kind": "cut", "link": "client->n1"}), "test", 1.0)
    assert accept(connection) is not None
    assert reasons == ["cut by a fault"]
    assert not clients.open


class _Session:
    """Answers each byte with itself; what it takes in counts as promised to a keyspace."""

    nil = b"$-1\r\n"
    gate_bits = 0
    gate_open = stalled = closing = partial = held = False
    outstanding = 0

    def __init__(self, disk: DiskWrites) -> None:
        self._disk = disk
        self._output = b""

    def receive(self, data: bytes, now: Now) -> None:
        if data.startswith(b"w"):
            self._disk.put(Area.CACHE, data, b"record", Durability.PROCESS, None, now)
        self._output += data

    def take_output(self) -> bytes:
        output, self._output = self._output, b""
        return output


def test_no_answer_leaves_before_what_it_promises_is_on_disk() -> None:
    now = Now(1.0, 1_000)
    clock = PipeClock(FaultBoard(), 7)
    clock.begin_turn(1.0)
    clients = Clients("n1", make_table(), clock, now)
    clients.disk = disk = DiskWrites(NoDisk())
    sent: list[bytes] = []
    connection = SimpleNamespace(
        peer=("127.0.0.1", 1), unsent_bytes_max=0, unsent_bytes=0, write=sent.append
    )
    accept = clients.acceptor(lambda _wake, _peer: cast("Session", _Session(disk)))
    client = accept(cast("Connection", connection))
    assert client is not None
    client.on_data(b"read1")
    assert sent == [b"read1"]
    client.on_data(b"write1")
    client.on_data(b"read2")
    clients.flush()
    assert sent == [b"read1"], "not even in the flush, while the batch was not taken"
    assert disk.take() is not None
    client.on_data(b"read3")
    assert sent == [b"read1"], "nothing overtakes"
    clients.flush()
    assert sent == [b"read1", b"write1read2read3"]
