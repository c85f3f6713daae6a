"""Everything that can be observed of a table, as plain data, so that two tables can be compared."""

from __future__ import annotations

from nodecore.ids import SLOTS_COUNT
from nodecore.table.interface import QUEUES_COUNT, Entry, Table


def entry_state(entry: Entry | None) -> object:
    if entry is None:
        return None
    return (
        entry.key,
        entry.value,
        entry.reply,
        entry.hlc,
        entry.node,
        entry.expires_ms,
        entry.slot,
        entry.counter,
        entry.bare,
        entry.queue,
        entry.kind,
        entry.generation,
        entry.size,
    )


def table_state(table: Table) -> object:
    slots = {}
    for slot in range(SLOTS_COUNT):
        if table.slot_count(slot):
            keys = table.slot_keys(slot)
            slots[slot] = (
                table.slot_count(slot),
                table.slot_live(slot),
                [entry_state(table.get(key)) for key in keys],
            )
    return (
        len(table),
        slots,
        table.touched,
        table.touches_lost,
        table.written,
        table.writes_lost,
        table.take_bands(),
        table.inserted,
        table.superseded,
        table.expiring,
        table.older,
        (table.gate_reads, table.gate_hits, table.gate_writes),
        (table.bytes_used, table.hlc_high, table.generation),
        [(table.queue_bytes(queue), table.queue_count(queue)) for queue in range(QUEUES_COUNT)],
    )
