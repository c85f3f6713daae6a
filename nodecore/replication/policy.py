"""What a keyspace allows at this moment: its mode, and what it does in a partition.

It decides from the document's keyspace and from one fact that the node keeps current: how many of
the voters this node sees. A node that sees no majority stands on the small side of a partition (or
most voters have failed; the two can't be told apart). There

* ``available`` keyspaces are served as ever: writes count as ``sloppy`` with fewer than W copies and
  are handed to the others later, misses that too few owners confirm are ``degraded``;
* ``read-only`` ones are read, and every write and update is refused before anything happens;
* ``refuse`` ones are neither read nor written.

On the large side nothing is refused for this reason; there ``read-only`` and ``refuse`` keyspaces
merely never take a write with fewer than W copies, nor answer a miss with fewer than N-W+1 owners. A
write of several keys is refused as a whole when one of them must be; a read is answered key by key.
"""

from __future__ import annotations

from typing import Final

from nodecore.errors import Code
from nodecore.requests import Failed
from nodecore.routing import Route

RETRY_S: Final = 1.0
"""Before it is worth trying again: a heal takes about so long to be noticed."""


class Policy:
    """Admission of requests by keyspace."""

    def __init__(self) -> None:
        self.minority = False
        """This node sees no majority of the voters."""
        self._seen = ""
        self.reads_refused = 0
        """Keys that were not read because of a partition."""
        self.writes_refused = 0
        """Requests that were not run because of a partition."""

    def note_voters(self, seen: int, voters: int) -> None:
        """This node sees ``seen`` of the voters; of two sets the one that is worse off."""
        self.minority = 2 * seen <= voters
        self._seen = f"this node sees {seen} of {voters} voters"

    def refuses_read(self, route: Route) -> Failed | None:
        """Why a key under ``route`` can't be read now."""
        keyspace = route.keyspace
        if keyspace.mode != "eventual":
            return _not_served(keyspace.pattern)
        if self.minority and keyspace.on_partition == "refuse":
            self.reads_refused += 1
            return self._refuses(keyspace.pattern)
        return None

    def refuses_write(self, route: Route) -> Failed | None:
        """Why a key under ``route`` can't be written now. Who acts on it tells :meth:`count_write`."""
        keyspace = route.keyspace
        if keyspace.mode != "eventual":
            return _not_served(keyspace.pattern)
        if not self.minority or keyspace.on_partition == "available":
            return None
        if keyspace.on_partition == "read-only":
            text = f"keyspace {keyspace.pattern!r} is read-only in a partition: {self._seen}"
            return Failed(Code.READ_ONLY, text, RETRY_S)
        return self._refuses(keyspace.pattern)

    def count_write(self, refused: Failed) -> None:
        """A request was refused with this answer."""
        if refused.code in (Code.READ_ONLY, Code.NO_QUORUM):
            self.writes_refused += 1

    def _refuses(self, pattern: str) -> Failed:
        text = f"keyspace {pattern!r} refuses requests in a partition: {self._seen}"
        return Failed(Code.NO_QUORUM, text, RETRY_S)


def _not_served(pattern: str) -> Failed:
    """Strong keys never get here, unless their keyspace became strong while the request waited."""
    return Failed(Code.NOT_READY, f"keyspace {pattern!r} has become strong: ask again", RETRY_S)
