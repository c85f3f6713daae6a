"""Lost copies are made again in time: of a node that comes back empty, and of one that never does."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Final

import pytest

from tests.e2e.harness import Cluster, cluster, wait_until

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(400)]

KEYS: Final = 100_000
COPIES: Final = 3
BATCH: Final = 2_000
RESTORED_S_MAX: Final = 60.0
GRACE_S: Final = 10
"""After it a node that does not come back is removed, and its copies are made elsewhere."""


def fill(ring: Cluster) -> None:
    with ring.redis(ring.nodes[0]["resp"]) as client:
        for first in range(0, KEYS, BATCH):
            pipe = client.pipeline(transaction=False)
            for number in range(first, first + BATCH):
                pipe.set(f"key:{number}", f"value:{number}")
            assert all(pipe.execute())


def held(ring: Cluster) -> dict[str, int]:
    """How many keys each living member holds."""
    members = ring.status()["members"]
    return {str(member["id"]): int(member["keys"] or 0) for member in members if member["pid"]}


def absent(ring: Cluster, address: str) -> int:
    """How many keys a node answers wrongly."""
    wrong = 0
    with ring.redis(address) as client:
        for first in range(0, KEYS, BATCH):
            numbers = range(first, first + BATCH)
            values = client.mget([f"key:{number}" for number in numbers])
            assert isinstance(values, list)
            expected = [b"value:%d" % number for number in numbers]
            wrong += sum(value != wanted for value, wanted in zip(values, expected, strict=True))
    return wrong


def test_all_copies_of_100_000_keys_are_back_within_a_minute(tmp_path: Path) -> None:
    with cluster(tmp_path, 5, "--set", f"down_grace_s={GRACE_S}") as ring:
        fill(ring)
        wait_until(
            lambda: sum(held(ring).values()) == COPIES * KEYS, "three copies of all", 60, 0.5
        )
        before = held(ring)["n2"]
        os.kill(ring.member("n2")["pid"], signal.SIGKILL)
        killed_s = time.monotonic()
        ring.ok("chaos", "restart", "n2")
        wait_until(lambda: held(ring).get("n2") == before, "n2 holds its copies", 60, 0.25)
        returned_s = time.monotonic() - killed_s
        os.kill(ring.member("n4")["pid"], signal.SIGKILL)
        killed_s = time.monotonic()
        wait_until(
            lambda: sum(held(ring).values()) == COPIES * KEYS,
            "the four others hold three copies of all",
            RESTORED_S_MAX + GRACE_S,
            0.25,
        )
        removed_s = time.monotonic() - killed_s - GRACE_S
        print(f"restored {returned_s:.1f} s after a kill, {removed_s:.1f} s after a removal")
        assert absent(ring, ring.nodes[0]["resp"]) == 0
        assert returned_s <= RESTORED_S_MAX
