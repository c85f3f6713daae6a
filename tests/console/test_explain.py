"""The sheet that explains a key: its policy, who can serve it, and what that means for a request."""

from __future__ import annotations

from dataclasses import replace

import pytest
from textual.pilot import Pilot

from console.app import ClusterConsole
from console.painters.explain import explain_lines
from console.screens.sheet import Sheet
from console.source import ActiveFault
from nodecore.placement.topology import Keyspace
from tests.console.fakes import START_MS, FakeSource, make_owners, make_snapshot
from tests.console.test_screens import SIZES, run, until
from tests.console.test_storage_view import SHEET_COLUMNS, scene_of

KEYSPACES = (Keyspace(ttl_ms=30_000), Keyspace("strong:*", "strong", durability="process"))
OWNERS = ((0, 1, 2),) * 16_384


def explained(key: str, width: int = 100, **options: object) -> str:
    made = make_snapshot(5, owners=OWNERS, **options)  # type: ignore[arg-type]
    scene = scene_of(replace(made, keyspaces=KEYSPACES))
    lines = explain_lines(scene, key, width)
    assert max(map(len, lines)) <= width
    return "\n".join(lines)


def test_a_healthy_key_works_in_both_modes() -> None:
    shown = explained("user:42")
    assert "eventual  N/W/R 3/2/1" in shown
    assert "expires after 30s" in shown
    assert "A n1 up  B n2 up  C n3 up" in shown
    assert "needs 2 owners: works" in shown
    assert "a miss needs 2 that agree: works" in shown
    assert "reads/s" in shown
    assert "majority: works" in explained("strong:a")
    assert "strong:*" in explained("strong:a")


@pytest.mark.parametrize("width", [SHEET_COLUMNS, 100])
def test_too_few_owners_mean_different_things_in_each_mode(width: int) -> None:
    dead = {"n2": 2, "n3": 2}
    eventual = explained("a", width, killed=dead).replace("\n" + " " * 12, " ")
    assert "1 of 3 owners can serve" in eventual
    assert "a hit needs 1: works" in eventual
    assert "agree: can't tell" in eventual
    assert "sloppy" in eventual
    assert "majority: fails" in explained("strong:a", width, killed=dead)
    all_dead = {f"n{number}": 2 for number in (1, 2, 3)}
    assert "needs 2 owners: fails" in explained("a", width, killed=all_dead)


def test_what_moves_and_what_is_broken_is_named() -> None:
    coming = ((0, 1, 4),) * 16_384
    faults = [ActiveFault("f", "latency", "*->n1", "latency 200", "you", START_MS)]
    made = make_snapshot(5, owners=OWNERS, faults=faults)
    scene = scene_of(replace(made, owners_next=coming, keyspaces=KEYSPACES))
    shown = "\n".join(explain_lines(scene, "a", 100))
    assert "on n1 n2 n5 when the change is done" in shown
    assert "latency 200" in shown
    unknown = scene_of(replace(made, owners=None, keyspaces=()))
    assert "no node has told" in "\n".join(explain_lines(unknown, "a", 60))


@pytest.mark.parametrize("size", SIZES[:1] + SIZES[-1:])
def test_e_offers_the_hottest_key_and_explains_it(size: tuple[int, int]) -> None:
    async def play(app: ClusterConsole, source: FakeSource, pilot: Pilot[None]) -> None:
        source.owners = make_owners(5)
        await pilot.press("e", "enter")
        await until(pilot, lambda: isinstance(app.screen, Sheet))
        assert isinstance(app.screen, Sheet)
        assert "user:42" in "\n".join(app.screen.lines)

    run(play, size)
