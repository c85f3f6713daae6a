"""Trio as a guest of asyncio: snapshots, commands, failures, and an end that is always reached."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
import trio

from console.runtime.guest import TASKS_MAX, TrioGuest, words_of
from console.source import ClusterSnapshot, ClusterSource, CommandResult
from tests.console.fakes import FakeSource


class Host:
    """A guest with its callbacks recorded."""

    def __init__(self, source: FakeSource) -> None:
        self.source = source
        self.snapshots: list[ClusterSnapshot] = []
        self.ended: list[str] = []
        self.results: list[tuple[Any, str]] = []
        self.guest = TrioGuest(source, self.snapshots.append, self.ended.append)

    def submit(self, run: Callable[[ClusterSource], Any], limit_s: float = 5.0) -> None:
        def done(value: object, problem: str) -> None:
            self.results.append((value, problem))

        self.guest.submit(run, done, limit_s)


async def until(condition: Callable[[], bool]) -> None:
    for _ in range(1000):
        if condition():
            return
        await asyncio.sleep(0.005)
    raise AssertionError("the condition did not come true")


def play(scenario: Callable[[Host], Coroutine[Any, Any, None]], source: FakeSource) -> Host:
    host = Host(source)

    async def main() -> None:
        host.guest.start()
        try:
            await scenario(host)
        finally:
            assert await host.guest.stop(5) == ""

    asyncio.run(asyncio.wait_for(main(), 20))
    return host


def test_snapshots_and_commands_cross_and_the_source_gets_to_finish() -> None:
    async def scenario(host: Host) -> None:
        host.submit(lambda source: source.heal_all())
        await until(lambda: len(host.snapshots) == 2 and bool(host.results))

    host = play(scenario, FakeSource())
    assert host.results == [(CommandResult(True, "done", "", "undo"), "")]
    assert host.source.stopped
    assert host.ended in ([], [""])


def test_a_failing_command_ends_alone() -> None:
    async def broken(source: ClusterSource) -> None:
        raise ValueError("no such node\nsecond line")

    async def scenario(host: Host) -> None:
        host.submit(broken)
        await until(lambda: bool(host.results))
        host.submit(lambda source: source.heal_all())
        await until(lambda: len(host.results) == 2)

    host = play(scenario, FakeSource())
    assert host.results[0] == (None, "no such node")
    assert host.results[1][1] == ""


def test_a_command_that_never_answers_is_given_up() -> None:
    async def scenario(host: Host) -> None:
        host.source.hang = True
        host.submit(lambda source: source.heal_all(), 0.05)
        await until(lambda: bool(host.results))

    host = play(scenario, FakeSource())
    assert host.results[0][0] is None
    assert "no answer within" in host.results[0][1]


def test_commands_in_flight_are_bounded() -> None:
    async def scenario(host: Host) -> None:
        host.source.hang = True
        for _ in range(TASKS_MAX + 1):
            host.submit(lambda source: source.heal_all())
        assert host.results == [(None, f"{TASKS_MAX} commands are in flight already")]

    play(scenario, FakeSource())


def test_a_source_that_fails_is_told_in_words() -> None:
    class Broken(FakeSource):
        async def run(self, on_snapshot: Callable[[ClusterSnapshot], None]) -> None:
            raise OSError("port 7101 is taken")

    async def scenario(host: Host) -> None:
        await until(lambda: bool(host.ended))
        host.submit(lambda source: source.heal_all())
        await until(lambda: bool(host.results))

    host = play(scenario, Broken())
    assert host.ended == ["port 7101 is taken"]
    assert host.results[0][1] == ""


def test_stopping_waits_for_clean_up_but_not_for_ever() -> None:
    class Slow(FakeSource):
        async def run(self, on_snapshot: Callable[[ClusterSnapshot], None]) -> None:
            try:
                await trio.sleep_forever()
            finally:
                with trio.CancelScope(shield=True):
                    await trio.sleep(0.2)
                self.stopped = True

    async def main() -> None:
        source = Slow()
        host = Host(source)
        host.guest.start()
        await asyncio.sleep(0.02)
        assert "did not stop within" in await host.guest.stop(0.01)
        assert await host.guest.stop(5) == ""
        assert source.stopped
        host.submit(lambda source: source.heal_all())
        assert host.results == [(None, "the console is leaving")]

    asyncio.run(asyncio.wait_for(main(), 20))


def test_stopping_before_the_start_is_harmless() -> None:
    async def main() -> None:
        host = Host(FakeSource())
        assert await host.guest.stop() == ""
        host.guest.start()
        assert await host.guest.stop(5) == ""

    asyncio.run(asyncio.wait_for(main(), 20))


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ValueError("one\ntwo"), "one"),
        (ValueError(), "ValueError"),
        (ExceptionGroup("g", [OSError("inner")]), "inner"),
    ],
)
def test_errors_become_one_line(error: BaseException, words: str) -> None:
    assert words_of(error) == words
