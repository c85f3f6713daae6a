"""What the disk tier is about to write or to remove, by place: the last word on each counts.

Nobody was promised any of it. What the disk refused is removed as soon as it takes anything again:
what may still lie there is older than what memory has had since.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, final

ROW_EXTRA_BYTES: Final = 64
"""What the medium adds to a record, for the budget."""


@final
class Gathered:
    """See the module.

    Args:
        bytes_max: what is gathered is to be handed over when it reaches this.
    """

    def __init__(self, bytes_max: int) -> None:
        self._bytes_max = bytes_max
        self._rows: dict[bytes, bytes | None] = {}
        self.bytes = 0

    def __contains__(self, place: bytes) -> bool:
        return place in self._rows

    def __getitem__(self, place: bytes) -> bytes | None:
        return self._rows[place]

    def put(self, place: bytes, data: bytes | None) -> bool:
        """Gather a record, or its removal when ``data`` is None; whether there is enough of it now."""
        self._rows[place] = data
        self.bytes += ROW_EXTRA_BYTES if data is None else len(data) + ROW_EXTRA_BYTES
        return self.bytes >= self._bytes_max

    def withdraw(self, place: bytes) -> None:
        """Something else happens to this place."""
        self._rows.pop(place, None)

    def retain(self, places: Iterable[bytes]) -> None:
        """These were refused: they are removed later, unless something newer has been gathered."""
        for place in places:
            if place not in self._rows:
                self.put(place, None)

    def take(self) -> list[tuple[bytes, bytes | None]]:
        """Everything, in order of the places, which the disk likes best; nothing stays."""
        rows = sorted(self._rows.items(), key=_place)
        self._rows = {}
        self.bytes = 0
        return rows


def _place(row: tuple[bytes, bytes | None]) -> bytes:
    return row[0]
