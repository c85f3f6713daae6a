"""What a scenario asks of the cluster about its keys: where they are, whether they are found.

Tables of who holds how much, what the last change moved, and the metrics that take a question to the
nodes. When they are asked, and what must hold, is the runner's affair.
"""

from __future__ import annotations

from typing import final

from console.errors import ClusterUnreachable
from console.load.keys import key_name
from console.runtime.key_sweep import count_lost_keys
from console.runtime.live_source import LiveSource
from console.runtime.routing_check import find_misrouted
from console.scenario import Metric
from console.scenario_metrics import Measurements
from console.scenario_report import ReportTable
from console.slot_moves import holdings, slot_moves
from nodecore.placement.hashing import slot_of
from nodecore.placement.slot_map import SlotMap
from nodecore.placement.topology import Topology


@final
class ScenarioPlacement:
    """Asks one source about the keys of its load."""

    def __init__(self, source: LiveSource, measurements: Measurements, keys: int) -> None:
        self._source = source
        self._measurements = measurements
        self._keys = keys
        self._key_slots = [slot_of(key_name(number)) for number in range(keys)]

    async def ask(self, metric: Metric) -> str:
        """Measure one of ``console.scenario.ASKED``; returns what else there is to tell of it.

        Nothing becomes known of keys without a load.

        Raises:
            ConsoleError: the nodes can't be asked.
        """
        asked = self._measurements.asked
        if metric is Metric.BALANCE:
            asked[metric] = self._known()[1].shares().primary_max_over_mean
        elif self._keys and metric is Metric.LOST_KEYS:
            doors = list(self._source.doors().values())
            asked[metric] = float(await count_lost_keys(doors, self._keys))
        elif self._keys:
            topology, slot_map = self._known()
            resp_doors = {str(m.node_id): m.addresses.resp for m in topology.members}
            owners = [str(owners[0]) for owners in slot_map.owners]
            found = await find_misrouted(resp_doors, owners, self._keys)
            asked[metric] = float(found.total)
            return found.text()
        return ""

    def note_moves(self, before: SlotMap) -> str:
        """Measure what moved since ``before``, for claims; returns it in words."""
        moves = slot_moves(before, self._known()[1], self._key_slots)
        self._measurements.moves = moves
        words = "no weight changed"
        if moves.minimum:
            words = (
                f"{moves.minimum:.1%} had to; "
                f"{moves.strayed} copies went between nodes that it did not concern"
            )
        return (
            f"{moves.slots} slots ({moves.share:.1%}) and {moves.keys} of {self._keys} keys "
            f"({moves.keys_share:.1%}) have another first owner, {words}"
        )

    def distribution(self, number: int, at_s: float) -> ReportTable:
        """Who holds how much now, for the step of that number.

        Raises:
            ClusterUnreachable: no document is known yet.
        """
        slot_map = self._known()[1]
        rows = [
            (
                row.node_id,
                f"{row.weight:g}",
                str(row.slots),
                f"{row.share:.1%}",
                f"{row.fair:.1%}",
                str(row.keys),
                f"{row.share / row.fair:.3f}",
            )
            for row in holdings(slot_map, self._key_slots)
        ]
        excess = slot_map.shares().primary_max_over_mean
        return ReportTable(
            at_s,
            number,
            f"{len(rows)} nodes; the fullest has {excess:.3f} times its fair share",
            ("node", "weight", "slots", "share", "fair", "keys", "of fair"),
            tuple(rows),
        )

    def _known(self) -> tuple[Topology, SlotMap]:
        assembler = self._source.assembler()
        if assembler.topology is None or assembler.slot_map is None:
            raise ClusterUnreachable("owners are not known yet")
        return assembler.topology, assembler.slot_map
