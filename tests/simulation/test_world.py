from __future__ import annotations

import pytest

from nodecore.simulation.clocks import SimClock
from nodecore.simulation.disk import DamagedRecord, SimDisk
from nodecore.simulation.world import EventBudgetSpent, World


def test_events_run_by_time_then_by_order_of_scheduling() -> None:
    world = World(1)
    seen: list[str] = []
    world.at(2.0, lambda: seen.append("late"))
    world.at(1.0, lambda: seen.append("first"))
    world.at(1.0, lambda: seen.append("second"))
    world.run_until(1.5)
    assert seen == ["first", "second"]
    assert world.now_s == 1.5
    world.run_for(1.0)
    assert seen == ["first", "second", "late"]


def test_a_cancelled_event_does_not_happen() -> None:
    world = World(1)
    seen: list[int] = []
    event = world.after(1.0, lambda: seen.append(1))
    event.cancel()
    world.run_for(2.0)
    assert not seen


def test_waiting_ends_with_the_condition_or_the_deadline() -> None:
    world = World(1)
    seen: list[int] = []
    world.after(1.0, lambda: seen.append(1))
    assert world.run_while(lambda: not seen, 5.0)
    assert world.now_s == 1.0
    assert not world.run_while(lambda: len(seen) < 2, 5.0)
    assert world.now_s == 6.0


def test_a_loop_without_time_spends_the_budget() -> None:
    world = World(1, events_max=100)

    def again() -> None:
        world.after(0.0, again)

    again()
    with pytest.raises(EventBudgetSpent):
        world.run_for(1.0)


def test_streams_of_chance_depend_on_seed_and_name_alone() -> None:
    assert World(1).rng("a").random() == World(1).rng("a").random()
    assert World(1).rng("a").random() != World(1).rng("b").random()
    assert World(1).rng("a").random() != World(2).rng("a").random()


def test_the_digest_tells_apart_times_names_and_payloads() -> None:
    def digest(at_s: float, *parts: str | int | bytes) -> str:
        world = World(1)
        world.run_until(at_s)
        world.note("kind", *parts)
        return world.digest

    found = {digest(0.0, "a", 1), digest(1.0, "a", 1), digest(0.0, "a", 2), digest(0.0, b"a1")}
    assert len(found) == 4
    assert digest(0.0, "a", 1) in found


def test_clocks_drift_and_jump_and_convert_back() -> None:
    world = World(1)
    clock = SimClock(world, drift=0.01, skew_ms=50)
    world.run_until(100.0)
    now = clock.now()
    assert now.mono_s == pytest.approx(101.0)
    assert clock.world_time(now.mono_s) == pytest.approx(100.0)
    before_ms = now.wall_ms
    clock.jump(-10_000)
    assert clock.now().wall_ms == before_ms - 10_000
    assert clock.now().mono_s == now.mono_s


def test_disks_keep_lose_and_damage_records() -> None:
    disk = SimDisk(World(1).rng("disk"))
    disk.save("a", b"one")
    disk.save("a", b"two")
    assert disk.load() == {"a": b"two"}
    assert disk.lose_last() == "a"
    assert disk.load() == {"a": b"one"}
    assert disk.flip_bit() == "a"
    with pytest.raises(DamagedRecord):
        disk.load()
    disk.wipe()
    assert disk.load() == {}
    assert disk.flip_bit() == ""
