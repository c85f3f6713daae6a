"""The load generator's process: ``python -m console.runtime.load --targets HOST:PORT,...``.

An open loop: operations are due at a fixed rate whatever the answers are. They go through the
ordinary client, none is repeated here; those of one moment to one node share a call, because a task
each would cost more than all the rest. Every second a JSON line with totals and the last window leaves on
standard output. Standard input takes JSON lines that change settings (``{"rate": 500}``,
``{"running": false}``); when it closes, the generator ends. A process of its own, so that its work
is not charged to the console or to a node.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import time
from collections.abc import Sequence
from typing import Any, Final, final

import trio

from console.errors import ConsoleError, UsageError
from console.exit_codes import ExitCode
from console.load.keys import KeyChooser, key_name
from console.load.settings import LoadSettings, changed
from console.load.tally import Tally
from console.load.values import Ledger, Verdict, make_value
from console.runtime.secret import HELD, VARIABLE
from nodecore.client import Client, ClientError, Failed, Unknown

OUTSTANDING_MAX: Final = 4096
"""Operations in flight; those due beyond it count as failed: the cluster does not keep up."""
TICK_S: Final = 0.04
"""Operations come in bursts this far apart: wake-ups, frames and the nodes' turns are what a modest
load costs, not the operations."""
STOPPED_S: Final = 0.05
"""How soon a stopped generator notices that it shall go on."""
OPERATION_TIMEOUT_S: Final = 2.0
LOAD_BATCH_KEYS: Final = 200
LOAD_TRIES: Final = 20
REPORT_S: Final = 1.0
CONNECT_TIMEOUT_S: Final = 10.0


@final
class Generator:
    """Makes the load and keeps its books."""

    def __init__(self, client: Client, settings: LoadSettings) -> None:
        self._client = client
        self._settings = settings
        self._rng = random.Random(settings.seed)
        self._chooser = KeyChooser(settings.keys, settings.zipf, self._rng)
        self._ledger = Ledger(run=int(time.time()))
        self._tally = Tally(time.monotonic())
        self._outstanding = 0
        self._ready = False

    async def run(self) -> None:
        """Make load, report and take commands until standard input closes."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.report_forever)
            nursery.start_soon(self._take_commands, nursery.cancel_scope)
            await self.offer_load()

    async def offer_load(self) -> None:
        """Load the keys, then offer operations until cancelled."""
        await self._load_keys()
        self._ready = True
        async with trio.open_nursery() as nursery:
            await self._offer(nursery)

    async def _load_keys(self) -> None:
        """Write every key once, so that reads can hit; at most half of the offered rate for long."""
        for first in range(0, self._settings.keys, LOAD_BATCH_KEYS):
            numbers = range(first, min(first + LOAD_BATCH_KEYS, self._settings.keys))
            issued = {number: self._ledger.issue(number) for number in numbers}
            pairs = {key_name(number): self._value(number, issued[number]) for number in numbers}
            # These writes replace one another harmlessly, so they may be sent again.
            for attempt in range(LOAD_TRIES):
                try:
                    await self._client.mset(pairs, timeout_s=OPERATION_TIMEOUT_S)
                    break
                except (Failed, Unknown) as error:
                    self._tally.totals.last_error = f"loading: {error}"
                    if attempt == LOAD_TRIES - 1:
                        raise ConsoleError(f"the keys can't be loaded: {error}") from None
                    await trio.sleep(0.25)
            for number in numbers:
                self._ledger.acknowledge(number, issued[number])
            self._tally.totals.loaded += len(pairs)

    async def _offer(self, nursery: trio.Nursery) -> None:
        tick = trio.current_time()
        owed = 0.0
        while True:
            if not self._settings.running:
                await trio.sleep(STOPPED_S)
                tick, owed = trio.current_time(), 0.0
                continue
            # After a long stop of this process itself the backlog is offered at once: the clients
            # of a real service do not vanish while one of them sleeps. Bounded by OUTSTANDING_MAX.
            now = trio.current_time()
            tick = max(tick, now - OUTSTANDING_MAX / self._settings.rate)
            while tick <= now:
                owed += self._settings.rate * TICK_S
                self._begin(nursery, tick, int(owed))
                owed -= int(owed)
                tick += TICK_S
            await trio.sleep_until(tick)

    def _begin(self, nursery: trio.Nursery, due: float, count: int) -> None:
        """Send the operations that are due at one moment: one call a node for reads, one for writes.
        Nodes do not wait for one another.
        """
        taken = min(count, OUTSTANDING_MAX - self._outstanding)
        for _ in range(count - taken):
            text = f"{OUTSTANDING_MAX} operations unanswered"
            self._tally.failed(_wall_ms(), _since_ms(due), text)
        self._outstanding += taken
        reads: list[int] = []
        writes: list[int] = []
        for _ in range(taken):
            number = self._chooser.draw()
            (reads if self._rng.random() < self._settings.reads else writes).append(number)
        for numbers, operate in ((reads, self._read), (writes, self._write)):
            if numbers:
                for group in self._client.groups(list(map(key_name, numbers))):
                    nursery.start_soon(operate, [numbers[index] for index in group], due)

    async def _read(self, numbers: list[int], due: float) -> None:
        """Reads change nothing: one without an answer has failed."""
        names = list(map(key_name, numbers))
        floors = list(map(self._ledger.floor, numbers))
        found = await self._client.read_each(names, timeout_s=OPERATION_TIMEOUT_S)
        wall_ms, latency_ms = _wall_ms(), _since_ms(due)
        for number, name, floor, value in zip(numbers, names, floors, found, strict=True):
            if isinstance(value, ClientError):
                self._tally.failed(wall_ms, latency_ms, str(value))
            else:
                self._judge(number, name, value, floor)
                self._tally.ok(latency_ms)
        self._outstanding -= len(numbers)

    async def _write(self, numbers: list[int], due: float) -> None:
        names = list(map(key_name, numbers))
        issued = list(map(self._ledger.issue, numbers))
        values = list(map(self._value, numbers, issued))
        found = await self._client.write_each(names, values, timeout_s=OPERATION_TIMEOUT_S)
        wall_ms, latency_ms = _wall_ms(), _since_ms(due)
        for number, write, error in zip(numbers, issued, found, strict=True):
            if isinstance(error, Unknown):
                self._tally.unknown(wall_ms, latency_ms, str(error))
            elif isinstance(error, ClientError):
                self._tally.failed(wall_ms, latency_ms, str(error))
            else:
                self._ledger.acknowledge(number, write)
                self._tally.ok(latency_ms)
        self._outstanding -= len(numbers)

    def _judge(self, number: int, name: bytes, value: bytes | None, floor: int) -> None:
        totals = self._tally.totals
        match self._ledger.judge(number, name, value, floor):
            case Verdict.HIT:
                totals.hits += 1
            case Verdict.STALE:
                totals.hits += 1
                totals.stale += 1
            case Verdict.WRONG:
                totals.hits += 1
                totals.wrong += 1
                totals.last_error = f"{name.decode()} holds a value that nobody wrote"
            case Verdict.LOST:
                totals.misses += 1
                totals.lost += 1
            case Verdict.MISS:
                totals.misses += 1

    def _value(self, number: int, issued: int) -> bytes:
        size = self._settings.value_bytes
        return make_value(key_name(number), self._ledger.run, issued, size)

    async def report_forever(self) -> None:
        """Print a report every second."""
        while True:
            await trio.sleep(REPORT_S)
            report = self._tally.report(
                self._settings, time.monotonic(), _wall_ms(), ready=self._ready
            )
            _print(report.to_plain())

    async def _take_commands(self, scope: trio.CancelScope) -> None:
        buffer = b""
        async with trio.lowlevel.FdStream(os.dup(sys.stdin.fileno())) as commands:
            async for chunk in commands:
                *lines, buffer = (buffer + chunk).split(b"\n")
                for line in lines:
                    self._apply(line)
        scope.cancel()

    def _apply(self, line: bytes) -> None:
        try:
            given: Any = json.loads(line)
            if not isinstance(given, dict):
                raise UsageError("expected an object")
            settings = changed(self._settings, given)
        except (ValueError, UsageError) as error:
            _print({"error": f"{line[:80].decode('utf-8', 'replace')}: {error}"})
            return
        if (settings.keys, settings.zipf) != (self._settings.keys, self._settings.zipf):
            self._chooser = KeyChooser(settings.keys, settings.zipf, self._rng)
        self._settings = settings


def _print(message: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def _wall_ms() -> int:
    return int(time.time() * 1000)


def _since_ms(due: float) -> float:
    return (trio.current_time() - due) * 1000.0


async def _serve(targets: list[str], settings: LoadSettings) -> None:
    with trio.fail_after(CONNECT_TIMEOUT_S) as connecting:
        async with Client.connect(targets, secret=HELD.content) as client:
            connecting.deadline = float("inf")
            await Generator(client, settings).run()


def parse_arguments(argv: Sequence[str]) -> tuple[list[str], LoadSettings]:
    """Targets and settings of the command line.

    Raises:
        UsageError: a setting is out of range.
        SystemExit: the command line can't be read.
    """
    defaults = LoadSettings()
    parser = argparse.ArgumentParser(prog="python -m console.runtime.load", allow_abbrev=False)
    parser.add_argument("--targets", required=True, help="native addresses, separated by commas")
    parser.add_argument("--rate", type=float, default=defaults.rate)
    parser.add_argument("--zipf", type=float, default=defaults.zipf)
    parser.add_argument("--reads", type=float, default=defaults.reads)
    parser.add_argument("--keys", type=int, default=defaults.keys)
    parser.add_argument("--value-bytes", type=int, default=defaults.value_bytes)
    parser.add_argument("--seed", type=int, default=defaults.seed)
    parser.add_argument("--stopped", action="store_true", help="load the keys, then wait")
    found = vars(parser.parse_args(list(argv)))
    targets = [part.strip() for part in found.pop("targets").split(",") if part.strip()]
    found["running"] = not found.pop("stopped")
    return targets, changed(defaults, found)


def main() -> int:
    """Make load until standard input closes; returns the exit status."""
    try:
        targets, settings = parse_arguments(sys.argv[1:])
        if os.environ.get(VARIABLE):
            HELD.use(os.environ[VARIABLE])
        trio.run(_serve, targets, settings)
    except UsageError as error:
        sys.stderr.write(f"{error.text}\n")
        return ExitCode.USAGE
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED
    except (trio.TooSlowError, Failed, Unknown, OSError) as error:
        _print({"error": f"not connected: {error}"})
        return ExitCode.UNREACHABLE
    return ExitCode.OK


if __name__ == "__main__":
    sys.exit(main())
