"""The console without a screen: the same source, its snapshots as lines of words or of JSON."""

from __future__ import annotations

import signal
import time

import trio

from console.cli_output import result, tell
from console.plain import JsonRenderer, PlainRenderer
from console.runtime.open_console import ConsoleOptions, make_source
from console.runtime.run import run_command
from console.source import ClusterSnapshot


def watch(options: ConsoleOptions, *, json_: bool) -> None:
    """Print until interrupted or terminated; nodes that were started are stopped then.

    Raises:
        ConsoleError: the cluster can't be started, or nobody answers.
        KeyboardInterrupt: Ctrl-C, after everything was stopped.
    """
    source, text = make_source(options)
    tell(text)
    plain = PlainRenderer(time.localtime().tm_gmtoff)
    machine = JsonRenderer()

    def show(snapshot: ClusterSnapshot) -> None:
        for line in machine.lines(snapshot) if json_ else plain.lines(snapshot):
            result(line)

    async def run() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_end_on_signal, nursery.cancel_scope)
            await source.run(show)
            nursery.cancel_scope.cancel()

    run_command(run)


async def _end_on_signal(scope: trio.CancelScope) -> None:
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGHUP) as received:
        async for _ in received:
            scope.cancel()
            return
