"""What holds for all tests: programs that are not installed, the table, what commands inherit."""

from __future__ import annotations

import os
import signal
import sys

import pytest

from tests.external import find_absent, judge

if os.environ.get("RINGDECK_TABLE") == "reference":
    # As on a machine without a compiler: who asks for any table gets the plain one.
    sys.modules["nodecore.table._table"] = None  # type: ignore[assignment]

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # Begun in the background: the commands under test would inherit that Ctrl-C means nothing.
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip, or fail, a test whose ``external`` programs are absent."""
    programs = [str(name) for marker in item.iter_markers("external") for name in marker.args]
    verdict = judge(find_absent(programs), os.environ)
    if verdict is None:
        return
    if verdict.fails:
        pytest.fail(verdict.text, pytrace=False)
    pytest.skip(verdict.text)
