"""Open files: full doors must leave descriptors for records and logs."""

from __future__ import annotations

import resource

import pytest

from nodecore.limits import CONNECTIONS_MAX, CONNECTIONS_RESERVED
from nodecore.runtime.process import FILES_SPARE, FILES_WANTED, allow_connections


@pytest.mark.parametrize(
    ("soft", "hard", "raised_to", "connections"),
    [
        (1024, 524_288, FILES_WANTED, CONNECTIONS_MAX),
        (256, resource.RLIM_INFINITY, FILES_WANTED, CONNECTIONS_MAX),
        (1024, 1024, 1024, 368),
        (64, 64, 64, 16),
        (20_000, 20_000, 20_000, CONNECTIONS_MAX),
        (resource.RLIM_INFINITY, resource.RLIM_INFINITY, resource.RLIM_INFINITY, CONNECTIONS_MAX),
    ],
)
def test_the_bound_is_raised_as_far_as_allowed_and_doors_stay_below(
    monkeypatch: pytest.MonkeyPatch, soft: int, hard: int, raised_to: int, connections: int
) -> None:
    limits = [(soft, hard)]
    monkeypatch.setattr(resource, "getrlimit", lambda _: limits[-1])
    monkeypatch.setattr(resource, "setrlimit", lambda _, wanted: limits.append(wanted))
    found = allow_connections()
    assert limits[-1] == (raised_to, hard)
    assert found == connections
    if raised_to > 2 * FILES_SPARE:
        assert 2 * found + CONNECTIONS_RESERVED + FILES_SPARE <= raised_to


def test_a_system_that_allows_less_than_it_says_is_believed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*_: object) -> None:
        raise ValueError("current limit exceeds maximum limit")

    monkeypatch.setattr(resource, "getrlimit", lambda _: (1024, resource.RLIM_INFINITY))
    monkeypatch.setattr(resource, "setrlimit", refuse)
    assert allow_connections() == 368
