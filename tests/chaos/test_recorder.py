"""The record of real clients, and that its judges find what they are there to find."""

from __future__ import annotations

import json
import socket
import threading
from pathlib import Path
from random import Random

import pytest

from nodecore.simulation.clients import LostConnection, RespError, RespValue
from nodecore.simulation.history import FOREVER, History, Operation, Result
from nodecore.simulation.sessions import Rules, check_sessions
from nodecore.simulation.strong_history import judge_strong
from nodecore.simulation.workload import value_of
from tests.chaos.nemesis import Kill
from tests.chaos.outages import failures_after, longest_outages
from tests.chaos.recorder import (
    Calm,
    Client,
    EventualSteps,
    Session,
    StrongSteps,
    note,
    write_history,
)

KEY = b"key:1"


def done(client: str, begin_s: float, end_s: float, key: bytes = KEY) -> Operation:
    return Operation(client, "read", key, None, begin_s, end_s=end_s, result=Result.OK)


@pytest.mark.parametrize(
    ("key", "kind", "reply", "result", "ended"),
    [
        (KEY, "write", b"OK", Result.OK, True),
        (KEY, "write", RespError("CLUSTERDOWN no owner"), Result.FAIL, True),
        (KEY, "write", RespError("UNKNOWN n2: no answer"), Result.INFO, False),
        (KEY, "write", LostConnection("reset"), Result.INFO, False),
        (KEY, "read", RespError("UNKNOWN n2: no answer"), Result.FAIL, True),
        (b"strong:1", "incr", 4, Result.OK, True),
        (b"strong:1", "incr", RespError("UNKNOWN n2: no answer"), Result.INFO, False),
        (b"strong:1", "incr", LostConnection("reset"), Result.INFO, False),
    ],
)
def test_an_outcome_is_ok_failed_or_unknown(
    key: bytes, kind: str, reply: RespValue | LostConnection, result: Result, ended: bool
) -> None:
    operation = Operation("c", kind, key, b"v", 1.0)
    note(operation, reply, 2.0)
    assert operation.result is result
    assert (operation.end_s != FOREVER) is ended


def test_a_delete_that_found_nothing_binds_nobody() -> None:
    operation = Operation("c", "write", KEY, None, 1.0, strict=True)
    note(operation, 0, 2.0)
    assert not operation.strict


def test_an_acknowledged_write_that_vanished_is_found() -> None:
    history = History()
    write = Operation("e0.0", "write", KEY, value_of(KEY, 1), 1.0, sequence=1, strict=True)
    note(history.begin(write), b"OK", 1.1)
    read = Operation("final-n1", "read", KEY, None, 9.0)
    note(history.begin(read), None, 9.1)
    (found,) = check_sessions(history, Rules(1.0, ordered=False, settled_s=8.0))
    assert found.startswith("key:1 read by final-n1")
    assert "write 1 was acknowledged" in found


def test_a_strong_write_that_vanished_and_a_doubled_increment_are_found() -> None:
    history = History()
    for number, (kind, key, reply) in enumerate(
        [
            ("write", b"strong:r", b"OK"),
            ("read", b"strong:r", None),
            ("incr", b"strong:c", 1),
            ("incr", b"strong:c", 3),
        ]
    ):
        operation = Operation("s0.0", kind, key, b"v" if kind == "write" else None, number)
        note(history.begin(operation), reply, number + 0.5)
    assert len(judge_strong(history.by_key()).violations) == 2


def test_conditions_are_equal_within_one_calm_span_only() -> None:
    calm = Calm()
    before = calm.conditions()
    assert calm.conditions() == before
    calm.disturb()
    assert len({before, calm.conditions(), calm.conditions()}) == 3
    calm.settle()
    assert calm.conditions() == calm.conditions() != before


def test_outages_last_from_the_kill_to_the_next_success_and_from_one_to_the_next() -> None:
    history = History()
    kills = [Kill("n1", 10.0, 16.0)]
    for begin_s, end_s in ((9.0, 9.1), (10.5, 12.0), (12.1, 12.2), (15.5, 15.9)):
        history.begin(done("e0.0", begin_s, end_s))
    history.begin(done("e1.0", 9.0, 9.5))
    never, slow = longest_outages([history], kills)[::-1]
    assert never == pytest.approx(6.0), "a client without any success"
    assert slow == pytest.approx(3.7)


def test_a_failure_late_after_a_kill_is_found() -> None:
    history = History()
    kills = [Kill("n1", 10.0, 16.0)]
    for begin_s in (11.0, 13.5, 17.0):
        failed = Operation("e0.0", "read", KEY, None, begin_s)
        note(history.begin(failed), RespError("CLUSTERDOWN"), begin_s + 0.1)
    assert [operation.begin_s for operation in failures_after([history], kills)] == [13.5]


def test_values_are_unique_and_keys_have_one_writer() -> None:
    keys = [b"key:%d" % number for number in range(8)]
    written: list[tuple[bytes, bytes]] = []
    for number in range(2):
        steps = EventualSteps(keys, keys[number::2], Random(number))
        drawn = [steps(f"e{number}.0")[0] for _turn in range(200)]
        assert {op.key for op in drawn if op.kind == "write"} <= set(keys[number::2])
        written += [(op.key, op.value) for op in drawn if op.kind == "write" and op.value]
    assert len(set(written)) == len(written)
    strong = [
        operation.value
        for number in range(2)
        for steps in [StrongSteps(f"s{number}", 4, 2, Random(number))]
        for operation, _command in [steps(f"s{number}.0") for _turn in range(200)]
        if operation.value is not None
    ]
    assert len(set(strong)) == len(strong)


def test_a_client_of_unknown_outcome_is_retired(tmp_path: Path) -> None:
    """The server answers one command of each connection, and hangs up on the second."""
    history = History()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(5.0)

        def serve() -> None:
            for _connection in range(2):
                accepted, _peer = listener.accept()
                with accepted:
                    accepted.settimeout(5.0)
                    accepted.recv(4096)
                    accepted.sendall(b":1\r\n")
                    accepted.recv(4096)

        server = threading.Thread(target=serve, daemon=True)
        server.start()
        address = f"127.0.0.1:{listener.getsockname()[1]}"
        rng = Random(1)

        def increment(name: str) -> tuple[Operation, list[bytes]]:
            return Operation(name, "incr", b"strong:c", None, 0.0), [b"INCR", b"strong:c"]

        client = Client("s0", {"n1": address}, history, increment, 0.001, Calm(), rng)
        client.start()
        server.join(10.0)
        client.stop()
        client.join(10.0)
    assert not client.is_alive()
    seen = [(op.client, op.connection, op.result) for op in history][:4]
    assert seen == [
        ("s0.0", 1, Result.OK),
        ("s0.0", 1, Result.INFO),
        ("s0.1", 2, Result.OK),
        ("s0.1", 2, Result.INFO),
    ]
    path = tmp_path / "history.jsonl"
    write_history(path, history, history.operations[0].begin_s)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["result"] for line in lines][:2] == ["ok", "info"]
    assert lines[0]["begin_s"] == 0.0
    assert lines[1]["end_s"] is None


def test_a_session_says_that_nobody_accepts_it() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"127.0.0.1:{listener.getsockname()[1]}"
    with pytest.raises(OSError):  # noqa: PT011 - which one is the system's affair
        Session(address)
