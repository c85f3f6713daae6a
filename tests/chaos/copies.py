"""What the owners of keys hold, compared byte for byte: value, version, writer and expiry.

Each node is asked for its own entries; none of them answers for another, and nothing is repaired by
asking. Tombstones count as absent: one owner may have collected them before another.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Final

import trio

from console.errors import ConsoleError
from console.runtime.admin_client import call_each
from nodecore.table.interface import Kind
from tests.chaos.recorder import Session

SLOTS_AT_ONCE: Final = 40
ANSWER_S: Final = 10.0


def places(address: str, keys: Sequence[bytes]) -> dict[bytes, tuple[int, list[str]]]:
    """Slot and owners of each key, as one node knows them."""
    found: dict[bytes, tuple[int, list[str]]] = {}
    session = Session(address)
    for key in keys:
        answer = session.ask([b"RINGDECK", b"OWNERS", key])
        assert isinstance(answer, list), answer
        slot, owners = answer
        assert isinstance(slot, int), answer
        assert isinstance(owners, list), answer
        found[key] = slot, [owner.decode() for owner in owners if isinstance(owner, bytes)]
    session.close()
    return found


def entries_of(
    doors: dict[str, str], slots: Sequence[int], epoch: int
) -> dict[str, dict[bytes, object]]:
    """Per node its own live entries in these slots.

    Raises:
        ConsoleError: a node did not answer, or refused.
    """
    held: dict[str, dict[bytes, object]] = {node: {} for node in doors}
    for first in range(0, len(slots), SLOTS_AT_ONCE):
        wanted = list(slots[first : first + SLOTS_AT_ONCE])
        arguments = {"epoch": epoch, "slots": wanted}
        answers = trio.run(
            partial(call_each, doors, "backup.entries", arguments, timeout_s=ANSWER_S)
        )
        for node, answer in answers.items():
            if isinstance(answer, ConsoleError):
                raise answer
            assert isinstance(answer, dict), answer
            assert answer["done"] == len(wanted), f"{node} sent a part of its entries only"
            for key, kind, *content in answer["entries"]:
                if kind != Kind.TOMBSTONE:
                    held[node][bytes(key)] = (kind, *content)
    return held


def differing_copies(doors: dict[str, str], address: str, keys: Sequence[bytes]) -> list[str]:
    """Keys whose owners disagree, with what each of them holds; a line for each."""
    found = places(address, keys)
    topologies = trio.run(partial(call_each, doors, "topology", {}, timeout_s=ANSWER_S))
    epochs = {node: known["epoch"] for node, known in topologies.items() if isinstance(known, dict)}
    if len(set(epochs.values())) != 1 or len(epochs) != len(doors):
        return [f"nodes stand at different epochs: {epochs}"]
    slots = sorted({slot for slot, _owners in found.values()})
    held = entries_of(doors, slots, next(iter(epochs.values())))
    lines: list[str] = []
    for key, (_slot, owners) in found.items():
        copies = {owner: held[owner].get(key) for owner in owners}
        if any(copy != copies[owners[0]] for copy in copies.values()):
            lines.append(f"{key.decode()}: copies differ: {copies}")
    return lines
