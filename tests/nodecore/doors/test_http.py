"""The HTTP session: bodies, statuses, order, and who may speak."""

from __future__ import annotations

import json
from dataclasses import replace

import httptools
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nodecore.doors.http import HttpSession
from nodecore.doors.routes import ROUTES
from nodecore.doors.session import OnOutcome
from nodecore.errors import Code
from nodecore.ids import Now
from nodecore.placement.topology import Keyspace
from nodecore.requests import Done, Failed, Flag, Level, Unknown
from tests.nodecore.doors.fakes import START, FakeBackend


def connect(backend: FakeBackend) -> HttpSession:
    return HttpSession(backend, lambda: None, lambda: b"metric 1\n", {"cache.test:8080"})


def request(
    method: str,
    path: str,
    body: bytes = b"",
    content_type: str = "application/json",
    **headers: str,
) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1:8081"]
    if body or method in ("PUT", "POST"):
        lines += [f"Content-Type: {content_type}", f"Content-Length: {len(body)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body


class Reply:
    def __init__(self) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self.body = b""

    @property
    def json(self):  # type: ignore[no-untyped-def]
        return json.loads(self.body)


def parse(output: bytes) -> list[Reply]:
    replies: list[Reply] = []

    class Reader:
        def on_message_begin(self) -> None:
            replies.append(Reply())

        def on_header(self, name: bytes, value: bytes) -> None:
            replies[-1].headers[name.decode().lower()] = value.decode()

        def on_headers_complete(self) -> None:
            replies[-1].status = parser.get_status_code()

        def on_body(self, body: bytes) -> None:
            replies[-1].body += body

    parser = httptools.HttpResponseParser(Reader())
    parser.feed_data(output)
    return replies


def ask(session: HttpSession, *requests: bytes, now: Now = START) -> list[Reply]:
    session.receive(b"".join(requests), now)
    return parse(session.take_output())


def test_put_get_delete() -> None:
    session = connect(FakeBackend())
    body = b'{"value": {"name": "John", "age": 30}, "ttl": 3600}'
    put, get, delete, missing = ask(
        session,
        request("PUT", "/cache/user:123", body),
        request("GET", "/cache/user:123"),
        request("DELETE", "/cache/user:123"),
        request("GET", "/cache/user:123"),
    )
    assert put.status == 200
    assert put.json["key"] == "user:123"
    assert put.json["ttl"] == 3600
    assert get.json["value"] == {"name": "John", "age": 30}
    assert get.json["ttl"] == 3600
    assert get.json["version"] == put.json["version"]
    assert get.headers["etag"] == f'"{put.json["version"]}"'
    assert delete.json == {"key": "user:123", "deleted": True}
    assert missing.status == 404
    assert missing.json["error"]["code"] == "not_found"


def test_values_are_stored_canonically_and_raw_bytes_pass_through() -> None:
    backend = FakeBackend()
    session = connect(backend)
    raw = bytes(range(256))
    ask(
        session,
        request("PUT", "/cache/a", b'{"value": {"b": 1.0, "a": [ 1 , null]}}'),
        request("PUT", "/cache/b?ttl=5", raw, "application/octet-stream"),
    )
    assert backend.store[b"a"].value == b'{"a":[1,null],"b":1.0}'
    assert backend.store[b"b"].value == raw
    assert backend.store[b"b"].expires_ms == START.wall_ms + 5000
    (reply,) = ask(session, request("GET", "/cache/b", Accept="application/octet-stream"))
    assert reply.body == raw
    assert reply.headers["content-type"] == "application/octet-stream"
    (reply,) = ask(session, request("GET", "/cache/b"))
    assert set(reply.json["value"]) == {"base64"}


def test_batch_runs_in_order() -> None:
    session = connect(FakeBackend())
    body = json.dumps(
        {
            "operations": [
                {"op": "set", "key": "user:1", "value": {"name": "Alice"}},
                {"op": "get", "key": "user:1"},
                {"op": "delete", "key": "user:1"},
                {"op": "get", "key": "user:1"},
            ]
        }
    ).encode()
    (reply,) = ask(session, request("POST", "/cache/batch", body))
    assert [entry["status"] for entry in reply.json["results"]] == ["ok", "ok", "ok", "missing"]
    assert reply.json["results"][1]["value"] == {"name": "Alice"}


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (request("PUT", "/cache/a", b"{"), 400),
        (request("PUT", "/cache/a", b'{"ttl": 1}'), 422),
        (request("PUT", "/cache/a", b'{"value": 1, "ttl": -1}'), 422),
        (request("PUT", "/cache/a", b'{"value": 1, "x": 1}'), 422),
        (request("PUT", "/cache/a", b"1", "text/plain"), 415),
        (request("PUT", "/cache/a?ttl=x", b"1", "application/octet-stream"), 400),
        (request("GET", "/cache/"), 400),
        (request("GET", "/cache/a%zz"), 400),
        (request("GET", "/cache/a%00"), 400),
        (request("GET", "/cache/%ff"), 400),
        (request("GET", "/cache/a?consistency=maybe"), 400),
        (request("GET", "/nowhere"), 404),
        (request("POST", "/cache/batch", b'{"operations": [{"op": "set", "key": "a"}]}'), 400),
        (request("POST", "/cache/batch", b'{"operations": [{"op": "eat", "key": "a"}]}'), 422),
        (request("GET", "/cache/a").replace(b"127.0.0.1:8081", b"evil.test"), 421),
        (request("GET", "/cache/a", Origin="http://evil.test"), 403),
        (request("POST", "/cache/batch", b"{}", Sec_Fetch_Site="cross-site"), 403),
    ],
)
def test_refusals(sent: bytes, status: int) -> None:
    session = connect(FakeBackend())
    (reply,) = ask(session, sent)
    assert reply.status == status
    assert set(reply.json["error"]) == {"code", "message"}
    assert not session.closing


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"GET / HTTP/1.1\nHost: a\n\n", 400),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\n 2\r\n\r\n", 400),
        (b"PUT /cache/a HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
        (b"PUT /cache/a HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999\r\n\r\n", 413),
        (b"FOO / HTTP/1.1\r\nHost: a\r\n\r\n", 501),
        (b"CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n", 501),
        (b"GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505),
        (b"GET / HTTP/1.1\r\nHost: a\r\n" + b"A: b\r\n" * 101 + b"\r\n", 431),
        (b"GET / HTTP/1.1\r\nHost: a\r\nA: " + b"b" * 20_000, 431),
        (b"GET /" + b"a" * 20_000, 431),
        (b"\x16\x03\x01\x02\x00", 501),
    ],
)  # fmt: skip
def test_malformed_requests_end_the_connection(sent: bytes, status: int) -> None:
    session = connect(FakeBackend())
    assert ask(session, request("GET", "/health/live"))[0].status == 200
    (reply,) = ask(session, sent)
    assert reply.status == status
    assert session.closing
    assert reply.headers["connection"] == "close"


def test_wrong_methods_name_the_right_ones() -> None:
    session = connect(FakeBackend())
    (reply,) = ask(session, request("POST", "/cache/a", b"{}"))
    assert (reply.status, reply.headers["allow"]) == (405, "DELETE, GET, HEAD, PUT")
    (reply,) = ask(session, request("DELETE", "/metrics"))
    assert (reply.status, reply.headers["allow"]) == (405, "GET, HEAD")


def test_pipelined_requests_are_answered_in_order() -> None:
    backend = FakeBackend(deferred=True)
    session = connect(backend)
    session.receive(
        request("PUT", "/cache/a", b'{"value": 1}')
        + request("GET", "/cache/a")
        + request("GET", "/health/live"),
        START,
    )
    assert session.outstanding == 3
    assert len(backend.waiting) == 1
    backend.release()
    backend.release()
    replies = parse(session.take_output())
    assert [reply.status for reply in replies] == [200, 200, 200]
    assert replies[1].json["value"] == 1
    assert session.outstanding == 0


def test_failures_have_their_statuses() -> None:
    backend = FakeBackend()
    session = connect(backend)
    backend.fail = lambda request: Failed(Code.NO_QUORUM, "1 of 3", 2.5)
    (reply,) = ask(session, request("GET", "/cache/a"))
    assert (reply.status, reply.headers["retry-after"]) == (503, "3")
    backend.fail = lambda request: Unknown(Code.TIMED_OUT, "")
    (reply,) = ask(session, request("DELETE", "/cache/a"))
    assert (reply.status, reply.json["error"]["code"]) == (504, "unknown")
    backend.fail = lambda request: Failed(Code.OVERLOADED, "busy")
    (reply,) = ask(session, request("GET", "/cache/a"))
    assert (reply.status, reply.headers["retry-after"]) == (429, "1")


def test_flags_are_carried_by_headers() -> None:
    backend = FakeBackend(flags=Flag.DEGRADED)
    (reply,) = ask(connect(backend), request("GET", "/cache/a"))
    assert reply.status == 404
    assert reply.headers["x-ringdeck-degraded"] == "1"


def test_health_metrics_and_admin() -> None:
    backend = FakeBackend()
    session = connect(backend)
    assert ask(session, request("GET", "/health/ready"))[0].status == 200
    backend.is_ready = False
    (reply,) = ask(session, request("GET", "/health/ready"))
    assert reply.status == 503
    assert "retry-after" in reply.headers
    assert ask(session, request("GET", "/metrics"))[0].body == b"metric 1\n"


def test_admin_routes_answer_with_what_the_verbs_say() -> None:
    backend = FakeBackend()
    status = {"epoch": 7, "state": "stable", "members": []}
    heat = {"key": b"a\xff", "reads_per_s": 2.5, "writes_per_s": 0.0, "slot": 9, "error": 0.0}
    heard = {"nodes": ["n1"], "silent": ["n2"]}
    backend.admin_results = {
        "cluster.status": Done(status),
        "cluster.hot-keys": Done({**heard, "hot_keys": [heat]}),
        "cluster.breakers": Failed(Code.OVERLOADED, "too many", 0.25),
    }
    session = connect(backend)
    sent = [request("GET", f"/admin/{path}") for path in ("cluster/status", "hot-keys")]
    first, second = ask(session, b"".join(sent))
    assert first.json == status
    assert second.json == {**heard, "hot_keys": [{**heat, "key": "a\\xff"}]}
    (refused,) = ask(session, request("GET", "/admin/circuit-breakers"))
    assert (refused.status, refused.headers["retry-after"]) == (429, "1")
    assert backend.submitted == []


def test_an_admin_route_waits_for_the_cluster_and_keeps_its_place() -> None:
    backend = FakeBackend()
    waiting: list[OnOutcome] = []

    def keep(_verb: str, _arguments: object, on_outcome: OnOutcome, _now: Now) -> None:
        waiting.append(on_outcome)

    backend.admin = keep  # type: ignore[assignment, method-assign]
    session = connect(backend)
    session.receive(request("GET", "/admin/cluster/status"), START)
    session.receive(request("GET", "/health/live"), START)
    assert (session.take_output(), session.outstanding) == (b"", 2)
    waiting[0](Done({"epoch": 1, "state": "stable", "members": []}), START)
    first, second = parse(session.take_output())
    assert (first.json["epoch"], second.json["status"]) == (1, "live")


def test_the_document_lists_every_route() -> None:
    document = ask(connect(FakeBackend()), request("GET", "/openapi.json"))[0].json
    listed = {(path, method) for path, methods in document["paths"].items() for method in methods}
    assert listed == {(route.template, route.method.decode().lower()) for route in ROUTES}
    assert document["openapi"] == "3.1.0"


def test_head_has_no_body_and_old_clients_are_closed() -> None:
    session = connect(FakeBackend())
    session.receive(request("HEAD", "/health/live"), START)
    assert session.take_output().endswith(b"\r\n\r\n")
    session.receive(b"GET /health/live HTTP/1.0\r\n\r\n", START)
    assert b"Connection: close" in session.take_output()
    assert session.closing


def test_continue_is_sent_before_the_body() -> None:
    session = connect(FakeBackend())
    sent = request("PUT", "/cache/a", b'{"value": 1}', Expect="100-continue")
    head, _, body = sent.partition(b"\r\n\r\n")
    session.receive(head + b"\r\n\r\n", START)
    assert session.take_output() == b"HTTP/1.1 100 Continue\r\n\r\n"
    session.receive(body, START)
    assert parse(session.take_output())[0].status == 200


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(1, 60), max_size=12))
def test_splits_change_nothing(sizes: list[int]) -> None:
    data = (
        request("PUT", "/cache/a%20b", b'{"value": "x"}')
        + request("GET", "/cache/a%20b")
        + request("GET", "/cache/a b".replace(" ", "%2520"))
        + b"GET / HTTP/1.1\nbad"
    )
    expected = connect(FakeBackend())
    expected.receive(data, START)
    session = connect(FakeBackend())
    at = 0
    for size in [*sizes, len(data)]:
        session.receive(data[at : at + size], START)
        at += size
    assert session.take_output() == expected.take_output()


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200))
def test_garbage_never_raises(data: bytes) -> None:
    session = connect(FakeBackend())
    session.receive(data, START)
    session.receive(b"GET /cache/" + data + b" HTTP/1.1\r\nHost: localhost\r\n\r\n", START)
    session.take_output()
    session.end(START)


def test_keyspaces_are_listed_set_and_deleted() -> None:
    backend = FakeBackend()
    backend.admin_results = {
        "keyspace.list": Done({"epoch": 7, "keyspaces": []}),
        "keyspace.set": Done({"epoch": 8, "applied": True}),
        "keyspace.delete": Failed(Code.BAD_REQUEST, "no keyspace 'x*'"),
    }
    session = connect(backend)
    body = b'{"pattern": "session:*", "n": 2, "write_through": false}'
    listed, made, gone = ask(
        session,
        request("GET", "/admin/keyspaces"),
        request("PUT", "/admin/keyspaces?preview=true", body),
        request("DELETE", "/admin/keyspaces?pattern=x%2a"),
    )
    assert (listed.status, made.status, gone.status) == (200, 200, 400)
    assert gone.json["error"]["message"] == "no keyspace 'x*'"
    assert [call for call in backend.admin_calls if call[0] != "keyspace.list"] == [
        (
            "keyspace.set",
            {"pattern": "session:*", "n": 2, "write_through": False, "preview": True},
        ),
        ("keyspace.delete", {"pattern": "x*", "preview": False}),
    ]


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("PUT", "/admin/keyspaces", b'{"n": 2}', 422),
        ("PUT", "/admin/keyspaces", b'{"pattern": "a*", "n": 99}', 422),
        ("PUT", "/admin/keyspaces", b'{"pattern": "a*", "colour": 1}', 422),
        ("PUT", "/admin/keyspaces", b'{"pattern": "a*", "on_partition": "maybe"}', 422),
        ("PUT", "/admin/keyspaces?preview=perhaps", b'{"pattern": "a*"}', 400),
        ("DELETE", "/admin/keyspaces", b"", 400),
        ("POST", "/admin/keyspaces", b"{}", 405),
    ],
)
def test_wrong_edits_of_keyspaces_reach_no_node(
    method: str, path: str, body: bytes, status: int
) -> None:
    backend = FakeBackend()
    (reply,) = ask(connect(backend), request(method, path, body))
    assert reply.status == status
    assert backend.admin_calls == []


def test_consistency_travels_in_queries_and_in_batches() -> None:
    backend = FakeBackend()
    session = connect(backend)
    value = b'{"value": 1}'
    body = b'{"consistency": "all", "operations": [{"op": "get", "key": "a"}]}'
    replies = ask(
        session,
        request("PUT", "/cache/a?consistency=quorum", value),
        request("GET", "/cache/a?consistency=ONE"),
        request("DELETE", "/cache/a?consistency=all"),
        request("POST", "/cache/batch", body),
        request("GET", "/cache/a?consistency=most"),
        request("POST", "/cache/batch", body.replace(b"all", b"most")),
    )
    assert [reply.status for reply in replies] == [200, 200, 200, 200, 400, 422]
    levels = [submitted.level for submitted in backend.submitted]  # type: ignore[union-attr]
    assert levels == [Level.QUORUM, Level.ONE, Level.ALL, Level.ALL]


def test_replies_tell_copies_and_quality() -> None:
    backend = FakeBackend(flags=Flag.SLOPPY)
    session = connect(backend)
    batch = b'{"operations": [{"op": "set", "key": "b", "value": 2}]}'
    put, batched, gone = ask(
        session,
        request("PUT", "/cache/a", b'{"value": 1}'),
        request("POST", "/cache/batch", batch),
        request("DELETE", "/cache/a"),
    )
    for reply in (put, gone):
        assert reply.headers["x-ringdeck-copies"] == "2"
        assert reply.headers["x-ringdeck-sloppy"] == "1"
    (result,) = batched.json["results"]
    assert (result["copies"], result["flags"]) == (2, ["sloppy"])


@pytest.mark.parametrize(
    ("code", "status"),
    [(Code.READ_ONLY, 503), (Code.NO_QUORUM, 503), (Code.NOT_ENOUGH_COPIES, 503)],
)
def test_what_a_partition_forbids_may_be_tried_again(code: Code, status: int) -> None:
    backend = FakeBackend()
    backend.fail = lambda _request: Failed(code, "this node sees 1 of 3 voters", 1.0)
    (reply,) = ask(connect(backend), request("PUT", "/cache/a", b'{"value": 1}'))
    assert reply.status == status
    assert reply.headers["retry-after"] == "1"
    assert "1 of 3 voters" in reply.json["error"]["message"]


def test_a_write_without_expiry_is_told_the_default_of_its_keyspace() -> None:
    backend = FakeBackend()
    keyspaces = (Keyspace(), Keyspace("s:*", ttl_ms=1500), Keyspace("s:keep:*"))
    backend.topology_ = replace(backend.topology_, keyspaces=keyspaces)
    value = b'{"value": 1}'
    replies = ask(
        connect(backend),
        request("PUT", "/cache/a", value),
        request("PUT", "/cache/s:1", value),
        request("PUT", "/cache/s:keep:1", value),
        request("PUT", "/cache/s:2", b'{"value": 1, "ttl": 7}'),
    )
    assert [reply.json["ttl"] for reply in replies] == [None, 1.5, None, 7]
