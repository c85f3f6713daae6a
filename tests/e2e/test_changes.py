"""Changes of the members of real processes, steered through the command line."""

from __future__ import annotations

import json
import threading
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.harness import Cluster, cluster, wait_until
from tests.e2e.test_cluster import absent, fill

pytestmark = pytest.mark.slow


def change(ring: Cluster, *arguments: str) -> dict[str, Any]:
    found = ring.ok("cluster", "change", *arguments, "--name", ring.name, "--json").json
    assert isinstance(found, dict)
    return found


def refusal(ring: Cluster, *arguments: str) -> str:
    done = ring.run("cluster", *arguments, "--name", ring.name, "--json")
    assert done.code == 1, done
    return str(done.json["refused"])


def test_a_join_is_previewed_limited_paused_and_cancelled(tmp_path: Path) -> None:
    with cluster(tmp_path, 3) as ring:
        nodes = ring.status()["members"]
        with ring.redis(nodes[0]["resp"]) as client:
            written = fill(client)
        preview = ring.ok("cluster", "add", "--preview", "--name", ring.name, "--json").json
        assert preview["keys_moved"] > 0
        assert refusal(ring, "change", "pause") == "no-change"
        assert refusal(ring, "remove", "n2") == "not-enough-members"
        change(ring, "limit", "1k")
        adding = threading.Thread(target=ring.run, args=("cluster", "add", "--name", ring.name))
        adding.start()
        wait_until(lambda: change(ring, "status")["slots_done"] > 0, "the join is under way")
        change(ring, "pause")
        status = change(ring, "status")
        assert (status["state"], status["reason_code"]) == ("paused", "paused")
        with urllib.request.urlopen(
            f"http://{nodes[1]['http']}/admin/cluster/change", timeout=5
        ) as reply:
            assert json.load(reply)["paused"]
        change(ring, "cancel")
        wait_until(lambda: ring.status()["state"] == "stable", "the old owners stand alone")
        assert len(ring.status()["members"]) == 3
        with ring.redis(nodes[2]["resp"]) as client:
            assert absent(client, written) == []
        history = ring.ok("cluster", "history", "--name", ring.name, "--json").json["history"]
        assert "cancelled by an operator" in history[-1]["reason"]
        ring.run("cluster", "stop", "--name", ring.name)
        adding.join(90.0)
        assert not adding.is_alive()


def test_a_node_is_replaced_and_the_slots_are_rebalanced(tmp_path: Path) -> None:
    with cluster(tmp_path, 3) as ring:
        nodes = ring.status()["members"]
        with ring.redis(nodes[0]["resp"]) as client:
            written = fill(client)
        done = ring.ok("cluster", "replace", "n2", "--name", ring.name, "--json").json
        assert done == {"replaced": "n2", "by": "n4", "state": "stable"}
        weights = ("--weight", "n4=2", "--placement", "even")
        ring.ok("cluster", "rebalance", *weights, "--name", ring.name)
        primary = {m["id"]: m["slots_primary"] for m in ring.status()["members"]}
        assert sorted(primary) == ["n1", "n3", "n4"]
        assert abs(primary["n4"] - 2 * primary["n1"]) <= 3
        assert refusal(ring, "rebalance", *weights) == "nothing-to-change"
        with ring.redis(nodes[0]["resp"]) as client:
            assert absent(client, written) == []


def test_a_removal_waits_for_approval(tmp_path: Path) -> None:
    with cluster(tmp_path, 4) as ring:
        change(ring, "approval", "manual")
        told = ring.ok("cluster", "remove", "n4", "--name", ring.name, "--json").json
        assert told["how"] == "waits for approval"
        assert change(ring, "status")["reason_code"] == "approval-needed"
        assert change(ring, "preview")["copies_moved"] > 0
        change(ring, "reject")
        assert len(ring.status()["members"]) == 4
