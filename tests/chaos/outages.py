"""For how long clients were kept from success by the kill of one node.

Only the time between a kill and the restart is looked at, in which nothing else is wrong.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from nodecore.simulation.history import History, Operation, Result
from tests.chaos.nemesis import Kill

UNAVAILABLE_S_MAX: Final = 3.0
OPERATION_S: Final = 2.5
"""A node answers within it, one way or the other."""


def percentile(values: Sequence[float], share: float) -> float:
    """Of ascending values, by nearest rank; 0 of none."""
    return values[math.ceil(len(values) * share) - 1] if values else 0.0


def longest_outages(histories: list[History], kills: list[Kill]) -> list[float]:
    """For each kill and each client: the longest time without a success, from the kill on.

    A client that was told of no failure and waits for its own next turn is not kept from anything, but
    its pauses are far below what is measured here.
    """
    found: list[float] = []
    for kill in kills:
        last: dict[str, float] = {}
        worst: dict[str, float] = {}
        for history in histories:
            for operation in sorted(history, key=lambda op: op.end_s):
                label = operation.client.partition(".")[0]
                if operation.result is not Result.OK or label.startswith("final"):
                    continue
                if kill.at_s <= operation.end_s <= kill.until_s:
                    gap_s = operation.end_s - last.get(label, kill.at_s)
                    worst[label] = max(worst.get(label, 0.0), gap_s)
                    last[label] = operation.end_s
        labels = {op.client.partition(".")[0] for history in histories for op in history}
        for label in sorted(labels):
            if not label.startswith("final"):
                tail_s = kill.until_s - last.get(label, kill.at_s)
                found.append(max(worst.get(label, 0.0), tail_s))
    return sorted(found)


def failures_after(histories: list[History], kills: list[Kill]) -> list[Operation]:
    """What failed although it began later than a kill may be felt, and nothing else was wrong.

    What was begun just before the node was started again, and never answered, may have met its return.
    """
    return [
        operation
        for history in histories
        for operation in history
        for kill in kills
        if kill.at_s + UNAVAILABLE_S_MAX < operation.begin_s < kill.until_s
        and operation.result is not Result.OK
        and not (operation.result is Result.INFO and operation.begin_s > kill.until_s - OPERATION_S)
    ]
