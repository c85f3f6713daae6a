"""The load generator against a cluster in memory: what it offers, and how it keeps its books."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, cast

import pytest
import trio

from console.load.keys import key_name
from console.load.settings import LoadSettings
from console.runtime.load import OUTSTANDING_MAX, Generator
from nodecore.client import Client, ClientError, Failed, Unknown
from nodecore.errors import Code


class FakeClient:
    """Two nodes: one for even keys, one for odd ones, which may fail or stand still."""

    def __init__(self) -> None:
        self.store: dict[bytes, bytes] = {}
        self.calls = 0
        self.error: ClientError | None = None
        self.stalled = False

    async def mset(self, pairs: dict[bytes, bytes], *, timeout_s: float) -> None:
        await trio.lowlevel.checkpoint()
        self.store.update(pairs)

    def groups(self, keys: Sequence[bytes]) -> list[list[int]]:
        split: list[list[int]] = [[], []]
        for index, key in enumerate(keys):
            split[key[-1] % 2].append(index)
        return [group for group in split if group]

    async def read_each(self, keys: Sequence[bytes], *, timeout_s: float) -> list[object]:
        await self._answer(timeout_s)
        return [self._failing(key) or self.store.get(key) for key in keys]

    async def write_each(
        self, keys: Sequence[bytes], values: Sequence[bytes], *, timeout_s: float
    ) -> list[object]:
        await self._answer(timeout_s)
        self.store.update(zip(keys, values, strict=True))
        return [self._failing(key) for key in keys]

    async def _answer(self, timeout_s: float) -> None:
        self.calls += 1
        await trio.sleep(timeout_s if self.stalled else 0.001)

    def _failing(self, key: bytes) -> ClientError | None:
        return self.error if key[-1] % 2 else None


async def reports_of(
    client: FakeClient, settings: LoadSettings, output: pytest.CaptureFixture[str], seconds: float
) -> list[dict[str, Any]]:
    """What a generator prints within a time."""
    generator = Generator(cast("Client", client), settings)
    with trio.move_on_after(seconds):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(generator.report_forever)
            await generator.offer_load()
    return [json.loads(line) for line in output.readouterr().out.splitlines()]


async def test_the_rate_is_offered_in_few_calls(
    autojump_clock: trio.testing.MockClock, capsys: pytest.CaptureFixture[str]
) -> None:
    client = FakeClient()
    settings = LoadSettings(rate=2_000, keys=100, reads=0.9)
    last = (await reports_of(client, settings, capsys, 4.5))[-1]
    assert last["ok"] == pytest.approx(8_000, rel=0.02)
    assert last["hits"] + 0.1 * last["ok"] == pytest.approx(last["ok"], rel=0.1)
    assert (last["failed"], last["unknown"], last["lost"], last["wrong"]) == (0, 0, 0, 0)
    assert client.calls < last["ok"] / 10


@pytest.mark.parametrize(
    ("error", "reads", "counted"),
    [
        (Failed(Code.UNREACHABLE, "gone"), 0.5, "failed"),
        (Unknown(Code.TIMED_OUT, "late"), 0.0, "unknown"),
        (Unknown(Code.TIMED_OUT, "late"), 1.0, "failed"),
    ],
)
async def test_each_operation_is_counted_by_its_own_outcome(
    autojump_clock: trio.testing.MockClock,
    capsys: pytest.CaptureFixture[str],
    error: ClientError,
    reads: float,
    counted: str,
) -> None:
    client = FakeClient()
    client.error = error
    settings = LoadSettings(rate=1_000, keys=100, zipf=0.0, reads=reads)
    last = (await reports_of(client, settings, capsys, 3.5))[-1]
    odd = sum(1 for number in range(100) if key_name(number)[-1] % 2)
    share = last[counted] / (last["ok"] + last["failed"] + last["unknown"])
    assert share == pytest.approx(odd / 100, abs=0.05)
    assert last["ok"] > 0
    assert last["last_error"].endswith(str(error))


async def test_what_is_due_beyond_the_bound_has_failed(
    autojump_clock: trio.testing.MockClock, capsys: pytest.CaptureFixture[str]
) -> None:
    client = FakeClient()
    client.stalled = True
    settings = LoadSettings(rate=OUTSTANDING_MAX, keys=100)
    reports = await reports_of(client, settings, capsys, 2.5)
    assert reports[0]["failed"] == 0
    assert reports[-1]["failed"] > OUTSTANDING_MAX * 0.8
    assert "unanswered" in reports[-1]["last_error"]
