"""What one wake-up writes is seen by its own reads, and left out of samples."""

from __future__ import annotations

from nodecore.storage.disk import Area, DiskWrites, Durability
from tests.nodecore.strong.fakes import NOW, FakeDisk


def test_a_sample_leaves_out_what_this_wake_up_has_written() -> None:
    medium = FakeDisk()
    for number in range(10):
        medium.kept[int(Area.CACHE), b"%d" % number] = b"old"
    writes = DiskWrites(medium)
    writes.put_spare(Area.CACHE, b"2", None)
    writes.put_spare(Area.CACHE, b"3", b"new")
    writes.put(Area.CACHE, b"4", b"new", Durability.PROCESS, None, NOW)
    writes.put(Area.CACHE, b"5", b"new", Durability.POWER, None, NOW)
    sampled = writes.sample(Area.CACHE, b"0", 7)
    assert sampled == [(b"1", b"old"), (b"6", b"old"), (b"7", b"old")]
    walked = dict(writes.walk(Area.CACHE, None, 20))
    assert b"2" not in walked
    assert [walked[b"%d" % number] for number in (3, 4, 5)] == [b"new"] * 3
