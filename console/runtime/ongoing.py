"""Commands in flight, for one that must come after those that were given before it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import final

import trio


@final
class Ongoing:
    """What has begun and not ended yet."""

    def __init__(self) -> None:
        self._ends: dict[trio.Event, None] = {}

    @contextmanager
    def counted(self) -> Iterator[None]:
        """The block is in flight until it ends, however it ends."""
        end = trio.Event()
        self._ends[end] = None
        try:
            yield
        finally:
            del self._ends[end]
            end.set()

    async def settled(self) -> None:
        """Wait until all that is in flight now has ended; what begins meanwhile is not waited for."""
        for end in list(self._ends):
            await end.wait()
