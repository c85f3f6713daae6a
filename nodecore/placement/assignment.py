"""The bytes in which a topology document carries a direct assignment of slots.

Layout before zlib: version, copies (u8 each), number of nodes (u16), each node id (u8 length and
text), then per copy one column of 16384 node indexes (u8). Columns, because runs of equal owners
compress; a document must fit a control frame. The encoding of an assignment is unique, so that
documents can be compared by their bytes. Decides nothing about who owns what (see ``even``).
"""

from __future__ import annotations

import zlib
from functools import lru_cache
from typing import Final

from nodecore.errors import InvalidTopology
from nodecore.ids import SLOTS_COUNT, NodeId
from nodecore.limits import MEMBERS_MAX
from nodecore.placement.ring import OwnerTable

_VERSION: Final = 1
_PLAIN_BYTES_MAX: Final = 4 + MEMBERS_MAX * 65 + MEMBERS_MAX * SLOTS_COUNT
_NODES_MAX: Final = 256
"""An index is one byte."""

assert MEMBERS_MAX <= _NODES_MAX


def encode(table: OwnerTable) -> bytes:
    """An assignment as bytes.

    Raises:
        ValueError: slots differ in their number of owners, or there are not 16384 of them.
    """
    copies = len(table[0]) if table else 0
    if len(table) != SLOTS_COUNT or any(len(owners) != copies for owners in table):
        raise ValueError("an assignment has 16384 slots with equally many owners")
    nodes = sorted({node for owners in table for node in owners})
    index_of = {node: index for index, node in enumerate(nodes)}
    parts = [bytes([_VERSION, copies]), len(nodes).to_bytes(2, "big")]
    for node in nodes:
        name = node.encode()
        parts.append(bytes([len(name)]) + name)
    parts.extend(
        bytes([index_of[owners[position]] for owners in table]) for position in range(copies)
    )
    return zlib.compress(b"".join(parts), 9)


@lru_cache(maxsize=8)
def decode(data: bytes) -> OwnerTable:
    """What ``encode`` was given; remembered, because a document is checked before it is compiled.

    Raises:
        InvalidTopology: the bytes are damaged.
    """
    try:
        decompressor = zlib.decompressobj()
        plain = decompressor.decompress(data, _PLAIN_BYTES_MAX)
        if not decompressor.eof or decompressor.unused_data:
            raise ValueError("wrong length")
        return _parse(plain)
    except (zlib.error, ValueError, IndexError) as error:
        raise InvalidTopology(f"slot assignment is damaged: {error}") from None


def _parse(plain: bytes) -> OwnerTable:
    if plain[0] != _VERSION:
        raise ValueError(f"version {plain[0]}")
    copies, nodes_count, offset = plain[1], int.from_bytes(plain[2:4], "big"), 4
    nodes: list[NodeId] = []
    for _ in range(nodes_count):
        end = offset + 1 + plain[offset]
        nodes.append(NodeId(plain[offset + 1 : end].decode("ascii")))
        offset = end
    if len(plain) != offset + copies * SLOTS_COUNT:
        raise ValueError("wrong length")
    columns = [
        plain[offset + copy * SLOTS_COUNT : offset + (copy + 1) * SLOTS_COUNT]
        for copy in range(copies)
    ]
    if not columns:
        return ((),) * SLOTS_COUNT
    cache: dict[tuple[int, ...], tuple[NodeId, ...]] = {}
    table = []
    for indexes in zip(*columns, strict=True):
        owners = cache.get(indexes)
        if owners is None:
            if len(dict.fromkeys(indexes)) != copies:
                raise ValueError("a node owns a slot twice")
            owners = cache[indexes] = tuple(nodes[index] for index in indexes)
        table.append(owners)
    return tuple(table)
