"""Commands of the live source, without nodes: what is given later comes later."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import trio

from console.runtime import fault_commands
from console.runtime.live_commands import LiveCommands
from console.runtime.ongoing import Ongoing


async def test_healing_waits_for_the_fault_that_was_asked_for_before_it(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.abc.Clock
) -> None:
    told: list[str] = []

    async def slow_add(*_: Any) -> str:
        await trio.sleep(1)
        told.append("added")
        return "latency-1"

    async def heal(_: Mapping[str, str]) -> dict[str, int]:
        told.append("healed")
        return {}

    monkeypatch.setattr(fault_commands, "add_fault", slow_add)
    monkeypatch.setattr(fault_commands, "heal", heal)
    commands = LiveCommands("c", "me")
    async with trio.open_nursery() as nursery:

        async def add() -> None:
            result = await commands.add_fault(
                "latency", "n1", {"latency": 200.0, "jitter": 0.0}, stream="down", toxicity=1.0,
                for_s=None, control=False,
            )  # fmt: skip
            assert result.ok

        nursery.start_soon(add)
        await trio.testing.wait_all_tasks_blocked()
        assert (await commands.heal_all()).ok
    assert told == ["added", "healed"]


async def test_what_failed_is_not_waited_for(autojump_clock: trio.abc.Clock) -> None:
    ongoing = Ongoing()
    with pytest.raises(ValueError, match="no"), ongoing.counted():
        raise ValueError("no")
    with trio.fail_after(1):
        await ongoing.settled()
