"""Whole nodes: pages of all owners make a whole backup, and entries come back in their versions."""

from __future__ import annotations

from typing import Any

from nodecore.backup.merging import before, by_hash, by_name, merge, page_of
from nodecore.backup.plan import chunks_of
from nodecore.errors import Code
from nodecore.ids import SLOTS_COUNT, NodeId
from nodecore.placement.topology import Topology
from nodecore.requests import Change, Done, Failed, Flush, Level, Read, Update, Value, Write
from nodecore.storage.records import Record
from tests.nodecore.node_pump import Pump


def topology_of(pump: Pump, name: str) -> Topology:
    document = pump.nodes[name].chain.document
    assert document is not None
    return document


def walk(pump: Pump, names: list[str], *, strong: bool = False) -> list[Record]:
    """What a backup finds that asks these nodes, strong keys without their values."""
    topology = topology_of(pump, names[0])
    found: list[Record] = []
    for chunk in chunks_of(topology, range(SLOTS_COUNT), strong=strong):
        asked = [NodeId(name) for name in names if name in chunk.owners]
        assert chunk.missing(asked) is None
        slots, after = list(chunk.slots), None
        while slots:
            pages = []
            for name in asked:
                outcome = pump.nodes[name].admin(
                    "backup.entries",
                    {
                        "epoch": int(topology.epoch),
                        "slots": slots,
                        "after": after,
                        "strong": strong,
                    },
                    lambda _outcome, _now: None,
                    pump.now,
                )
                assert isinstance(outcome, Done), outcome
                pages.append(page_of(outcome.result, slots, by_name if strong else by_hash))
            entries, end = merge(pages)
            assert end > before(0)
            found += [record for _position, record in entries]
            after = end[2] if end[1] >= 0 else None
            slots = slots[end[0] :]
    return found


def plain(record: Record, *, strong: bool = False) -> list[object]:
    return [
        record.key, record.kind, record.value, *record.version, record.expires_ms, strong,
    ]  # fmt: skip


def restore(pump: Pump, name: str, entries: list[list[object]], **more: object) -> dict[str, Any]:
    arguments = {"cluster_id": "elsewhere", "created_hlc": 0, "entries": entries, **more}
    outcome = pump.admin(name, "restore.entries", **arguments)
    assert isinstance(outcome, Done), outcome
    assert isinstance(outcome.result, dict)
    return outcome.result


def read(pump: Pump, name: str, key: bytes) -> Value | None:
    outcome = pump.submit(name, Read((key,), Level.QUORUM))
    assert isinstance(outcome, Done), outcome
    assert isinstance(outcome.result, list)
    found = outcome.result[0]
    assert found is None or isinstance(found, Value)
    return found


def test_a_walk_finds_every_key_once_in_its_newest_version() -> None:
    pump = Pump(3)
    for first in range(0, 600, 100):
        keys = tuple(b"k%d" % n for n in range(first, first + 100))
        pump.submit("n1", Write(keys, keys))
    pump.submit("n2", Write((b"k5",), (b"newer",)))
    pump.submit("n3", Update(b"k6", Change.DELETE))
    soon_ms = pump.now.wall_ms + 500
    pump.submit("n1", Write((b"k7",), (b"short",), soon_ms))
    pump.submit("n1", Write((b"k8",), (b"long",), soon_ms + 60_000))
    big = tuple(b"{tag}%d" % n for n in range(300))
    pump.submit("n1", Write(big, (bytes(3000),) * len(big)))
    pump.run(1.0)
    found = walk(pump, ["n1", "n2", "n3"])
    by_key = {record.key: record for record in found}
    assert len(by_key) == len(found), "each key once"
    expected = {b"k%d" % n for n in range(600)} - {b"k6", b"k7"} | set(big)
    assert set(by_key) == expected
    assert by_key[b"k5"].value == b"newer"
    assert by_key[b"k8"].expires_ms == soon_ms + 60_000


def test_what_one_owner_missed_comes_from_the_others() -> None:
    pump = Pump(3, down_grace_s=300.0)
    pump.submit("n1", Write((b"old", b"gone"), (b"1", b"1")))
    pump.cut_off("n3")
    pump.run(8.0)
    pump.submit("n1", Write((b"old", b"new"), (b"2", b"2")))
    pump.submit("n1", Update(b"gone", Change.DELETE))
    for names in (["n1", "n2"], ["n1", "n3"], ["n2", "n3"]):
        found = {record.key: record.value for record in walk(pump, names)}
        assert found == {b"old": b"2", b"new": b"2"}, names


def test_a_chunk_says_when_too_few_owners_answer() -> None:
    pump = Pump(3)
    for strong in (False, True):
        chunk = chunks_of(topology_of(pump, "n1"), range(SLOTS_COUNT), strong=strong)[0]
        assert len(chunk.owners) == 3
        assert chunk.missing(chunk.owners[:2]) is None
        need = chunk.missing(chunk.owners[:1])
        assert need is not None
        assert need.answers == 2


def test_pages_are_of_one_epoch_and_their_arguments_are_checked() -> None:
    pump = Pump(3)
    epoch = int(topology_of(pump, "n1").epoch)
    stale = pump.admin("n1", "backup.entries", epoch=epoch + 1, slots=[1])
    assert isinstance(stale, Failed)
    assert stale.code is Code.STALE_EPOCH
    for slots in ([], [SLOTS_COUNT], ["1"], [True], list(range(513)), None):
        bad = pump.admin("n1", "backup.entries", epoch=epoch, slots=slots)
        assert isinstance(bad, Failed)
        assert bad.code is Code.BAD_REQUEST


def test_strong_keys_are_named_by_a_majority() -> None:
    pump = Pump(3)
    pump.submit("n1", Write((b"strong:a", b"strong:b"), (b"1", b"2")))
    pump.submit("n1", Update(b"strong:b", Change.DELETE))
    pump.run(1.0)
    assert [record.key for record in walk(pump, ["n1", "n2"], strong=True)] == [b"strong:a"]
    assert walk(pump, ["n1", "n2"]) == []


def test_entries_come_back_in_their_versions_in_a_cluster_of_another_size() -> None:
    old, new = Pump(3), Pump(2)
    keys = tuple(b"k%d" % n for n in range(100))
    old.submit("n1", Write(keys, keys, old.now.wall_ms + 90_000))
    before_ = walk(old, ["n1", "n2", "n3"])
    done = restore(new, "n2", [plain(record) for record in before_])
    assert (done["applied"], done["failed"], done["sloppy"]) == (100, [], 0)
    assert sorted(walk(new, ["n1", "n2"])) == sorted(before_), "versions and expiries too"
    again = restore(new, "n1", [plain(record) for record in before_])
    assert (again["applied"], again["same"]) == (0, 100)


def test_newer_values_and_deletions_stay() -> None:
    pump = Pump(3)
    pump.submit("n1", Write((b"kept", b"gone", b"lost"), (b"1", b"1", b"1")))
    saved = [plain(record) for record in walk(pump, ["n1", "n2", "n3"])]
    pump.submit("n1", Write((b"kept",), (b"2",)))
    pump.submit("n1", Update(b"gone", Change.DELETE))
    done = restore(pump, "n2", saved)
    assert (done["applied"], done["same"], done["kept"]) == (0, 1, 2)
    found = read(pump, "n3", b"kept")
    assert found is not None
    assert found.value == b"2"
    assert read(pump, "n3", b"gone") is None
    renewed = restore(pump, "n2", saved, renew=True)
    assert (renewed["applied"], renewed["kept"]) == (1, 2), "only what is missing is written anew"
    assert read(pump, "n3", b"gone") is not None


def test_what_is_older_than_a_flush_is_told_and_can_be_renewed() -> None:
    pump = Pump(3)
    pump.submit("n1", Write((b"k",), (b"v",), pump.now.wall_ms + 90_000))
    (saved,) = walk(pump, ["n1", "n2", "n3"])
    pump.submit("n1", Flush())
    pump.run(1.0)
    assert restore(pump, "n2", [plain(saved)])["flushed"] == 1
    assert read(pump, "n2", b"k") is None
    assert restore(pump, "n2", [plain(saved)], renew=True)["applied"] == 1
    found = read(pump, "n1", b"k")
    assert found is not None
    assert found.expires_ms == saved.expires_ms


def test_strong_keys_are_restored_through_their_protocol() -> None:
    pump = Pump(3)
    pump.submit("n1", Write((b"strong:a",), (b"1",)))
    first = read(pump, "n1", b"strong:a")
    assert first is not None
    entry = [b"strong:a", 0, b"1", *first.version, 0, True]
    own = {"cluster_id": pump.nodes["n1"].cluster_id}
    assert restore(pump, "n1", [entry], **own)["same"] == 1
    pump.submit("n1", Write((b"strong:a",), (b"2",)))
    assert restore(pump, "n1", [entry], **own)["kept"] == 1
    assert restore(pump, "n1", [entry])["kept"] == 1, "of another cluster: whatever lives stays"
    pump.submit("n1", Update(b"strong:a", Change.DELETE))
    assert restore(pump, "n1", [entry], dry_run=True)["applied"] == 1
    assert read(pump, "n2", b"strong:a") is None, "a dry run writes nothing"
    assert restore(pump, "n1", [entry])["applied"] == 1
    found = read(pump, "n2", b"strong:a")
    assert found is not None
    assert found.value == b"1"


def test_entries_that_can_not_be_taken_are_told_by_row() -> None:
    pump = Pump(3)
    now_ms = pump.now.wall_ms
    hlc = now_ms << 16
    done = restore(
        pump,
        "n1",
        [
            [b"a", 0, b"v", hlc - 1, 1, 0, False],
            [b"b", 0, b"v", (now_ms + 3_600_000) << 16, 1, 0, False],
            [b"c", 0, b"v", hlc - 1, 1, now_ms - 1, False],
        ],
    )
    assert (done["applied"], done["expired"]) == (1, 1)
    assert [row[:2] for row in done["failed"]] == [[1, int(Code.CLOCK_SKEW)]]
    good = [b"a", 0, b"v", hlc, 1, 0, False]
    for entries in ([], [good, good], [good[:6]], [[b"a", 255, b"", hlc, 1, 0, False]], "x"):
        bad = pump.admin("n1", "restore.entries", cluster_id="x", entries=entries)
        assert isinstance(bad, Failed)
        assert bad.code is Code.BAD_REQUEST
