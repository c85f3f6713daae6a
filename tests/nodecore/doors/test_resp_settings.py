"""CONFIG SET and GET of memory and policy, under Redis's names."""

from __future__ import annotations

import pytest

from nodecore.errors import Code
from nodecore.requests import Done, Failed
from tests.nodecore.doors.fakes import FakeBackend
from tests.nodecore.doors.test_resp import connect, talk


def changing() -> FakeBackend:
    backend = FakeBackend()
    backend.admin_results["config.set"] = Done({})
    return backend


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("allkeys-lru", "lru"),
        ("ALLKEYS-LFU", "lfu"),
        ("volatile-ttl", "ttl"),
        ("s3fifo", "s3fifo"),
        ("arc", "arc"),
    ],
)
def test_policies_go_by_redis_names_where_they_have_one(theirs: str, ours: str) -> None:
    backend = changing()
    assert talk(connect(backend), ("CONFIG", "SET", "maxmemory-policy", theirs)) == b"+OK\r\n"
    assert backend.admin_calls == [("config.set", {"settings": {"eviction": ours}})]


def test_several_settings_go_to_the_node_together() -> None:
    backend = changing()
    command = ("CONFIG", "SET", "MaxMemory", "64mb", "maxmemory-policy", "arc")
    assert talk(connect(backend), command) == b"+OK\r\n"
    wanted = {"settings": {"maxmemory": "64mb", "eviction": "arc"}}
    assert backend.admin_calls == [("config.set", wanted)]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("maxmemory-policy", "noeviction"), b"a cache that is full always evicts"),
        (("maxmemory-policy", "allkeys-random"), b"never random"),
        (("maxmemory-policy", "volatile-lru"), b"use allkeys-lru"),
        (("appendonly", "yes"), b"can't be changed while the node runs"),
        (("maxmemory", "1gb", "maxmemory"), b"wrong number of arguments"),
        (("maxmemory", "1gb", "MAXMEMORY", "2gb"), b"given twice"),
    ],
)
def test_what_has_no_meaning_here_is_refused_and_changes_nothing(
    words: tuple[str, ...], message: bytes
) -> None:
    backend = changing()
    reply = talk(connect(backend), ("CONFIG", "SET", *words))
    assert reply.startswith(b"-ERR ")
    assert message in reply
    assert backend.admin_calls == []


def test_what_the_node_refuses_is_an_error() -> None:
    backend = FakeBackend()
    backend.admin_results["config.set"] = Failed(Code.BAD_REQUEST, "maxmemory must lie between")
    reply = talk(connect(backend), ("CONFIG", "SET", "maxmemory", "1"))
    assert reply.startswith(b"-")
    assert b"maxmemory must lie between" in reply


def test_get_names_a_policy_without_a_counterpart_by_its_own_name() -> None:
    reply = talk(connect(FakeBackend()), ("CONFIG", "GET", "maxmemory-policy"))
    assert b"s3fifo" in reply
