"""The poller on real loopback sockets: turns, back-pressure, closing, refusing, dialling."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable, Iterator

import pytest
import trio

from transport import limits
from transport.errors import ConnectFailed, LocalProtocolError
from transport.runtime.connection import Connection
from transport.runtime.listener import Listener
from transport.runtime.multiplexer import HANGUP, READABLE, WRITABLE, KqueueMultiplexer
from transport.runtime.poller import Poller


class Recorder:
    """A handler that remembers what it was told."""

    def __init__(self, connection: Connection, *, echo: bool = False) -> None:
        self.connection = connection
        self.echo = echo
        self.received = bytearray()
        self.drained = 0
        self.closed: list[str] = []

    def on_data(self, data: bytes) -> None:
        assert not self.closed
        self.received += data
        if self.echo:
            self.connection.write(data)

    def on_writable_drained(self) -> None:
        self.drained += 1

    def on_closed(self, reason: str) -> None:
        self.closed.append(reason)


class Door:
    """A listener whose connections are recorded."""

    def __init__(self, poller: Poller, *, echo: bool = True, connections_max: int = 64) -> None:
        self.poller = poller
        self.echo = echo
        self.handlers: list[Recorder] = []
        self.listener: Listener = poller.listen(
            "127.0.0.1",
            0,
            self.accept,
            connections_max=connections_max,
            on_refuse=lambda: b"-ERR full\r\n",
        )

    def accept(self, connection: Connection) -> Recorder:
        self.handlers.append(Recorder(connection, echo=self.echo))
        return self.handlers[-1]

    def dial(self) -> socket.socket:
        client = socket.create_connection((self.listener.host, self.listener.port), timeout=5)
        turn_until(self.poller, lambda: bool(self.handlers) or self.listener.refused > 0)
        return client


def turn_until(poller: Poller, done: Callable[[], bool], turns_max: int = 500) -> None:
    for _ in range(turns_max):
        if done():
            return
        poller.turn(0.01)
    raise AssertionError("it did not happen")


def read_to_the_end(client: socket.socket) -> None:
    while client.recv(1 << 20):
        continue


@pytest.fixture
def poller() -> Iterator[Poller]:
    made = Poller()
    yield made
    made.close()


def test_the_system_watches_for_clients_that_vanish(poller: Poller) -> None:
    """A half-open connection sends nothing and takes nothing: only probes find it."""
    door = Door(poller)
    with (
        door.dial() as client,
        socket.socket(fileno=os.dup(door.handlers[0].connection.fd)) as ours,
    ):
        assert ours.getpeername() == client.getsockname()
        assert ours.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        if hasattr(socket, "TCP_KEEPIDLE"):
            probes = [
                ours.getsockopt(socket.IPPROTO_TCP, option)
                for option in (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT)
            ]
            assert probes == [60, 15, 4], "found gone within two minutes"


def test_what_arrives_is_delivered_and_answered(poller: Poller) -> None:
    door = Door(poller)
    with door.dial() as client:
        client.sendall(b"hello")
        turn_until(poller, lambda: len(door.handlers[0].received) == 5)
        assert client.recv(100) == b"hello"
    turn_until(poller, lambda: bool(door.handlers[0].closed))
    assert door.handlers[0].closed == ["closed by the other side"]
    assert door.listener.connections == 0
    assert poller.statistics().bytes_in == poller.statistics().bytes_out == 5


def test_one_turn_reads_a_bounded_share(poller: Poller) -> None:
    door = Door(poller, echo=False)
    with door.dial() as client:
        client.sendall(bytes(limits.READ_BYTES_PER_TURN + 1000))
        turn_until(poller, lambda: bool(door.handlers[0].received))
        assert len(door.handlers[0].received) <= limits.READ_BYTES_PER_TURN


def test_backlog_is_sent_in_order_when_the_reader_catches_up(poller: Poller) -> None:
    door = Door(poller)
    with door.dial() as client:
        handler = door.handlers[0]
        sent = bytearray()
        for index in range(400):
            piece = bytes([index % 251]) * 16_384
            handler.connection.write(piece)
            sent += piece
        assert handler.connection.unsent_bytes > 0
        got = bytearray()
        client.settimeout(0.001)
        while len(got) < len(sent):
            poller.turn()
            try:
                got += client.recv(1 << 20)
            except TimeoutError:
                continue
        assert got == sent
        turn_until(poller, lambda: handler.drained == 1)
        assert handler.connection.unsent_bytes == 0


def test_a_reader_slower_than_its_queue_is_reset_and_counted(poller: Poller) -> None:
    door = Door(poller)
    with door.dial() as client:
        handler = door.handlers[0]
        handler.connection.unsent_bytes_max = 100_000
        for _ in range(400):
            handler.connection.write(bytes(65_536))
        turn_until(poller, lambda: bool(handler.closed))
        assert handler.closed[0].startswith("reads too slowly")
        assert poller.statistics().slow_readers == 1
        client.settimeout(5)
        with pytest.raises(ConnectionResetError):
            read_to_the_end(client)


def test_paused_reading_leaves_bytes_in_the_kernel(poller: Poller) -> None:
    door = Door(poller)
    with door.dial() as client:
        handler = door.handlers[0]
        handler.connection.pause_reading()
        client.sendall(b"later")
        for _ in range(5):
            poller.turn(0.002)
        assert not handler.received
        handler.connection.resume_reading()
        turn_until(poller, lambda: bytes(handler.received) == b"later")


def test_reset_is_noticed_while_reading_is_paused(poller: Poller) -> None:
    door = Door(poller)
    client = door.dial()
    door.handlers[0].connection.pause_reading()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    client.close()
    turn_until(poller, lambda: bool(door.handlers[0].closed))


def test_close_delivers_the_last_reply_even_to_a_client_that_keeps_sending(poller: Poller) -> None:
    door = Door(poller, echo=False)
    with door.dial() as client:
        handler = door.handlers[0]
        client.sendall(b"x" * 10_000)
        handler.connection.write(b"goodbye")
        handler.connection.close("enough")
        handler.connection.write(b"too late")
        assert client.recv(100) == b"goodbye"
        assert client.recv(100) == b""
        client.sendall(b"y" * 10_000)
        poller.turn(0.01)
        assert not handler.received
    turn_until(poller, lambda: bool(handler.closed))
    assert handler.closed == ["enough"]
    assert poller.connections_count == 0


def test_close_waits_for_the_backlog(poller: Poller) -> None:
    door = Door(poller)
    with door.dial() as client:
        handler = door.handlers[0]
        handler.connection.write(bytes(7_000_000))
        handler.connection.close()
        got = 0
        client.settimeout(0.001)
        while True:
            poller.turn()
            try:
                data = client.recv(1 << 20)
            except TimeoutError:
                continue
            if not data:
                break
            got += len(data)
        assert got == 7_000_000
    turn_until(poller, lambda: handler.closed == ["closed here"])


def test_a_closed_connection_that_lingers_is_reset_in_time() -> None:
    clock = [0.0]
    poller = Poller(clock_s=lambda: clock[0])
    door = Door(poller)
    client = door.dial()
    door.handlers[0].connection.close()
    poller.turn()
    assert not door.handlers[0].closed
    clock[0] = limits.CLOSE_LINGER_S
    poller.turn()
    assert door.handlers[0].closed == ["closed here"]
    client.close()
    poller.close()


def test_a_handler_may_close_others_in_the_same_turn(poller: Poller) -> None:
    door = Door(poller, echo=False)
    clients = [door.dial()]
    while len(door.handlers) < 2:
        clients.append(door.dial())
        poller.turn(0.01)
    first, second = door.handlers[:2]

    def cut_the_other(handler: Recorder, other: Recorder) -> Callable[[bytes], None]:
        def on_data(data: bytes) -> None:
            handler.received += data
            other.connection.abort("cut")

        return on_data

    for one, other in ((first, second), (second, first)):
        setattr(one, "on_data", cut_the_other(one, other))  # noqa: B010 - replaces a method
    for client in clients[:2]:
        client.sendall(b"x")
    turn_until(poller, lambda: bool(first.closed or second.closed))
    assert len(first.received) + len(second.received) == 1
    for client in clients:
        client.close()


def test_a_connection_may_be_written_and_closed_while_it_is_accepted(poller: Poller) -> None:
    handlers: list[Recorder] = []

    def accept(connection: Connection) -> Recorder:
        connection.write(bytes(7_000_000))
        connection.close("only this")
        handlers.append(Recorder(connection))
        return handlers[-1]

    listener = poller.listen("127.0.0.1", 0, accept, connections_max=5)
    with socket.create_connection(("127.0.0.1", listener.port), timeout=0.001) as client:
        got = 0
        while True:
            poller.turn()
            try:
                data = client.recv(1 << 20)
            except TimeoutError:
                continue
            if not data:
                break
            got += len(data)
    assert got == 7_000_000
    turn_until(poller, lambda: bool(handlers[0].closed))
    assert handlers[0].closed == ["only this"]
    assert listener.connections == 0


def test_a_dialled_connection_may_be_aborted_at_once(poller: Poller) -> None:
    door = Door(poller)
    handlers: list[Recorder] = []

    def connected(connection: Connection) -> Recorder:
        connection.abort("changed my mind")
        handlers.append(Recorder(connection))
        return handlers[-1]

    poller.connect("127.0.0.1", door.listener.port, connected, lambda error: None)
    turn_until(poller, lambda: bool(handlers) and bool(handlers[0].closed))
    assert handlers[0].closed == ["changed my mind"]


def test_over_the_cap_a_connection_is_refused_with_words(poller: Poller) -> None:
    door = Door(poller, connections_max=1)
    with door.dial():
        with socket.create_connection(("127.0.0.1", door.listener.port), timeout=5) as second:
            turn_until(poller, lambda: door.listener.refused == 1)
            assert second.recv(100) == b"-ERR full\r\n"
            assert second.recv(100) == b""
    turn_until(poller, lambda: door.listener.connections == 0)
    with socket.create_connection(("127.0.0.1", door.listener.port), timeout=5):
        turn_until(poller, lambda: len(door.handlers) == 2)


def test_accepting_rests_when_descriptors_run_out(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    poller = Poller(clock_s=lambda: clock[0])
    door = Door(poller)

    class Exhausted:
        def accept(self) -> tuple[socket.socket, tuple[str, int]]:
            raise OSError(errno.EMFILE, "too many open files")

    with monkeypatch.context() as patch:
        patch.setattr(door.listener, "_socket", Exhausted())
        client = socket.create_connection(("127.0.0.1", door.listener.port), timeout=5)
        turn_until(poller, lambda: door.listener.pauses == 1)
        for _ in range(3):
            assert poller.turn(0.001) == 0, "a resting listener must not spin"
    clock[0] += limits.ACCEPT_PAUSE_S
    turn_until(poller, lambda: len(door.handlers) == 1)
    client.close()
    poller.close()


def test_listening_needs_an_explicit_host(poller: Poller) -> None:
    with pytest.raises(LocalProtocolError, match="explicit host"):
        poller.listen("", 0, lambda connection: None, connections_max=1)


class Dialled:
    """Collects the outcome of a dial."""

    def __init__(self) -> None:
        self.handlers: list[Recorder] = []
        self.failures: list[ConnectFailed] = []

    def connected(self, connection: Connection) -> Recorder:
        self.handlers.append(Recorder(connection))
        connection.write(b"first words")
        return self.handlers[-1]

    def failed(self, error: ConnectFailed) -> None:
        self.failures.append(error)

    @property
    def ended(self) -> bool:
        return bool(self.handlers or self.failures)


def test_dialling_connects(poller: Poller) -> None:
    door, dialled = Door(poller), Dialled()
    poller.connect("localhost", door.listener.port, dialled.connected, dialled.failed)
    turn_until(poller, lambda: dialled.ended)
    turn_until(poller, lambda: bytes(dialled.handlers[0].received) == b"first words")


@pytest.mark.parametrize(
    ("host", "port", "text"),
    [("example.invalid", 80, "not a numeric address"), ("127.0.0.1", 0, "not a port")],
)
def test_dialling_nonsense_fails_from_a_turn(
    poller: Poller, host: str, port: int, text: str
) -> None:
    dialled = Dialled()
    poller.connect(host, port, dialled.connected, dialled.failed)
    assert not dialled.ended
    turn_until(poller, lambda: dialled.ended)
    assert text in str(dialled.failures[0])


def test_dialling_a_closed_port_fails(poller: Poller) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        dialled = Dialled()
        poller.connect("127.0.0.1", port, dialled.connected, dialled.failed)
        turn_until(poller, lambda: dialled.ended)
    assert "connection refused" in str(dialled.failures[0])


def test_dialling_gives_up_in_time_and_can_be_cancelled() -> None:
    clock = [0.0]
    poller = Poller(clock_s=lambda: clock[0])
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(0)
        address: tuple[str, int] = deaf.getsockname()
        host, port = address
        fillers = [socket.socket() for _ in range(3)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(address)
        dialled, cancelled = Dialled(), Dialled()
        poller.connect(host, port, dialled.connected, dialled.failed, timeout_s=2.0)
        poller.connect(host, port, cancelled.connected, cancelled.failed, timeout_s=2.0).cancel()
        poller.turn()
        assert not dialled.ended
        assert poller.next_deadline_s() == 2.0
        clock[0] = 2.0
        poller.turn()
        assert "no answer within 2 s" in str(dialled.failures[0])
        assert not cancelled.ended
        for filler in fillers:
            filler.close()
    poller.close()


async def test_run_serves_and_wakes_and_stops() -> None:
    poller = Poller()
    door = Door(poller)
    turns = 0

    def on_turn_end() -> None:
        nonlocal turns
        turns += 1

    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(poller.run, on_turn_end)
            stream = await trio.open_tcp_stream("127.0.0.1", door.listener.port)
            for index in range(50):
                await stream.send_all(b"%d" % index)
                assert await stream.receive_some() == b"%d" % index
            before = turns
            poller.wake()
            while turns == before:
                await trio.lowlevel.checkpoint()
            # An abort from another task must reach the handler although no socket is ready.
            door.handlers[0].connection.abort("cut")
            while not door.handlers[0].closed:
                await trio.lowlevel.checkpoint()
            poller.stop()
    await stream.aclose()
    poller.close()


async def test_run_takes_a_turn_at_the_wanted_deadline() -> None:
    poller = Poller()
    wanted: list[float | None] = [poller.clock_s() + 0.01]
    ends = []

    def on_turn_end() -> None:
        now_s = poller.clock_s()
        due_s = wanted[0]
        if due_s is not None and now_s >= due_s:
            ends.append(now_s)
            wanted[0] = None
            poller.stop()

    with trio.fail_after(10):
        await poller.run(on_turn_end, lambda: wanted[0])
    assert len(ends) == 1
    poller.close()


async def test_drain_waits_for_connections_then_resets_the_rest() -> None:
    poller = Poller()
    door = Door(poller)
    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(poller.run, lambda: None)
            polite = await trio.open_tcp_stream("127.0.0.1", door.listener.port)
            rude = await trio.open_tcp_stream("127.0.0.1", door.listener.port)
            for stream in (polite, rude):
                await stream.send_all(b"x")
                await stream.receive_some()
            await polite.aclose()
            assert await poller.drain(0.05) == 1
            with pytest.raises(trio.BrokenResourceError):
                await rude.receive_some()
            assert await poller.drain(0.05) == 0
            poller.stop()
    assert [bool(handler.closed) for handler in door.handlers] == [True, True]
    await rude.aclose()
    poller.close()


class FakeKqueue:
    """Just enough of kqueue to see what is asked of it."""

    KQ_FILTER_READ, KQ_FILTER_WRITE = -1, -2
    KQ_EV_ADD, KQ_EV_DELETE, KQ_EV_EOF = 1, 2, 0x8000

    class kevent:  # noqa: N801 - the name in select
        def __init__(self, ident: int, filter: int, flags: int) -> None:  # noqa: A002
            self.ident, self.filter, self.flags = ident, filter, flags

    def __init__(self) -> None:
        self.watched: set[tuple[int, int]] = set()
        self.ready: list[FakeKqueue.kevent] = []

    def kqueue(self) -> FakeKqueue:
        return self

    def fileno(self) -> int:
        return 99

    def close(self) -> None:
        self.watched.clear()

    def control(
        self, changes: list[kevent] | None, events_max: int, timeout: float
    ) -> list[kevent]:
        for change in changes or ():
            key = (change.ident, change.filter)
            if change.flags == self.KQ_EV_ADD:
                self.watched.add(key)
            else:
                self.watched.remove(key)
        return self.ready[:events_max]


def test_kqueue_is_made_to_look_like_epoll() -> None:
    fake = FakeKqueue()
    queue = KqueueMultiplexer(fake)
    queue.register(7, READABLE)
    queue.modify(7, READABLE | WRITABLE)
    assert fake.watched == {(7, -1), (7, -2)}
    fake.ready = [fake.kevent(7, -1, 0), fake.kevent(7, -2, fake.KQ_EV_EOF)]
    assert queue.poll(0, 10) == [(7, READABLE | WRITABLE | HANGUP)]
    queue.modify(7, 0)
    assert fake.watched == set()
    queue.unregister(7)
    queue.close()
