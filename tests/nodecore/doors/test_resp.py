"""The RESP session: order, bulk runs, transactions, redirects, refusals."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nodecore.doors.resp import RespDoor, RespSession
from nodecore.errors import Code
from nodecore.ids import NodeId, Now, Version
from nodecore.limits import READ_BYTES_MAX, VALUE_BYTES_MAX
from nodecore.requests import Failed, Level, Read, Request, Unknown, Update, Value, Write
from tests.nodecore.doors.fakes import START, FakeBackend


def encode(*words: bytes | str) -> bytes:
    parts = [word.encode() if isinstance(word, str) else word for word in words]
    return b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%b\r\n" % (len(p), p) for p in parts)


def connect(backend: FakeBackend, **options: object) -> RespSession:
    door = RespDoor(backend, **options)  # type: ignore[arg-type]
    return door.connect(lambda: None, "127.0.0.1:5")


def talk(session: RespSession, *commands: tuple[bytes | str, ...], now: Now = START) -> bytes:
    session.receive(b"".join(encode(*command) for command in commands), now)
    return session.take_output()


def is_open(session: RespSession) -> bool:
    return session.gate_open


def test_plain_gets_and_sets_travel_in_bulk() -> None:
    backend = FakeBackend()
    session = connect(backend)
    sets = [("SET", f"k{n}", f"v{n}") for n in range(5)]
    gets = [("GET", f"k{n}") for n in range(6)]
    expected = b"+OK\r\n" * 5 + b"".join(b"$2\r\nv%d\r\n" % n for n in range(5)) + b"$-1\r\n"
    assert talk(session, *sets, *gets) == expected
    assert [type(request) for request in backend.submitted] == [Write, Read]
    assert backend.requests == {"set": 5, "get": 6}


def test_replies_keep_their_order_when_outcomes_do_not() -> None:
    backend = FakeBackend(deferred=True)
    backend.store[b"a"] = Value(b"1", Version(1, 1))
    backend.store[b"b"] = Value(b"2", Version(2, 1))
    woken: list[int] = []
    session = RespDoor(backend).connect(lambda: woken.append(1))
    session.receive(encode("GET", "a") + encode("STRLEN", "b") + encode("PING"), START)
    assert len(backend.waiting) == 2
    assert session.outstanding == 2
    assert not is_open(session)
    backend.release(index=1)
    assert session.take_output() == b""
    backend.release()
    assert session.take_output() == b"$1\r\n1\r\n:1\r\n+PONG\r\n"
    assert is_open(session)
    assert woken


def test_the_gate_stays_closed_while_a_reply_is_ready_and_not_taken() -> None:
    """Its answers leave at once: an earlier reply that came meanwhile would be overtaken."""
    backend = FakeBackend(deferred=True)
    session = connect(backend)
    session.receive(encode("GET", "a"), START)
    backend.release()
    assert not is_open(session)
    assert session.take_output() == b"$-1\r\n"
    assert is_open(session)


def test_a_command_waits_for_an_unanswered_write_of_its_key() -> None:
    backend = FakeBackend(deferred=True)
    session = connect(backend)
    session.receive(
        encode("SET", "a", "1") + encode("GET", "b") + encode("GET", "a") + encode("INCR", "a"),
        START,
    )
    # GET b stands before GET a in one run: the run breaks at the key that is being written.
    assert [type(request) for request, _ in backend.waiting] == [Write, Read]
    backend.release_all()
    assert session.take_output() == b"+OK\r\n$-1\r\n$1\r\n1\r\n:2\r\n"


def test_a_write_waits_for_an_unanswered_read_of_its_key() -> None:
    backend = FakeBackend(deferred=True)
    session = connect(backend)
    session.receive(encode("GET", "a") + encode("SET", "a", "1"), START)
    assert len(backend.waiting) == 1
    backend.release_all()
    assert session.take_output() == b"$-1\r\n+OK\r\n"


def test_barriers_run_alone() -> None:
    backend = FakeBackend(deferred=True)
    session = connect(backend)
    session.receive(encode("SET", "a", "1") + encode("FLUSHALL") + encode("GET", "a"), START)
    assert len(backend.waiting) == 1
    backend.release()
    assert len(backend.waiting) == 1
    backend.release_all()
    assert session.take_output() == b"+OK\r\n+OK\r\n$-1\r\n"


def test_failures_and_unknowns_have_their_own_words() -> None:
    backend = FakeBackend()
    session = connect(backend)

    def fail(request: Request) -> Failed | Unknown:
        if isinstance(request, Read):
            return Failed(Code.NO_QUORUM, "2 of 3\r\n+OK")
        return Unknown(Code.TIMED_OUT, "")

    backend.fail = fail
    assert talk(session, ("GET", "a")) == b"-CLUSTERDOWN 2 of 3  +OK\r\n"
    assert talk(session, ("SET", "a", "1")).startswith(b"-UNKNOWN ")
    assert talk(session, ("INCR", "a")).startswith(b"-UNKNOWN ")


def test_hello_switches_to_resp3() -> None:
    session = connect(FakeBackend())
    reply = talk(session, ("HELLO", "3", "SETNAME", "me"))
    assert reply.startswith(b"%7\r\n")
    assert b"$5\r\nproto\r\n:3\r\n" in reply
    assert session.nil == b"_\r\n"
    assert talk(session, ("GET", "none"), ("CLIENT", "GETNAME")) == b"_\r\n$2\r\nme\r\n"
    assert talk(session, ("HELLO", "4")) == b"-NOPROTO unsupported protocol version\r\n"
    assert talk(session, ("CLIENT", "MAINT_NOTIFICATIONS", "ON")).startswith(b"-ERR unknown sub")


def test_authentication_is_required_when_a_password_is_set() -> None:
    session = connect(FakeBackend(), password=b"secret")
    assert not is_open(session)
    assert talk(session, ("GET", "a")) == b"-NOAUTH Authentication required.\r\n"
    assert talk(session, ("AUTH", "wrong")).startswith(b"-WRONGPASS")
    assert talk(session, ("AUTH", "secret"), ("GET", "a")) == b"+OK\r\n$-1\r\n"
    assert is_open(session)


@pytest.mark.parametrize(
    ("sent", "problem"),
    [
        (b"*11\r\n", b"unauthenticated multibulk length"),
        (b"*2\r\n$4\r\nAUTH\r\n$20000\r\n", b"unauthenticated bulk length"),
    ],
)
def test_tighter_limits_before_authentication(sent: bytes, problem: bytes) -> None:
    session = connect(FakeBackend(), password=b"secret")
    session.receive(sent, START)
    assert problem in session.take_output()
    assert session.closing


def test_transactions_run_in_order_on_one_slot() -> None:
    backend = FakeBackend()
    session = connect(backend)
    assert talk(session, ("MULTI",), ("SET", "a", "1"), ("INCR", "a"), ("GET", "a")) == (
        b"+OK\r\n" + b"+QUEUED\r\n" * 3
    )
    assert not is_open(session)
    assert talk(session, ("EXEC",)) == b"*3\r\n+OK\r\n:2\r\n$1\r\n2\r\n"
    assert is_open(session)


def test_transactions_refuse_several_slots_and_earlier_errors() -> None:
    session = connect(FakeBackend())
    assert talk(session, ("MULTI",), ("SET", "a", "1"), ("SET", "b", "1"), ("EXEC",)).endswith(
        b"-CROSSSLOT Keys in request don't hash to the same slot\r\n"
    )
    reply = talk(session, ("MULTI",), ("SET", "a"), ("EXEC",))
    assert reply.endswith(b"-EXECABORT Transaction discarded because of previous errors.\r\n")
    assert talk(session, ("EXEC",), ("DISCARD",)) == (
        b"-ERR EXEC without MULTI\r\n-ERR DISCARD without MULTI\r\n"
    )


def test_a_watched_key_that_changed_empties_exec() -> None:
    backend = FakeBackend()
    session, other = connect(backend), connect(backend)
    assert talk(session, ("WATCH", "a"), ("MULTI",), ("SET", "a", "1")).endswith(b"+QUEUED\r\n")
    talk(other, ("SET", "a", "9"))
    assert talk(session, ("EXEC",), ("GET", "a")) == b"*-1\r\n$1\r\n9\r\n"
    talk(session, ("WATCH", "a"), ("MULTI",), ("SET", "a", "1"))
    assert talk(session, ("EXEC",)) == b"*1\r\n+OK\r\n"


def test_a_transaction_waits_for_each_outcome() -> None:
    backend = FakeBackend(deferred=True)
    session = connect(backend)
    session.receive(
        b"".join(
            encode(*c) for c in [("MULTI",), ("SET", "a", "1"), ("INCR", "a"), ("EXEC",), ("PING",)]
        ),
        START,
    )
    assert len(backend.waiting) == 1
    backend.release()
    assert len(backend.waiting) == 1
    backend.release()
    assert session.take_output() == (b"+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n+OK\r\n:2\r\n+PONG\r\n")


def test_auto_redirects_only_those_that_know_clusters() -> None:
    backend = FakeBackend()
    session = connect(backend)
    far = b"foo"  # slot 12182: n3
    assert talk(session, ("GET", far)) == b"$-1\r\n"
    assert talk(session, ("CLUSTER", "SLOTS")).startswith(b"*3\r\n*3\r\n:0\r\n:5461\r\n")
    assert talk(session, ("GET", far)) == b"-MOVED 12182 127.0.0.1:7003\r\n"
    assert talk(session, ("MGET", "foo", "bar")).startswith(b"-CROSSSLOT")
    assert is_open(session), "the gate answers only for slots that are owned here"
    assert talk(session, ("MULTI",)) == b"+OK\r\n"
    assert not is_open(session)
    assert talk(session, ("DISCARD",)) == b"+OK\r\n"
    backend.live.discard("n3")
    # Its second owner is n1, this node.
    assert talk(session, ("GET", far)) == b"$-1\r\n"


def test_proxy_never_redirects_and_redirect_always_does() -> None:
    proxy = connect(FakeBackend(), resp_cluster="proxy")
    assert talk(proxy, ("CLUSTER", "SLOTS")).startswith(b"-ERR This instance has cluster support")
    assert talk(proxy, ("MSET", "foo", "1", "bar", "2")) == b"+OK\r\n"
    strict = connect(FakeBackend(), resp_cluster="redirect")
    assert talk(strict, ("GET", "foo")) == b"-MOVED 12182 127.0.0.1:7003\r\n"
    assert talk(strict, ("READONLY",), ("GET", "foo")) == b"+OK\r\n$-1\r\n"
    assert talk(strict, ("SET", "foo", "1")) == b"-MOVED 12182 127.0.0.1:7003\r\n"


def test_levels_are_carried_by_requests() -> None:
    backend = FakeBackend()
    session = connect(backend)
    assert talk(session, ("RINGDECK", "LEVEL", "QUORUM"), ("GET", "a")) == b"+OK\r\n$-1\r\n"
    assert backend.submitted[-1] == Read((b"a",), Level.QUORUM)
    assert not is_open(session)
    assert talk(session, ("RINGDECK", "LEVEL")) == b"$6\r\nquorum\r\n"
    assert talk(session, ("RINGDECK", "LEVEL", "most")).startswith(b"-ERR level must be one of")
    assert talk(session, ("RESET",), ("RINGDECK", "LEVEL")) == b"+RESET\r\n$7\r\ndefault\r\n"
    assert is_open(session)


@pytest.mark.parametrize(
    ("code", "word"),
    [
        (Code.READ_ONLY, b"-READONLY "),
        (Code.NO_QUORUM, b"-CLUSTERDOWN "),
        (Code.NOT_ENOUGH_COPIES, b"-NOREPLICAS "),
    ],
)
def test_a_partition_is_told_in_words_that_redis_clients_know(code: Code, word: bytes) -> None:
    backend = FakeBackend()
    backend.fail = lambda _request: Failed(code, "this node sees 1 of 3 voters")
    session = connect(backend)
    for command in (("SET", "a", "1"), ("GET", "a"), ("INCR", "a"), ("DEL", "a")):
        assert talk(session, command) == word + b"this node sees 1 of 3 voters\r\n"


def test_quit_closes_after_its_reply() -> None:
    session = connect(FakeBackend())
    assert talk(session, ("QUIT",), ("SET", "a", "1")) == b"+OK\r\n"
    assert session.closing


def test_ending_forgets_outcomes() -> None:
    backend = FakeBackend(deferred=True)
    session = connect(backend)
    session.receive(encode("GET", "a"), START)
    session.end(START)
    backend.release_all()
    assert session.take_output() == b""
    assert not session.connection.door.connections


def test_a_deep_pipeline_is_backpressure() -> None:
    backend = FakeBackend(deferred=True)
    session = connect(backend)
    session.receive(b"".join(encode("GET", f"k{n}") for n in range(3000)), START)
    assert session.outstanding == 3000
    backend.release_all()
    assert session.outstanding == 0
    assert session.take_output() == b"$-1\r\n" * 3000


def test_key_and_value_limits() -> None:
    session = connect(FakeBackend())
    long = b"k" * 70_000
    assert talk(session, ("GET", long)).startswith(b"-ERR key exceeds")
    assert talk(session, ("SET", long, "1")).startswith(b"-ERR key exceeds")
    session.receive(b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$9000000\r\n", START)
    assert session.take_output() == b"-ERR Protocol error: invalid bulk length\r\n"
    assert session.closing


def test_command_tables_read_out() -> None:
    session = connect(FakeBackend())
    assert talk(session, ("COMMAND", "COUNT")).startswith(b":")
    assert b"$3\r\nget\r\n:2\r\n" in talk(session, ("COMMAND", "INFO", "get"))
    assert b"summary" in talk(session, ("COMMAND", "DOCS", "get"))
    assert talk(session, ("COMMAND", "GETKEYS", "MSET", "a", "1", "b", "2")) == (
        b"*2\r\n$1\r\na\r\n$1\r\nb\r\n"
    )


def test_info_has_what_clients_look_for() -> None:
    reply = talk(connect(FakeBackend()), ("INFO",))
    for part in (b"redis_version:7.0.15", b"arch_bits:64", b"cluster_enabled:1", b"# Ringdeck",
                 b"table:reference", b"epoch:7", b"loading:0"):  # fmt: skip
        assert part in reply
    assert b"Ringdeck" not in talk(connect(FakeBackend()), ("INFO", "server"))


COMMANDS = st.sampled_from(
    [
        ("GET", "a"), ("SET", "a", "1"), ("SET", "b", "2", "EX", "9"), ("INCR", "a"), ("DEL", "a", "b"),
        ("MGET", "a", "b"), ("MULTI",), ("EXEC",), ("PING",), ("HELLO", "3"), ("NOPE",), ("TTL", "b"),
        ("APPEND", "b", "x"), ("FLUSHALL",), ("GETRANGE", "b", "0", "-1"), ("WATCH", "a"),
    ]
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(st.lists(COMMANDS, max_size=25), st.integers(0, 2**32), st.booleans())
def test_splits_and_delays_change_nothing(
    commands: list[tuple[str, ...]], seed: int, deferred: bool
) -> None:
    data = b"".join(encode(*command) for command in commands)
    expected = connect(FakeBackend())
    expected.receive(data, START)
    rng = random.Random(seed)
    backend = FakeBackend(deferred=deferred)
    session = connect(backend)
    output = b""
    at = 0
    while at < len(data):
        size = rng.randint(1, 40)
        session.receive(data[at : at + size], START)
        output += session.take_output()
        at += size
        while backend.waiting and rng.random() < 0.5:
            backend.release(index=rng.randrange(len(backend.waiting)))
    while backend.waiting:
        backend.release(index=rng.randrange(len(backend.waiting)))
    assert output + session.take_output() == expected.take_output()
    assert session.outstanding == 0


@settings(max_examples=300, deadline=None)
@given(st.lists(st.binary(max_size=60), max_size=8))
def test_garbage_never_raises(chunks: list[bytes]) -> None:
    session = connect(FakeBackend())
    for chunk in chunks:
        session.receive(chunk, START)
    session.take_output()
    session.end(START)


def test_update_requests_reach_the_first_owner_unsplit() -> None:
    backend = FakeBackend()
    talk(connect(backend), ("DEL", "a", "b"))
    assert [type(request) for request in backend.submitted] == [Update, Update]
    assert backend.is_live(NodeId("n1"))


def test_runs_of_plain_sets_become_one_request_whatever_surrounds_them() -> None:
    backend = FakeBackend()
    session = connect(backend)
    replies = talk(
        session, ("SET", "a", "1"), ("SET", "b", "2"), ("SET", "a", "3"), ("GET", "a"), ("PING",),
        ("set", "c", ""), ("GET", "c"),
    )  # fmt: skip
    assert replies == b"+OK\r\n" * 3 + b"$1\r\n3\r\n+PONG\r\n+OK\r\n$0\r\n\r\n"
    writes = [request for request in backend.submitted if isinstance(request, Write)]
    assert [write.keys for write in writes] == [(b"a", b"b", b"a"), (b"c",)]


def test_a_run_that_ends_within_a_command_goes_on_with_the_next_bytes() -> None:
    backend = FakeBackend()
    session = connect(backend)
    data = b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1\r\n1\r\n" * 2
    for cut in range(1, len(data)):
        session.receive(data[:cut], START)
        session.receive(data[cut:], START)
        assert session.take_output() == b"+OK\r\n" * 2, cut


def is_stalled(session: RespSession) -> bool:
    return session.stalled


def is_partial(session: RespSession) -> bool:
    return session.partial


def test_a_session_runs_no_more_than_its_output_has_room_for() -> None:
    backend = FakeBackend()
    backend.store[b"k"] = Value(b"v" * 300_000, Version(1, 1))
    session = connect(backend)
    session.receive(encode("GET", "k") * 100 + encode("PING"), START)
    reply = f"$300000\r\n{'v' * 300_000}\r\n".encode()
    taken = session.take_output()
    assert len(taken) < 20 * len(reply)
    assert is_stalled(session)
    assert session.outstanding > 80
    assert not is_open(session)
    session.held = True
    session.resume(START)
    assert session.take_output() == b""
    session.held = False
    while is_stalled(session):
        session.resume(START)
        taken += session.take_output()
    assert taken == reply * 100 + b"+PONG\r\n"
    assert session.outstanding == 0


def test_a_begun_command_can_time_out() -> None:
    session = connect(FakeBackend())
    assert not is_partial(session)
    session.receive(encode("PING") + b"*2\r\n$3\r\nGET\r\n$5\r\nha", START)
    assert is_partial(session)
    session.time_out(START)
    words = b"+PONG\r\n-ERR Protocol error: the request was begun and not finished in time\r\n"
    assert session.take_output() == words
    assert session.closing


def test_the_replies_of_a_transaction_are_bounded() -> None:
    backend = FakeBackend()
    backend.store[b"k"] = Value(b"v" * VALUE_BYTES_MAX, Version(1, 1))
    session = connect(backend)
    talk(session, ("MULTI",), *[("GET", "k")] * 20, ("INCR", "{k}:n"))
    reply = talk(session, ("EXEC",))
    assert len(reply) < READ_BYTES_MAX + 2 * VALUE_BYTES_MAX
    assert reply.count(b"-ERR the replies of one transaction exceed") == 5
    assert reply.endswith(b":1\r\n"), "what changes something still runs"
