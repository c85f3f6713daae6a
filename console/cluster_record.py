"""What is remembered about a local cluster between commands: names, addresses, processes.

The record is a small document (``cluster.json``). It says which processes were started and where
they listen; whether they still run is asked of the operating system, never read from here.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import msgspec

from console.errors import UsageError

FORMAT = 1
"""Raised when an older command could misread the record."""


@dataclass(frozen=True, slots=True)
class NodeRecord:
    """One node process of this machine."""

    id: str
    native: str
    resp: str
    http: str
    pid: int = 0
    """0: never started, or stopped on purpose."""
    born: str = ""
    """When the process began, as the system says it: tells it from a later owner of its pid."""
    fault: str = ""
    """``kill`` or ``terminate`` when a process fault stopped it: heal starts it again."""

    def public(self) -> dict[str, object]:
        """The fields that ``cluster start --json`` prints."""
        return {
            "id": self.id,
            "pid": self.pid,
            "resp": self.resp,
            "http": self.http,
            "native": self.native,
        }


@dataclass(frozen=True, slots=True)
class ClusterRecord:
    """A local cluster by name."""

    name: str
    cluster_id: str
    nodes: tuple[NodeRecord, ...]
    chaos: bool = False
    data_dir: str = ""
    """Where the nodes keep their state; empty: with the record, temporary."""
    owner_pid: int = 0
    """Console that takes the nodes with it when it ends; 0: they run on their own."""
    owner_born: str = ""
    format: int = FORMAT
    settings: dict[str, str | int | float | bool] = field(default_factory=dict)
    """Settings that every node of this cluster was started with, later ones included."""

    def node(self, node_id: str) -> NodeRecord | None:
        """The node of that id, None when it is not one of ours."""
        return next((node for node in self.nodes if node.id == node_id), None)

    def with_node(self, changed: NodeRecord) -> ClusterRecord:
        """The record with this node replaced, or added at the end."""
        if self.node(changed.id) is None:
            return replace(self, nodes=(*self.nodes, changed))
        nodes = tuple(changed if node.id == changed.id else node for node in self.nodes)
        return replace(self, nodes=nodes)

    def without_node(self, node_id: str) -> ClusterRecord:
        """The record without this node."""
        return replace(self, nodes=tuple(node for node in self.nodes if node.id != node_id))

    def next_node_id(self, taken: frozenset[str] = frozenset()) -> str:
        """The lowest ``n<i>`` above every number in use, in the record or in ``taken``."""
        names = [node.id for node in self.nodes] + sorted(taken)
        numbers = [int(name[1:]) for name in names if name[:1] == "n" and name[1:].isdecimal()]
        return f"n{max(numbers, default=0) + 1}"


def encode_record(record: ClusterRecord) -> bytes:
    """The record as readable JSON."""
    return msgspec.json.format(msgspec.json.encode(record), indent=2) + b"\n"


def decode_record(text: bytes, place: str) -> ClusterRecord:
    """Parse what :func:`encode_record` gave.

    Raises:
        UsageError: it is damaged or of a newer format; the message names ``place``.
    """
    try:
        record = msgspec.json.decode(text, type=ClusterRecord)
    except msgspec.DecodeError as error:
        raise UsageError(
            f"{place} is damaged ({error})", hint="remove it, or run: ringdeck cluster stop --purge"
        ) from None
    if record.format != FORMAT:
        raise UsageError(f"{place} has format {record.format}; this version reads {FORMAT}")
    return record
