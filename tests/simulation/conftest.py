"""What runs in simulated worlds is collected seldom: a run makes much that lives until its end."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True, scope="session")
def rare_collections() -> Iterator[None]:
    before = gc.get_threshold()
    gc.set_threshold(50_000, 20, 100)
    yield
    gc.set_threshold(*before)
