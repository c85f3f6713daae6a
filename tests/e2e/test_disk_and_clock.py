"""Faults of disks and clocks on real processes: they act, they show, they end."""

from __future__ import annotations

import json
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest
import redis

from tests.e2e.harness import Cluster, cluster, wait_until

pytestmark = pytest.mark.slow


def metric(address: str, name: str) -> float:
    """A metric of one node that has no other labels than the node's."""
    with urllib.request.urlopen(f"http://{address}/metrics", timeout=5) as reply:
        for line in reply.read().decode().splitlines():
            if line.startswith(f"ringdeck_{name}{{"):
                return float(line.rpartition(" ")[2])
    raise AssertionError(f"no metric {name}")


def faults(ring: Cluster) -> list[dict[str, Any]]:
    found = json.loads(ring.ok("chaos", "list", "--json").out)
    assert isinstance(found, list)
    return found


def test_a_full_disk_stops_its_node_and_no_other(tmp_path: Path) -> None:
    with cluster(tmp_path, 3, "--enable-chaos") as ring:
        members = ring.status()["members"]
        ring.ok("chaos", "enospc", "n3:disk")
        (active,) = faults(ring)
        assert (active["node"], active["kind"], active["target"]) == ("n3", "enospc", "disk")

        def refused_write() -> bool:
            try:
                with ring.redis(members[2]["resp"]) as client:
                    return not client.set("k", b"v")
            except redis.ConnectionError:
                return True

        wait_until(refused_write, "n3 can't write its clock's mark")
        wait_until(lambda: ring.member("n3")["pid"] is None, "n3 stopped")
        log = (tmp_path / ring.name / "n3" / "node.log").read_text()
        assert "disk full" in log
        with ring.redis(members[0]["resp"]) as client:
            assert client.set("after", b"v")
        ring.ok("chaos", "restart", "n3")
        wait_until(lambda: ring.member("n3")["status"] == "alive", "n3 back")
        wait_until(lambda: not refused_write(), "n3 serves")


def test_a_slow_disk_is_felt_and_a_skewed_clock_is_seen_until_they_end(tmp_path: Path) -> None:
    with cluster(tmp_path, 3, "--enable-chaos") as ring:
        members = ring.status()["members"]
        assert 0.0 < metric(members[1]["http"], "loop_idle_ratio") < 1.0, "not measured"
        ring.ok("chaos", "slow_fsync", "n2:disk", "--delay", "100")
        ring.ok("chaos", "skew", "n3:clock", "--offset", "-450", "--for", "6s")

        def offset() -> float:
            return abs(metric(members[2]["http"], "clock_offset_seconds"))

        wait_until(lambda: offset() > 0.4, "n3 sees that its clock is off")
        with ring.redis(members[2]["resp"]) as client:
            assert client.set("k", b"forwarded")
            assert client.get("k") == b"forwarded"
        with ring.redis(members[1]["resp"]) as client:
            began_s = time.monotonic()
            assert client.set("slow", b"v")
            assert time.monotonic() - began_s < 5.0

        def hits() -> int:
            return sum(entry["hits"] for entry in faults(ring) if entry["kind"] == "slow_fsync")

        wait_until(lambda: hits() > 0, "n2 waited for its disk")
        wait_until(lambda: offset() < 0.1, "n3's clock is right again")
        assert [entry["kind"] for entry in faults(ring)] == ["slow_fsync"]
        ring.ok("chaos", "jump", "n3", "--offset", "1000")
        wait_until(lambda: offset() > 0.4, "n3's clock has jumped")
        assert "lifted 2 faults" in ring.ok("chaos", "heal").out
        wait_until(lambda: offset() < 0.1, "n3's clock is back")
        assert faults(ring) == []
        with ring.redis(members[2]["resp"]) as client:
            assert client.set("k", b"again")
