"""Heal-all of the console on real processes: every node comes back, whatever became of it meanwhile."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import trio

from console.runtime.launcher import StartOptions
from console.runtime.live_source import LiveOptions, LiveSource
from console.source import ClusterSnapshot
from tests.e2e.harness import environment, processes_with

pytestmark = pytest.mark.slow

DEADLINE_S = 60.0


class Watched:
    """A console's source and its newest snapshot."""

    def __init__(self) -> None:
        self.snapshot: ClusterSnapshot | None = None
        options = StartOptions(nodes=4, settings={"down_grace_s": 1.0})
        self.source = LiveSource(LiveOptions("heal", options))

    def take(self, snapshot: ClusterSnapshot) -> None:
        self.snapshot = snapshot

    def statuses(self) -> dict[str, str]:
        """Status by member; empty while a change is under way."""
        if self.snapshot is None or self.snapshot.state != "stable":
            return {}
        return {member.node_id: member.status for member in self.snapshot.members}

    async def wait(self, holds: Callable[[], bool], what: str) -> None:
        with trio.move_on_after(DEADLINE_S):
            while not holds():  # noqa: ASYNC110 - the snapshot comes from a callback
                await trio.sleep(0.1)
            return
        raise AssertionError(f"{what}: not within {DEADLINE_S:g} s: {self.statuses()}")


def watch(
    monkeypatch: pytest.MonkeyPatch, home: Path, story: Callable[[Watched], Awaitable[None]]
) -> None:
    """Run a story on a console's own cluster, which ends with it."""
    for name, value in environment(home).items():
        monkeypatch.setenv(name, value)

    async def run() -> None:
        watched = Watched()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(watched.source.run, watched.take)
            await watched.wait(lambda: len(watched.statuses()) == 4, "the cluster has started")
            await story(watched)
            nursery.cancel_scope.cancel()

    trio.run(run)
    assert processes_with(str(home)) == []


def all_alive(watched: Watched) -> bool:
    return watched.statuses() == dict.fromkeys(("n1", "n2", "n3", "n4"), "alive")


def test_a_node_that_was_removed_meanwhile_joins_anew(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async def story(watched: Watched) -> None:
        killed = await watched.source.kill(["n2"])
        assert killed.ok, killed
        await watched.wait(lambda: watched.statuses().get("n2") == "left", "n2 is removed")
        healed = await watched.source.heal_all()
        assert healed.ok, healed
        assert "restarted n2" in healed.text
        await watched.wait(lambda: all_alive(watched), "n2 has joined anew")
        nothing = await watched.source.heal_all()
        assert nothing.text == "nothing to heal"

    watch(monkeypatch, tmp_path, story)


def test_a_node_that_can_not_start_is_reported_and_tried_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    record = tmp_path / "heal" / "n2" / "data" / "state" / "topology.record"

    async def story(watched: Watched) -> None:
        assert (await watched.source.kill(["n2"])).ok
        kept = record.read_bytes()
        record.write_bytes(b"damaged")
        failed = await watched.source.heal_all()
        assert not failed.ok
        assert "n2 did not start: exit 1" in failed.text
        record.write_bytes(kept)
        healed = await watched.source.heal_all()
        assert healed.ok, healed
        await watched.wait(lambda: all_alive(watched), "n2 is back")

    watch(monkeypatch, tmp_path, story)


def test_a_node_that_can_not_begin_to_join_is_reported(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async def story(watched: Watched) -> None:
        with monkeypatch.context() as broken:
            broken.setattr(sys, "executable", "/bin/false")
            failed = await watched.source.add_nodes(1)
        assert not failed.ok
        assert "n5 did not start: exit 1" in failed.text
        added = await watched.source.add_nodes(1)
        assert added.text == "n5 is joining"
        await watched.wait(lambda: watched.statuses().get("n5") == "alive", "n5 is a member")

    watch(monkeypatch, tmp_path, story)
