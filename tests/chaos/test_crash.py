"""Real processes under kill -9, a damaged disk and a flood: promises hold, nothing corrupt is served."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
import redis
import trio
from redis.backoff import NoBackoff
from redis.retry import Retry

from console.runtime.admin_client import call_each

pytestmark = pytest.mark.chaos

KILLS: Final = int(os.environ.get("RINGDECK_CRASHES", "20"))
FLOOD_S: Final = float(os.environ.get("RINGDECK_FLOOD_S", "60"))
MIB: Final = 1 << 20
START_S_MAX: Final = 60.0


class Process:
    """One node of its own, started and killed at will."""

    def __init__(self, folder: Path, *settings: str) -> None:
        self.folder = folder
        self.ready = folder / "ready"
        self.settings = settings
        with socket.socket() as first, socket.socket() as second:
            first.bind(("127.0.0.1", 0))
            second.bind(("127.0.0.1", 0))
            self.native, self.resp = first.getsockname()[1], second.getsockname()[1]
        self.child: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self.ready.unlink(missing_ok=True)
        options = [
            "node_id=n1",
            f"data_dir={self.folder / 'data'}",
            f"bind.native=127.0.0.1:{self.native}",
            f"bind.resp=127.0.0.1:{self.resp}",
            "bind.http=",
            f"log_file={self.folder / 'log'}",
            *self.settings,
        ]
        arguments = [part for option in options for part in ("--set", option)]
        self.child = subprocess.Popen(
            [sys.executable, "-m", "nodecore.runtime", *arguments],
            env={**os.environ, "RINGDECK_READY_FILE": str(self.ready)},
            stderr=subprocess.DEVNULL,
        )
        until_s = time.monotonic() + START_S_MAX
        while not self.ready.exists():
            assert self.child.poll() is None, (self.folder / "log").read_text()[-2000:]
            assert time.monotonic() < until_s, "the node does not become ready"
            time.sleep(0.02)

    def kill(self, number: int = signal.SIGKILL) -> None:
        assert self.child is not None
        self.child.send_signal(number)
        self.child.wait(30.0)

    def signal(self) -> None:
        assert self.child is not None
        self.child.send_signal(signal.SIGKILL)

    def promise(self, durability: str) -> None:
        """Let the default keyspace promise a durability."""
        address = {"n1": f"127.0.0.1:{self.native}"}
        settings = {"pattern": "*", "durability": durability}

        async def ask() -> object:
            return (await call_each(address, "keyspace.set", settings, timeout_s=10.0))["n1"]

        answer = trio.run(ask)
        assert isinstance(answer, dict), answer

    def client(self) -> redis.Redis:
        return redis.Redis(port=self.resp, socket_timeout=20.0, retry=Retry(NoBackoff(), 0))

    @property
    def rss_bytes(self) -> int:
        assert self.child is not None
        pages = Path(f"/proc/{self.child.pid}/statm").read_text().split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")


@pytest.fixture
def process(tmp_path: Path) -> Iterator[Process]:
    made = Process(tmp_path, "maxmemory_bytes=4MiB", "disk_bytes_max=256MiB")
    made.start()
    yield made
    if made.child is not None and made.child.poll() is None:
        made.kill()


def value_of(key: bytes, number: int) -> bytes:
    """A value that tells which write it is of, and whether it is whole."""
    return b"%b:%d:" % (key, number) + random.Random(number).randbytes(40)


def write_until(client: redis.Redis, last: dict[bytes, int], until_s: float, first: int) -> int:
    """Pipelines of writes until the time is over or the node is gone; remembers what was acknowledged.

    Returns the number after the last one that may have been written.
    """
    rng = random.Random(first)
    number = first
    while time.monotonic() < until_s:
        pipeline = client.pipeline(transaction=False)
        batch = []
        for _ in range(rng.randrange(1, 30)):
            key = b"k%d" % rng.randrange(3_000)
            batch.append((key, number))
            pipeline.set(key, value_of(key, number))
            number += 1
        try:
            pipeline.execute()
        except (redis.ConnectionError, redis.TimeoutError):
            return number
        last.update(batch)
    return number


@pytest.mark.timeout(120 + 15 * KILLS)
def test_no_acknowledged_write_is_lost_to_kill_9(process: Process) -> None:
    process.promise("process")
    rng = random.Random(11)
    last: dict[bytes, int] = {}
    number = 1
    for _kill in range(KILLS):
        client = process.client()
        before = number
        number = write_until(client, last, time.monotonic() + rng.uniform(0.05, 0.6), number)
        # In the middle of a pipeline: half of it is on its way when the signal comes.
        pipeline = client.pipeline(transaction=False)
        for _ in range(200):
            key = b"k%d" % rng.randrange(3_000)
            pipeline.set(key, value_of(key, number))
            number += 1
        killer = threading.Timer(0.002, process.signal)
        killer.start()
        with contextlib.suppress(redis.ConnectionError):
            pipeline.execute()
        killer.join()
        process.kill()
        client.close()
        process.start()
        check(process, last, number)
        assert number > before
    assert len(last) > 100


def check(process: Process, last: dict[bytes, int], number: int) -> None:
    """Each key has the acknowledged value, or a later one that was sent; and all are whole."""
    client = process.client()
    keys = sorted(last)
    for start in range(0, len(keys), 500):
        part = keys[start : start + 500]
        for key, found in zip(part, client.mget(part), strict=True):
            assert found is not None, f"{key!r}: write {last[key]} is lost"
            assert isinstance(found, bytes)
            written = int(found.split(b":")[1])
            assert last[key] <= written < number, (key, last[key], written)
            assert found == value_of(key, written)
    client.close()


def test_a_damaged_file_is_set_aside_or_its_records_are_unknown(process: Process) -> None:
    """Bytes are flipped while the node is down; whatever it serves afterwards is right."""
    process.promise("process")
    keys = [b"k%d" % number for number in range(2_000)]
    rng = random.Random(5)
    served = []
    for flips in (1, 2, 400):
        client = process.client()
        pipeline = client.pipeline(transaction=False)
        for number, key in enumerate(keys):
            pipeline.set(key, value_of(key, number))
        pipeline.execute()
        client.close()
        process.kill()
        file = process.folder / "data" / "records" / "process" / "data.mdb"
        data = bytearray(file.read_bytes())
        # The pages behind the first two hold the records; those tell where everything is.
        for _ in range(flips):
            data[rng.randrange(2 * 4096, len(data))] ^= rng.randrange(1, 256)
        file.write_bytes(data)
        process.start()
        client = process.client()
        pipeline = client.pipeline(transaction=False)
        for key in keys:
            pipeline.get(key)
        found = pipeline.execute(raise_on_error=False)
        client.close()
        whole = 0
        for number, value in enumerate(found):
            if isinstance(value, redis.ResponseError):
                # Whether a key is missing can't be said while its slot is known to lack something.
                assert str(value).startswith("NOREPLICAS")
            elif value is not None:
                assert value == value_of(keys[number], number)
                whole += 1
        served.append(whole)
    assert max(served) > 1_900


@pytest.mark.timeout(120 + 2 * FLOOD_S)
def test_memory_stays_bounded_under_a_flood_of_new_keys(tmp_path: Path) -> None:
    process = Process(tmp_path, "maxmemory_bytes=64MiB", "disk_bytes_max=512MiB")
    process.start()
    try:
        client = process.client()
        until_s = time.monotonic() + FLOOD_S
        number, most = 0, 0
        while time.monotonic() < until_s:
            pipeline = client.pipeline(transaction=False)
            for _ in range(500):
                pipeline.set(b"flood:%d" % number, b"v" * 300)
                number += 1
            pipeline.execute()
            most = max(most, process.rss_bytes)
        assert number > 10_000
        assert most < 1.5 * 64 * MIB + 150 * MIB, f"{most / MIB:.0f} MiB after {number} keys"
        client.close()
    finally:
        process.kill()
