"""A cluster with a secret: started, commanded and watched by those who have the file, by no others."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.e2e.harness import Cluster, cluster
from tests.e2e.screen import open_screen

pytestmark = pytest.mark.slow

TEXT = "correct horse battery staple"


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    path = tmp_path / "secret"
    path.write_text(TEXT)
    path.chmod(0o600)
    return path


def test_a_cluster_with_a_secret(tmp_path: Path, secret: Path) -> None:
    with cluster(tmp_path, 2, "--enable-chaos", "--secret-file", str(secret)) as ring:
        # By name the file is known from the start; nobody has to be told again.
        ring.ok("set", "a", "b")
        assert ring.ok("get", "a").out == "b"
        ring.ok("chaos", "latency", "n2", "--for", "5s")
        assert len(ring.status()["members"]) == 2
        address = str(ring.nodes[0]["native"])
        refused = ring.run("get", "a", "--connect", address)
        assert refused.code != 0
        assert "secret" in refused.err
        found = ring.run("get", "a", "--connect", address, "--secret-file", str(secret))
        assert (found.code, found.out) == (0, "b")
        watch(ring, address, secret)
        listed = subprocess.run(["ps", "-ww", "-eo", "args="], capture_output=True, timeout=10)
        assert TEXT.encode() not in listed.stdout


def watch(ring: Cluster, address: str, secret: Path) -> None:
    """The console, attached by address, its load included."""
    settings = {**ring.environment, "RINGDECK_SECRET_FILE": str(secret)}
    with open_screen(settings, "console", "--attach", address) as screen:
        screen.wait_for(r"\bn2 +up\b", 60)
        screen.press("o")
        screen.wait_for(r"LOAD")
        screen.press("s")
        screen.wait_for(r"load [1-9]\d*/1\.0k op/s", 30)
        screen.press("q")
        screen.wait_for(r"(?i)enter")
        screen.press("\r")
        assert screen.wait_end() == 0


def test_a_secret_that_others_can_read_starts_nothing(tmp_path: Path, secret: Path) -> None:
    secret.chmod(0o644)
    ring = Cluster(tmp_path)
    refused = ring.run("cluster", "start", "--name", ring.name, "--secret-file", str(secret))
    assert refused.code == 2
    assert "chmod 600" in refused.err
    assert ring.pids() == []
