"""Scenarios on real processes under load: the claims that the product makes must hold."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.e2e.harness import ROOT, Cluster, processes_with, wait_until

pytestmark = pytest.mark.chaos

SLOW_NODE = """
schema = 1
name = "slow-node"
hypothesis = "A slow node is avoided while it is slow, and used again afterwards."
deadline = "120s"
[cluster]
nodes = 3
[load]
rate = 300
keys = 1000
[[probe]]
name = "errors"
metric = "error_rate"
max = 0.01
steady = true
[[probe]]
name = "opens"
metric = "breaker.trips"
min = 1
[[probe]]
name = "closed"
metric = "breaker.open"
max = 0
[[probe]]
name = "found"
metric = "lost_keys"
max = 0
[[step]]
after = "1s"
do = "toxic"
type = "latency"
target = "n3"
attributes = { latency = 400, jitter = 50 }
[[step]]
do = "expect"
probe = "opens"
within = "20s"
[[step]]
do = "heal"
[[step]]
do = "expect"
probe = "closed"
within = "20s"
[[step]]
do = "expect"
probe = "found"
"""

PAUSED = """
schema = 1
name = "paused"
hypothesis = "A node that stops for a while is missed by nobody."
deadline = "120s"
[cluster]
nodes = 3
[load]
rate = 300
keys = 1000
[[probe]]
name = "errors"
metric = "error_rate"
max = 0.02
steady = true
[[probe]]
name = "back"
metric = "members.failed"
max = 0
[[probe]]
name = "true"
metric = "wrong_values"
max = 0
[[step]]
after = "1s"
do = "pause"
target = "n2"
for = "4s"
[[step]]
do = "expect"
probe = "back"
within = "20s"
[[step]]
do = "expect"
probe = "true"
"""

FALSE_CLAIM = """
schema = 1
name = "false-claim"
hypothesis = "Nobody notices."
[cluster]
nodes = 2
[load]
rate = 50
keys = 100
[[probe]]
name = "unnoticed"
metric = "members.alive"
min = 9
[[step]]
do = "expect"
probe = "unnoticed"
"""

FALSE_BALANCE = """
schema = 1
name = "false-balance"
hypothesis = "A ring of few places is even."
[cluster]
nodes = 3
[load]
rate = 50
keys = 200
[[probe]]
name = "routed"
metric = "misrouted"
max = 0
[[probe]]
name = "perfect"
metric = "balance"
max = 1.0001
[[step]]
do = "expect"
probe = "routed"
within = "10s"
[[step]]
do = "expect"
probe = "perfect"
"""

FALSE_DATA = """
schema = 1
name = "false-data"
hypothesis = "A single node refuses writes, and answers while it stands still."
[cluster]
nodes = 1
[[probe]]
name = "found"
metric = "lost_writes"
max = 0
[[probe]]
name = "same"
metric = "differing"
max = 0
[[probe]]
name = "refused"
metric = "done_share"
max = 0
[[step]]
do = "write"
pattern = "a:*"
count = 5
target = "n1"
[[step]]
do = "expect"
probe = "found"
within = "5s"
[[step]]
do = "expect"
probe = "same"
within = "5s"
[[step]]
do = "expect"
probe = "refused"
[[step]]
do = "pause"
target = "n1"
[[step]]
do = "expect"
probe = "found"
"""


def run(tmp_path: Path, *arguments: str) -> tuple[int, dict[str, object]]:
    ring = Cluster(tmp_path)
    done = ring.run(*arguments, "--json", timeout_s=200)
    assert processes_with(str(tmp_path)) == []
    assert done.out, done.err
    return done.code, json.loads(done.out)


@pytest.mark.parametrize("text", [SLOW_NODE, PAUSED], ids=["slow-node", "paused"])
def test_scenarios_hold(tmp_path: Path, text: str) -> None:
    path = tmp_path / "scenario.toml"
    path.write_text(text)
    code, report = run(tmp_path, "scenario", "run", str(path))
    assert (code, report["outcome"]) == (0, "met"), report


def test_first_look(tmp_path: Path) -> None:
    code, report = run(tmp_path, "demo", "run", "first-look")
    assert (code, report["outcome"]) == (0, "met"), report


def test_consistent_hash(tmp_path: Path) -> None:
    code, report = run(tmp_path, "demo", "run", "consistent-hash")
    assert (code, report["outcome"]) == (0, "met"), report
    tables = report["tables"]
    assert isinstance(tables, list)
    assert [len(table["rows"]) for table in tables] == [5, 6, 6, 5, 5]


def test_replication(tmp_path: Path) -> None:
    code, report = run(tmp_path, "demo", "run", "replication")
    assert (code, report["outcome"]) == (0, "met"), report


def test_false_claims_on_data_fail(tmp_path: Path) -> None:
    path = tmp_path / "scenario.toml"
    path.write_text(FALSE_DATA)
    code, report = run(tmp_path, "scenario", "run", str(path))
    assert (code, report["outcome"]) == (1, "deviated")
    probes = report["probes"]
    assert isinstance(probes, list)
    assert [(probe["name"], probe["value"], probe["ok"]) for probe in probes] == [
        ("found", 0.0, True),
        ("same", 0.0, True),
        ("refused", 1.0, False),
        ("found", None, False),
    ]


def test_a_false_claim_on_placement_fails(tmp_path: Path) -> None:
    path = tmp_path / "scenario.toml"
    path.write_text(FALSE_BALANCE)
    code, report = run(tmp_path, "scenario", "run", str(path))
    assert (code, report["outcome"]) == (1, "deviated")
    probes = report["probes"]
    assert isinstance(probes, list)
    assert [(probe["name"], probe["ok"]) for probe in probes] == [
        ("routed", True),
        ("perfect", False),
    ]


def test_a_false_claim_fails(tmp_path: Path) -> None:
    path = tmp_path / "scenario.toml"
    path.write_text(FALSE_CLAIM)
    code, report = run(tmp_path, "scenario", "run", str(path))
    assert (code, report["outcome"]) == (1, "deviated")
    assert "members.alive is 2" in str(report["reason"])


def test_interrupted_is_healed_and_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "scenario.toml"
    path.write_text(
        FALSE_CLAIM.replace('do = "expect"\nprobe = "unnoticed"', 'do = "wait"\nfor = "60s"')
    )
    ring = Cluster(tmp_path)
    process = subprocess.Popen(
        [sys.executable, "-m", "console.cli", "scenario", "run", str(path), "--json"],
        env=ring.environment,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        wait_until(lambda: len(processes_with(str(tmp_path))) == 2, "nodes run", 60)
        time.sleep(1.0)
        os.kill(process.pid, signal.SIGINT)
        out, _ = process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 130
    assert json.loads(out)["outcome"] == "interrupted"
    assert processes_with(str(tmp_path)) == []
