"""The workers of a search."""

from __future__ import annotations

import subprocess
import sys


def test_workers_end_with_a_search_that_is_killed() -> None:
    command = [sys.executable, "-m", "nodecore.simulation", "--seeds", "0:100000", "--jobs", "2"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as search:
        assert search.stdout is not None
        assert b"seed" in search.stdout.readline(), "the first seed is judged: workers run"
        search.kill()
        # They hold the other end of this pipe: what is left of it ends when they have.
        search.communicate(timeout=20)
