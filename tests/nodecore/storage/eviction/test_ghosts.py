"""Memories of evicted keys."""

from __future__ import annotations

from nodecore.storage.eviction.ghosts import ExactGhosts
from nodecore.table import make_table


def test_exact_ghosts_forget_the_oldest() -> None:
    ghosts = ExactGhosts(2)
    for key in (b"a", b"b", b"c"):
        ghosts.add(key)
    assert [ghosts.take(key) for key in (b"a", b"b", b"c", b"c")] == [False, True, True, False]


def test_compact_ghosts_remember_nearly_all_of_the_last_keys_and_only_those() -> None:
    resident = 100
    ghosts = make_table().ghosts(lambda: resident)
    resident = 20_000
    for number in range(60_000):
        ghosts.add(b"%d" % number)
    assert ghosts.overhead_bytes <= 8 * 65_536
    recent = sum(ghosts.take(b"%d" % number) for number in range(45_000, 60_000))
    ancient = sum(ghosts.take(b"%d" % number) for number in range(30_000))
    strangers = sum(ghosts.take(b"never%d" % number) for number in range(20_000))
    assert recent > 14_000
    assert ancient == 0
    assert strangers < 40
