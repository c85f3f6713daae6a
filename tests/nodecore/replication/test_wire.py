"""Requests and outcomes survive the wire; anything else is refused, never raised otherwise."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodecore.errors import Code
from nodecore.ids import Version
from nodecore.replication.wire import (
    MalformedPlain,
    outcome_from_plain,
    outcome_to_plain,
    request_from_plain,
    request_to_plain,
)
from nodecore.requests import (
    Applied,
    Change,
    Done,
    Failed,
    Flag,
    Flush,
    KeyCount,
    Level,
    Outcome,
    Read,
    Request,
    Unknown,
    Update,
    Value,
    Write,
)
from transport.codec import pack_plain, unpack_plain

REQUESTS: list[Request] = [
    Read((b"a", b"b"), Level.QUORUM),
    Write((b"a",), (b"1",), 99, Level.ALL),
    Update(b"k", Change.SET, (b"v", -1, 1, 0)),
    Flush(),
    KeyCount(),
]
OUTCOMES: list[Outcome] = [
    Done([Value(b"v", Version(5, 6), 7, 0), None, Failed(Code.TIMED_OUT, "late", 0.5)], Flag.STALE),
    Done([Version(1, 2)], Flag.SLOPPY, 2),
    Done(Applied(3, b"old", Version(1, 2), 9, False)),
    Done({"a": 1}),
    Done(None),
    Failed(Code.OVERLOADED, "busy", 1.5),
    Unknown(Code.TIMED_OUT, "silence"),
]


@pytest.mark.parametrize("request_", REQUESTS)
def test_requests_survive(request_: Request) -> None:
    assert request_from_plain(unpack_plain(pack_plain(request_to_plain(request_)))) == request_


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_outcomes_survive(outcome: Outcome) -> None:
    assert outcome_from_plain(unpack_plain(pack_plain(outcome_to_plain(outcome)))) == outcome


_PLAIN = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.binary(max_size=5),
        st.sampled_from(["read", "write", "update", "done", "failed", "unknown", "list", "value"]),
    ),
    lambda inner: st.lists(inner, max_size=6),
    max_leaves=20,
)  # fmt: skip


@given(_PLAIN)
def test_garbage_is_malformed(plain: object) -> None:
    with contextlib.suppress(MalformedPlain):
        request_from_plain(plain)
    with contextlib.suppress(MalformedPlain):
        outcome_from_plain(plain)
