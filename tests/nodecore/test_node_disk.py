"""What a node has its disk tier do beside the requests."""

from __future__ import annotations

from random import Random

import pytest

from nodecore.config import NodeConfig
from nodecore.effects import DiskWrite
from nodecore.ids import Now
from nodecore.limits import TICK_S
from nodecore.node import Node
from nodecore.node_disk import ALONE_SLOTS_CLOSED_MAX
from nodecore.simulation.store import SimStore
from nodecore.storage.eviction import make_policy
from nodecore.storage.tiered import TieredStore
from nodecore.storage.write_budget import (
    IDLE_SHARE_FULL,
    RECORDS_PER_TICK_MAX,
    RECORDS_PER_TICK_MIN,
)
from nodecore.table import make_table
from tests.nodecore.node_pump import addresses
from tests.nodecore.storage.worlds import MIB, get_command, set_command


class Alone:
    """A cluster of one node with a simulated disk."""

    def __init__(self) -> None:
        self.disk = SimStore(Random(1))
        self.now = Now(100.0, 1_700_000_000_000)
        self.idle_share: float | None = None
        """What the driver measures; None: there is none."""
        self.waited_s = 0.0
        bind = addresses(1)
        config = NodeConfig("n1", cluster_id="c", bind=bind, bootstrap=(("n1", bind),))
        self.store = TieredStore(
            make_table(), make_policy("s3fifo", 8 * MIB), 8 * MIB, Random(2), 64 * MIB
        )
        self.node = Node(config, self.store, Random(3), self.now, {}, self.disk)
        self.node.start(self.now)
        self.run(1.0)
        assert self.node.ready()

    def run(self, seconds: float) -> None:
        until_s = self.now.mono_s + seconds
        while (due_s := self.node.next_timer_at()) is not None and due_s <= until_s:
            elapsed_s = max(0.0, due_s - self.now.mono_s)
            self.now = Now(self.now.mono_s + elapsed_s, self.now.wall_ms + round(elapsed_s * 1000))
            if self.idle_share is not None:
                self.waited_s += elapsed_s * self.idle_share
                self.node.note_process(waited_s=self.waited_s)
            self.node.on_timer(self.now)
            self.node.end_of_turn(self.now)
            for effect in self.node.take_effects():
                if isinstance(effect, DiskWrite):
                    self.disk.write(effect)
                    self.node.on_disk_done(effect.ticket, self.now)

    def serve(self, command: bytes) -> None:
        _reply, consumed = self.store.table.serve(command, self.now.wall_ms, b"$-1\r\n")
        assert consumed == len(command)


def test_a_node_alone_keeps_records_of_its_hottest_keys_in_a_few_slots() -> None:
    alone = Alone()
    keys = [b"k%d" % number for number in range(200)]
    for key in keys:
        alone.serve(set_command(key, b"v"))
    for key in keys[:100]:
        alone.serve(get_command(key) * 50)
    alone.serve(get_command(keys[0]) * 1_000)
    # The window of the heat, and the tick after it.
    alone.run(1.3)
    tier = alone.store.tier
    assert tier.read(keys[0]) is not None
    copied = sum(tier.read(key) is not None for key in keys)
    assert 1 < copied <= ALONE_SLOTS_CLOSED_MAX
    assert tier.closed_count == ALONE_SLOTS_CLOSED_MAX
    # A change reaches the record within a tick.
    alone.serve(set_command(keys[0], b"again"))
    alone.run(0.6)
    record = tier.read(keys[0])
    assert record is not None
    assert record.value == b"again"


def test_the_budget_of_writing_back_follows_what_the_driver_measures() -> None:
    alone = Alone()
    assert alone.node.statistics(alone.now).idle_share == 1.0, "as in every simulation"
    records = {}
    for idle_share in (0.0, IDLE_SHARE_FULL / 2, 1.0, 0.0):
        alone.idle_share = idle_share
        alone.run(2 * TICK_S)
        assert alone.node.statistics(alone.now).idle_share == pytest.approx(idle_share)
        records[idle_share] = 0
        while alone.store.tier.accepts(1):
            records[idle_share] += 1
    assert records == {
        0.0: RECORDS_PER_TICK_MIN,
        IDLE_SHARE_FULL / 2: (RECORDS_PER_TICK_MIN + RECORDS_PER_TICK_MAX) // 2,
        1.0: RECORDS_PER_TICK_MAX,
    }
