from __future__ import annotations

from dataclasses import replace

from nodecore.simulation.cluster import ClusterOptions, SimCluster
from nodecore.simulation.lease_load import LeaseLoad
from nodecore.simulation.leases import Fill, Lease, check_leases
from nodecore.simulation.world import World

FIRST = Lease(b"k", "n1", 1, granted_s=0.0, ends_s=10.0)
SECOND = Lease(b"k", "n2", 2, granted_s=10.5, ends_s=20.0)


def test_leases_one_after_another_are_right() -> None:
    fills = [Fill(b"k", 1, 5.0, accepted=True), Fill(b"k", 2, 12.0, accepted=True)]
    assert check_leases([SECOND, FIRST], fills) == []


def test_two_holders_at_once_are_found() -> None:
    found = check_leases([FIRST, replace(SECOND, granted_s=9.0)])
    assert len(found) == 1
    assert "while 1 of n1 held until 10.0" in found[0]


def test_a_voided_lease_makes_room() -> None:
    assert check_leases([replace(FIRST, voided_s=3.0), replace(SECOND, granted_s=3.1)]) == []


def test_keys_do_not_exclude_each_other() -> None:
    assert check_leases([FIRST, replace(SECOND, key=b"l", granted_s=1.0)]) == []


def test_tokens_must_rise() -> None:
    assert "does not rise above 1" in check_leases([FIRST, replace(SECOND, token=1)])[0]


def test_an_expired_lease_that_is_accepted_is_found() -> None:
    late = Fill(b"k", 1, 10.2, accepted=True)
    assert "its lease was over at 10.0" in check_leases([FIRST, SECOND], [late])[0]
    assert check_leases([FIRST, SECOND], [replace(late, accepted=False)]) == []


def test_a_fencing_token_that_was_overtaken_is_found() -> None:
    assert (
        "after 2 had been granted"
        in check_leases([FIRST, SECOND], [Fill(b"k", 1, 11.0, accepted=True)])[0]
    )


def test_a_token_from_nowhere_is_found() -> None:
    assert "nobody was given" in check_leases([FIRST], [Fill(b"k", 7, 1.0, accepted=True)])[0]


def test_a_grant_that_comes_after_its_time_is_no_lease() -> None:
    cluster = SimCluster(World(1), ClusterOptions(1))
    load = LeaseLoad(cluster, 0.0)
    load.note("a", b"k", cluster.world.now_s, b"OK")
    assert load.leases == []
    load.note("a", b"k", cluster.world.now_s + 0.5, b"OK")
    assert [lease.holder for lease in load.leases] == ["a"]
