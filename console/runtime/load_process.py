"""The console's hold on its load generator: starts the process, reads its reports, changes it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, Final, final

import trio

from console.errors import ConsoleError
from console.load.settings import LoadSettings, changed
from console.load.tally import LoadReport
from console.runtime.processes import python_environment
from console.runtime.secret import HELD
from console.source import LoadState

END_S: Final = 3.0
SEND_TIMEOUT_S: Final = 2.0
LINE_BYTES_MAX: Final = 1024 * 1024


@final
class LoadProcess:
    """A running load generator."""

    def __init__(self, process: trio.Process, settings: LoadSettings) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._process = process
        self._input = process.stdin
        self._output = process.stdout
        self._sending = trio.Lock()
        self.settings = settings
        self.report: LoadReport | None = None
        """The last one received."""
        self.error = ""
        """What it complained about last."""
        self.finished = trio.Event()
        """Set when the process has ended."""
        self.on_report: Callable[[LoadReport], None] | None = None

    @property
    def state(self) -> LoadState:
        """What screens show; zeros until the first report."""
        if self.report is not None:
            state = self.report.state()
            return replace(state, running=False, rate=0.0) if self.finished.is_set() else state
        settings = self.settings
        running = settings.running and not self.finished.is_set()
        return LoadState(
            running,
            settings.rate,
            settings.reads,
            settings.zipf,
            settings.keys,
            last_error=self.error,
        )

    async def change(self, given: dict[str, object]) -> LoadSettings:
        """Change settings of the running generator.

        Raises:
            UsageError: a setting is out of range; nothing was changed.
            ConsoleError: the generator has ended.
        """
        settings = changed(self.settings, given)
        line = json.dumps(given).encode() + b"\n"
        try:
            with trio.fail_after(SEND_TIMEOUT_S):
                async with self._sending:
                    await self._input.send_all(line)
        except (trio.TooSlowError, trio.BrokenResourceError, trio.ClosedResourceError):
            raise ConsoleError(
                f"the load generator has ended: {self.error or 'no reason'}"
            ) from None
        self.settings = settings
        return settings

    async def listen(self) -> None:
        """Take reports until the process ends."""
        buffer = b""
        async for chunk in self._output:
            *lines, buffer = (buffer + chunk).split(b"\n")
            if len(buffer) > LINE_BYTES_MAX:
                self.error = "a report was too long"
                return
            for line in lines:
                self._take(json.loads(line))
        self.finished.set()

    def _take(self, message: dict[str, Any]) -> None:
        if "error" in message:
            self.error = str(message["error"])
            return
        self.report = LoadReport.from_plain(message)
        if self.on_report is not None:
            self.on_report(self.report)

    async def end(self) -> None:
        """Close its input and wait for its end; kill it when it takes too long."""
        with trio.CancelScope(shield=True):
            with trio.move_on_after(END_S):
                await self._input.aclose()
                await self._process.wait()
            if self._process.returncode is None:
                self._process.kill()
                await self._process.wait()


@asynccontextmanager
async def open_load(targets: Sequence[str], settings: LoadSettings) -> AsyncIterator[LoadProcess]:
    """A load generator for the length of the block."""
    arguments = [
        sys.executable,
        "-m",
        "console.runtime.load",
        "--targets",
        ",".join(targets),
        *(f"--{name.replace('_', '-')}={getattr(settings, name)}" for name in _OPTIONS),
    ]
    if not settings.running:
        arguments.append("--stopped")
    process = await trio.lowlevel.open_process(
        arguments,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**python_environment(os.environ), **HELD.as_environment()},
    )
    load = LoadProcess(process, settings)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(load.listen)
        try:
            yield load
        finally:
            await load.end()
            nursery.cancel_scope.cancel()


_OPTIONS: Final = ("rate", "zipf", "reads", "keys", "value_bytes", "seed")
