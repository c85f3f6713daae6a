"""``ringdeck backup``, ``verify`` and ``restore`` on real processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from nodecore.backup.file_format import Decoder
from nodecore.storage.records import Record
from tests.e2e.harness import ROOT, Cluster, cluster, wait_until

pytestmark = pytest.mark.slow

KEYS = 2000


def fill(found: Cluster, keys: int = KEYS) -> None:
    with found.redis(found.nodes[0]["resp"]) as client:
        pipeline = client.pipeline(transaction=False)
        for n in range(keys):
            pipeline.set(f"k{n}", f"v{n}" * 5, ex=1000 if n % 3 == 0 else None)
        for n in range(20):
            pipeline.set(f"strong:{n}", f"s{n}", ex=1000 if n % 2 else None)
        pipeline.set("{big}", b"x" * 3_000_000)
        pipeline.execute()


def records(path: Path) -> dict[bytes, Record]:
    decoder = Decoder()
    found = {record.key: record for record in decoder.feed(path.read_bytes())}
    decoder.finish()
    return found


def numbers(done: dict[str, Any]) -> tuple[int, ...]:
    return tuple(done[name] for name in ("applied", "same", "kept", "failed"))


def test_a_round_trip_keeps_values_versions_and_expiries(tmp_path: Path) -> None:
    file, again = tmp_path / "a.backup", tmp_path / "b.backup"
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    total = KEYS + 21
    with cluster(tmp_path / "one", 3) as found:
        fill(found)
        made = found.ok("backup", str(file), "--json").json
        assert made["keys"] == total
        assert not Path(f"{file}.tmp").exists()
        sound = found.run("verify", str(file), "--json").json
        assert (sound["keys"], sound["cluster_id"]) == (total, made["cluster_id"])
        assert [(s["pattern"], s["keys"]) for s in sound["keyspaces"]] == [
            ("*", KEYS + 1),
            ("strong:*", 20),
        ]
        refused = found.run("backup", str(file), "--name", found.name)
        assert refused.code == 2
        assert "--force" in refused.err
        assert numbers(found.ok("restore", str(file), "--json").json) == (0, total, 0, 0)
    with cluster(tmp_path / "two", 2) as other:
        dry = other.ok("restore", str(file), "--dry-run", "--json").json
        assert numbers(dry) == (total, 0, 0, 0)
        done = other.ok("restore", str(file), "--json").json
        assert numbers(done) == (total, 0, 0, 0)
        with other.redis(other.nodes[1]["resp"]) as client:
            assert client.get("k7") == b"v7" * 5
            assert 900 < int(client.ttl("k3")) <= 1000
            assert int(client.ttl("k4")) == -1
            assert client.get("strong:3") == b"s3"
            assert 900 < int(client.ttl("strong:3")) <= 1000
        other.ok("backup", str(again))
        before, after = records(file), records(again)
        eventual = [key for key in before if not key.startswith(b"strong:")]
        assert [after[key] for key in eventual] == [before[key] for key in eventual]
        assert {key: (r.value, r.expires_ms) for key, r in after.items()} == {
            key: (r.value, r.expires_ms) for key, r in before.items()
        }


def test_a_restore_under_load_keeps_newer_values_and_a_flush_is_told(tmp_path: Path) -> None:
    file = tmp_path / "a.backup"
    with cluster(tmp_path, 3) as found:
        fill(found)
        found.ok("backup", str(file))
        with found.redis(found.nodes[1]["resp"]) as client:
            command = [sys.executable, "-m", "console.cli", "restore", str(file)]
            running = subprocess.Popen(
                [*command, "--name", found.name, "--json"],
                env=found.environment,
                cwd=ROOT,
                stdout=subprocess.PIPE,
            )
            written = 0
            while running.poll() is None:
                client.set(f"k{written % KEYS}", "newer")
                client.set(f"strong:{written % 20}", "newer")
                written += 1
            running.communicate()
            assert running.returncode == 0
            assert written > 20
            for n in range(min(written, KEYS)):
                assert client.get(f"k{n}") == b"newer", n
            for n in range(20):
                assert client.get(f"strong:{n}") == b"newer", n
            client.flushall()
            done = found.run("restore", str(file), "--name", found.name, "--json")
            assert done.json["flushed"] == KEYS + 1
            assert "--renew" in done.err
            assert client.get("k1") is None
            found.ok("restore", str(file), "--renew")
            assert client.get("k1") == b"v1" * 5


def test_with_a_node_killed_a_backup_is_whole_and_with_two_it_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "a.backup"
    with cluster(tmp_path, 3) as found:
        fill(found)
        command = [sys.executable, "-m", "console.cli", "backup", str(file), "--json"]
        running = subprocess.Popen(
            [*command, "--name", found.name], env=found.environment, cwd=ROOT
        )
        wait_until(lambda: Path(f"{file}.tmp").exists() or file.exists(), "it has begun")
        os.kill(found.nodes[2]["pid"], signal.SIGKILL)
        assert running.wait(timeout=60) == 0
        assert len(records(file)) == KEYS + 21
        os.kill(found.nodes[1]["pid"], signal.SIGKILL)
        refused = found.run("backup", str(tmp_path / "b.backup"), "--name", found.name)
        assert refused.code == 1, refused.err
        assert "would not be whole" in refused.err
        assert list(tmp_path.glob("b.backup*")) == []


def test_damaged_files_and_absent_clusters_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "a.backup"
    with cluster(tmp_path, 1) as found:
        fill(found, 50)
        found.ok("backup", str(file))
        data = file.read_bytes()
        file.write_bytes(data[:2000])
        cut = found.run("verify", str(file))
        assert cut.code == 1
        assert "truncated: the file ends after 2000 bytes" in cut.err
        file.write_bytes(data[:1500] + bytes([data[1500] ^ 1]) + data[1501:])
        for command in (["verify"], ["restore", "--name", found.name]):
            altered = found.run(command[0], str(file), *command[1:])
            assert altered.code == 1
            assert "(at byte 1" in altered.err
        file.write_bytes(b"REDIS0011")
        assert "not a ringdeck backup" in found.run("verify", str(file)).err
        assert found.run("verify", str(tmp_path / "none")).code == 2
        file.write_bytes(data)
        assert found.run("restore", str(file), "--name", "nobody").code == 3
        assert found.run("restore", str(file), "--connect", "127.0.0.1:19999").code == 3
        nowhere = found.run("backup", str(tmp_path / "no" / "x"), "--name", found.name)
        assert nowhere.code == 1
        assert "can't be written" in nowhere.err
