"""What a keyspace allows at this moment: its mode, and what it does in a partition.

It decides from the document's keyspace and from one fact that the node keeps current: whether this
node sees only a minority of the voters.
"""

from __future__ import annotations

from nodecore.errors import Code
from nodecore.requests import Failed
from nodecore.routing import Route


class Policy:
    """Admission of requests by keyspace."""

    def __init__(self) -> None:
        self.minority = False
        """This node sees no majority of the voters."""

    def refuses_read(self, route: Route) -> Failed | None:
        """Why a key under ``route`` can't be read now."""
        keyspace = route.keyspace
        if keyspace.mode != "eventual":
            return _not_served(keyspace.pattern)
        if self.minority and keyspace.on_partition == "refuse":
            return Failed(
                Code.REFUSED, f"keyspace {keyspace.pattern!r} refuses requests in a partition"
            )
        return None

    def refuses_write(self, route: Route) -> Failed | None:
        """Why a key under ``route`` can't be written now."""
        keyspace = route.keyspace
        if keyspace.mode != "eventual":
            return _not_served(keyspace.pattern)
        if self.minority and keyspace.on_partition == "refuse":
            return Failed(
                Code.REFUSED, f"keyspace {keyspace.pattern!r} refuses requests in a partition"
            )
        if self.minority and keyspace.on_partition == "read-only":
            return Failed(
                Code.READ_ONLY, f"keyspace {keyspace.pattern!r} is read-only in a partition"
            )
        return None


def _not_served(pattern: str) -> Failed:
    text = f"keyspace {pattern!r} is strong: strong keyspaces are not served by this version"
    return Failed(Code.REFUSED, text)
