"""The sheet that explains a key: where it lives, which policy governs it, and what works for it now.

Counts owners that can serve, by the newest document and by who is up; whether this console's side of a
partition may serve is not asked. Fits a sheet on 60 columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from console.formatting import clip, escape_text, number, percent
from console.keyspace_text import ttl_text
from console.painters.figures import fact_lines
from console.view_models.heat import band_of, key_rate
from console.view_models.nodes import faults_of
from console.view_models.scene import Scene
from nodecore.ids import SLOTS_COUNT
from nodecore.placement.hashing import slot_of
from nodecore.placement.keyspace_edits import governing
from nodecore.placement.topology import Keyspace

_KEY_CELLS: Final = 60
_FAULTS_MAX: Final = 3


def explain_lines(scene: Scene, key: str, width: int) -> list[str]:
    """The sheet's lines, none wider than ``width``."""
    raw = key.encode()
    slot = int(slot_of(raw))
    snapshot = scene.model.snapshot
    lines = fact_lines(
        "key", (escape_text(key, _KEY_CELLS), f"slot {slot} of {SLOTS_COUNT}"), width
    )
    keyspace = governing(snapshot.keyspaces, raw) if snapshot.keyspaces else None
    lines += _keyspace_lines(keyspace, width)
    if snapshot.owners is None:
        return [*lines, clip("owners: no node has told its topology yet", width)]
    copies = keyspace.n if keyspace is not None else len(snapshot.owners[slot])
    owners = snapshot.owners[slot][:copies]
    lines += fact_lines("owners", [_owner(scene, index) for index in owners] or ["none"], width)
    coming = snapshot.owners_next[slot][:copies] if snapshot.owners_next is not None else owners
    if coming != owners:
        names = [snapshot.members[index].node_id for index in coming]
        lines += fact_lines("soon", (f"on {' '.join(names)} when the change is done",), width)
    if keyspace is not None:
        live = sum(index in scene.model.live for index in owners)
        lines += ["", *_outlook_lines(keyspace, len(owners), live, width)]
    return [*lines, "", *_heat_lines(scene, raw, slot, width), *_fault_lines(scene, owners, width)]


def _keyspace_lines(keyspace: Keyspace | None, width: int) -> list[str]:
    if keyspace is None:
        return fact_lines("keyspace", ("not known yet",), width)
    facts = [
        escape_text(keyspace.pattern, 40),
        keyspace.mode,
        f"N/W/R {keyspace.n}/{keyspace.w}/{keyspace.r}",
        f"durable: {keyspace.durability}",
        f"in a partition: {keyspace.on_partition}",
    ]
    if keyspace.ttl_ms:
        facts.append(f"expires after {ttl_text(keyspace.ttl_ms)}")
    return fact_lines("keyspace", facts, width)


def _owner(scene: Scene, index: int) -> str:
    """``C n3 up``, with the callers whose breakers towards it are open."""
    node = scene.model.rows[index]
    opened = f" x{node.open_count}" if node.open_count else ""
    return f"{node.letter} {node.node_id} {node.state}{opened}"


def _outlook_lines(keyspace: Keyspace, owners: int, live: int, width: int) -> list[str]:
    """What a read and a write of it would meet now."""
    standing = f"{live} of {owners} owners can serve"
    if keyspace.mode == "strong":
        majority = owners // 2 + 1
        works = "works" if live >= majority else "fails"
        asked = f"needs {majority}, a majority: {works}"
        return fact_lines("read, write", (standing, asked), width)
    writes = min(keyspace.w, owners)
    agreeing = owners - min(keyspace.w_past or keyspace.w, owners) + 1
    if live >= writes:
        write = f"needs {writes} owners: works"
    elif live and keyspace.on_partition == "available":
        write = f"wants {writes} owners: sloppy, fewer copies"
    else:
        write = f"needs {writes} owners: fails"
    hit = f"a hit needs {keyspace.r}: {'works' if live >= min(keyspace.r, owners) else 'fails'}"
    told = "works" if live >= agreeing else "can't tell"
    miss = f"a miss needs {agreeing} that agree: {told}"
    lines = fact_lines("read", (standing, hit, miss), width)
    return lines + fact_lines("write", (write,), width)


def _heat_lines(scene: Scene, raw: bytes, slot: int, width: int) -> list[str]:
    total = scene.model.summary.ops or 0.0
    found = next((heat for heat, _ in scene.model.snapshot.hot_keys if heat.key == raw), None)
    if found is not None:
        share = percent(key_rate(found) / total) if total > 0 else "-"
        facts = [
            f"{number(found.reads_per_s)} reads/s",
            f"{number(found.writes_per_s)} writes/s",
            f"{share} of all",
        ]
        return fact_lines("heat", facts, width)
    columns = scene.model.heat.columns
    bands = columns[-1].bands if columns else ()
    around = number(bands[band_of(slot)]) if bands else "-"
    return fact_lines("heat", ("not among the hot keys", f"its band of slots: {around}/s"), width)


def _fault_lines(scene: Scene, owners: Sequence[int], width: int) -> list[str]:
    snapshot = scene.model.snapshot
    found = {
        fault.fault_id: escape_text(fault.text, 60)
        for index in owners
        for fault in faults_of(snapshot.members[index].node_id, snapshot.faults)
    }
    facts = list(found.values())
    if len(facts) > _FAULTS_MAX:
        facts[_FAULTS_MAX:] = [f"and {len(facts) - _FAULTS_MAX} more"]
    return fact_lines("faults", facts or ("none on its owners",), width)
