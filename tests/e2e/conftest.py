"""A cluster that the tests of bad input share: each of them must leave it as it was."""

from __future__ import annotations

import time
import urllib.request
from collections.abc import Iterator

import pytest

from tests.e2e.harness import Cluster, cluster

ANSWER_S_MAX = 2.0


@pytest.fixture(scope="session")
def shared_ring(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Three nodes, started once."""
    with cluster(tmp_path_factory.mktemp("shared"), 3) as ring:
        yield ring


@pytest.fixture
def ring(shared_ring: Cluster) -> Iterator[Cluster]:
    """The shared cluster; afterwards the same processes serve well-behaved clients, promptly."""
    before = shared_ring.pids()
    yield shared_ring
    assert shared_ring.pids() == before, "a node ended"
    for node in shared_ring.nodes:
        serves(shared_ring, node["resp"], node["http"])


def serves(ring: Cluster, resp: str, http: str) -> None:
    """Fails unless a node answers on both doors in time."""
    begun = time.monotonic()
    with ring.redis(resp) as client:
        assert client.set(b"well behaved", b"yes")
        assert client.get(b"well behaved") == b"yes"
    with urllib.request.urlopen(f"http://{http}/health/ready", timeout=5) as reply:
        assert reply.status == 200
    lasted_s = time.monotonic() - begun
    assert lasted_s < ANSWER_S_MAX, f"{resp} took {lasted_s:.2f} s to serve others"
