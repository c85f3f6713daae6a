"""How node processes are begun and signalled: on their own, for another's console, or by a warden.

All ways offer the same small protocol, so that the supervisor need not know which one is used.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final, Protocol, final

import trio

from console.cluster_record import ClusterRecord
from console.errors import StartFailed
from console.runtime.processes import (
    RunState,
    exit_text,
    look,
    python_environment,
    reap,
    send,
    spawn_detached,
    state_of,
)

ANSWER_TIMEOUT_S: Final = 10.0
WARDEN_END_S: Final = 7.0
LINE_BYTES_MAX: Final = 1024 * 1024


class Spawner(Protocol):
    """Begins and signals processes."""

    async def spawn(
        self, arguments: Sequence[str], environment: Mapping[str, str], output_path: Path
    ) -> int:
        """Begin a process; returns its pid.

        Raises:
            StartFailed: it could not be begun.
        """

    async def signal(self, pid: int, born: str, number: signal.Signals) -> bool:
        """Signal a process; False when it is gone."""

    def exit_text(self, pid: int) -> str:
        """How a process ended, empty when that is not known."""


class DetachedSpawner:
    """Processes that live on after this one."""

    def __init__(self) -> None:
        self._exits: dict[int, str] = {}

    async def spawn(
        self, arguments: Sequence[str], environment: Mapping[str, str], output_path: Path
    ) -> int:
        await trio.lowlevel.checkpoint()
        try:
            return spawn_detached(arguments, environment, output_path)
        except OSError as error:
            raise StartFailed(f"{arguments[0]}: {error.strerror}") from None

    async def signal(self, pid: int, born: str, number: signal.Signals) -> bool:
        await trio.lowlevel.checkpoint()
        return send(pid, born, number)

    def exit_text(self, pid: int) -> str:
        status = reap(pid)
        if status is not None:
            self._exits[pid] = exit_text(status)
        return self._exits.get(pid, "")


@final
class OwnedSpawner(DetachedSpawner):
    """Processes for a cluster that a console of another process owns: they end with that console."""

    def __init__(self, owner_pid: int, owner_born: str) -> None:
        super().__init__()
        self._owner = [str(owner_pid), owner_born]
        self.keepers: list[int] = []
        """Their processes, until they were seen to have ended."""

    async def spawn(
        self, arguments: Sequence[str], environment: Mapping[str, str], output_path: Path
    ) -> int:
        pid = await super().spawn(arguments, environment, output_path)
        keeper = [sys.executable, "-m", "console.runtime.keeper", str(pid), look(pid)[1]]
        try:
            # At once: a command that is cancelled here must not leave a node without its keeper.
            self.keepers.append(
                spawn_detached(
                    [*keeper, *self._owner], python_environment(os.environ), Path(os.devnull)
                )
            )
        except OSError as error:
            # Better no node than one that nobody ends.
            send(pid, look(pid)[1], signal.SIGKILL)
            raise StartFailed(f"{keeper[0]}: {error.strerror}") from None
        return pid

    def exit_text(self, pid: int) -> str:
        self.keepers = [keeper for keeper in self.keepers if reap(keeper) is None]
        return super().exit_text(pid)


def spawner_for(record: ClusterRecord) -> DetachedSpawner:
    """How to begin further nodes of a cluster that runs: as its other nodes live."""
    if record.owner_pid and state_of(record.owner_pid, record.owner_born) is not RunState.GONE:
        return OwnedSpawner(record.owner_pid, record.owner_born)
    return DetachedSpawner()


@final
class WardenSpawner:
    """Processes that a warden keeps: they end with this process, however it ends."""

    def __init__(self, process: trio.Process) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._process = process
        self._input = process.stdin
        self._output = process.stdout
        self._sending = trio.Lock()
        self._number = 0
        self._answers: dict[int, tuple[trio.Event, list[dict[str, Any]]]] = {}
        self._exits: dict[int, str] = {}
        self._ended = False

    async def spawn(
        self, arguments: Sequence[str], environment: Mapping[str, str], output_path: Path
    ) -> int:
        answer = await self._ask(
            {
                "do": "spawn",
                "arguments": list(arguments),
                "environment": dict(environment),
                "output": str(output_path),
            }
        )
        if "pid" not in answer:
            raise StartFailed(f"{arguments[0]}: {answer.get('error', 'no answer')}")
        return int(answer["pid"])

    async def signal(self, pid: int, born: str, number: signal.Signals) -> bool:
        if state_of(pid, born) is RunState.GONE:
            return False
        answer = await self._ask({"do": "signal", "pid": pid, "signal": int(number)})
        # A node that a command restarted, or another console added, is no child of the warden.
        return "pid" in answer or send(pid, born, number)

    def exit_text(self, pid: int) -> str:
        return self._exits.get(pid, "")

    async def _ask(self, command: dict[str, object]) -> dict[str, Any]:
        self._number += 1
        number = self._number
        waiting: tuple[trio.Event, list[dict[str, Any]]] = (trio.Event(), [])
        self._answers[number] = waiting
        try:
            with trio.fail_after(ANSWER_TIMEOUT_S):
                async with self._sending:
                    await self._input.send_all(
                        json.dumps({"id": number, **command}).encode() + b"\n"
                    )
                if not self._ended:
                    await waiting[0].wait()
        except (trio.TooSlowError, trio.BrokenResourceError, trio.ClosedResourceError):
            return {"error": "the warden does not answer"}
        finally:
            del self._answers[number]
        return waiting[1][0] if waiting[1] else {"error": "the warden has ended"}

    async def listen(self) -> None:
        """Take the warden's answers and events until it ends."""
        buffer = b""
        try:
            async for chunk in self._output:
                *lines, buffer = (buffer + chunk).split(b"\n")
                for line in lines:
                    self._take(json.loads(line))
        finally:
            self._ended = True
            for event, _ in self._answers.values():
                event.set()

    def _take(self, message: dict[str, Any]) -> None:
        if "exited" in message:
            self._exits[int(message["exited"])] = exit_text(int(message["status"]))
            return
        waiting = self._answers.get(int(message.get("id") or 0))
        if waiting is not None:
            waiting[1].append(message)
            waiting[0].set()

    async def end(self) -> None:
        """Close the pipe: the warden ends every child, then itself."""
        with trio.CancelScope(shield=True, deadline=trio.current_time() + WARDEN_END_S):
            await self._input.aclose()
            await self._process.wait()


@asynccontextmanager
async def open_warden() -> AsyncIterator[WardenSpawner]:
    """Start a warden for the length of the block; all that it spawned is gone afterwards."""
    process = await trio.lowlevel.open_process(
        [sys.executable, "-m", "console.runtime.warden"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=python_environment(os.environ),
    )
    spawner = WardenSpawner(process)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(spawner.listen)
        try:
            yield spawner
        finally:
            await spawner.end()
            nursery.cancel_scope.cancel()
