"""What a newcomer does first: clone, ``make run``, look, leave."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import pytest

from tests.e2e.harness import ROOT, environment, processes_with, wait_until
from tests.e2e.screen import open_terminal

pytestmark = [pytest.mark.slow, pytest.mark.external("git", "make")]

DEADLINE_S = 300.0
"""Includes an installation from the package index; the usual time is printed, not judged."""


@pytest.mark.timeout(400)
def test_make_run_in_a_fresh_clone_shows_five_live_nodes(tmp_path: Path) -> None:
    if not (ROOT / ".git").exists():
        pytest.skip("not a checkout: there is nothing to clone")
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True, timeout=60)
    settings = environment(tmp_path / "home")
    settings.pop("VIRTUAL_ENV", None)
    begun = time.monotonic()
    with open_terminal(settings, ["make", "run"], clone) as screen:
        screen.wait_for(r"UP 5/5", DEADLINE_S)
        print(f"five live nodes on the screen after {time.monotonic() - begun:.0f} s")
        assert len(processes_with(str(tmp_path / "home"))) >= 5
        screen.press("q")
        screen.wait_for(r"(?i)enter")
        screen.press("\r")
        assert screen.wait_end() == 0
    wait_until(lambda: processes_with(str(tmp_path / "home")) == [], "no process is left")
