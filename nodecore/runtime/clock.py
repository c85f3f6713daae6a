"""The one place of a node that reads clocks."""

from __future__ import annotations

import time

from nodecore.ids import Now


def read_now(skew_ms: float = 0.0) -> Now:
    """Both clocks at this moment; ``skew_ms`` is an injected clock fault."""
    return Now(time.monotonic(), int(time.time() * 1000.0 + skew_ms))
