"""What runs in simulated worlds is collected as seldom as in the search."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from nodecore.simulation.runtime.pool import collect_rarely


@pytest.fixture(autouse=True, scope="session")
def rare_collections() -> Iterator[None]:
    before = gc.get_threshold()
    collect_rarely()
    yield
    gc.set_threshold(*before)
