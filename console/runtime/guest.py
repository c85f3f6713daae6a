"""Hosts trio as a guest inside the screen's asyncio loop, and a source inside that.

Both loops take turns in one thread, so callbacks of either side may touch plain objects, but never
widgets: the app posts messages to itself. A task that fails ends alone; its error is handed back
in words. Stopping cancels everything and waits until trio has finished, so that a source always
gets to stop what it started.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import trio
from outcome import Outcome

from console.source import ClusterSnapshot, ClusterSource

T = TypeVar("T")

STOP_TIMEOUT_S: Final = 30.0
"""Longest wait for the source to stop what it started."""
TASKS_MAX: Final = 64
"""Commands in flight; more are refused at once."""


class TrioGuest:
    """One source, run by trio beside the screen."""

    def __init__(
        self,
        source: ClusterSource,
        on_snapshot: Callable[[ClusterSnapshot], None],
        on_ended: Callable[[str], None],
        run: Callable[[Callable[[ClusterSnapshot], None]], Awaitable[None]] | None = None,
    ) -> None:
        """``run`` takes the place of the source's own ``run``: it calls that, and does more."""
        self._source = source
        self._run = run or source.run
        self._on_snapshot = on_snapshot
        self._on_ended = on_ended
        self._token: trio.lowlevel.TrioToken | None = None
        self._nursery: trio.Nursery | None = None
        self._waiting: list[Callable[[], None]] = []
        self._done: asyncio.Future[Outcome[None]] | None = None
        self._stopping = False
        self._tasks = 0

    def start(self) -> None:
        """Begin; to be called from a coroutine or callback of the running asyncio loop."""
        loop = asyncio.get_running_loop()
        done: asyncio.Future[Outcome[None]] = loop.create_future()
        self._done = done

        def finish(result: Outcome[None]) -> None:
            if not done.done():
                done.set_result(result)

        trio.lowlevel.start_guest_run(
            self._main,
            run_sync_soon_threadsafe=loop.call_soon_threadsafe,
            run_sync_soon_not_threadsafe=loop.call_soon,
            done_callback=finish,
            host_uses_signal_set_wakeup_fd=True,
        )

    async def _main(self) -> None:
        async with trio.open_nursery() as nursery:
            self._token = trio.lowlevel.current_trio_token()
            self._nursery = nursery
            if self._stopping:
                nursery.cancel_scope.cancel()
            nursery.start_soon(self._run_source)
            for begin in self._waiting:
                begin()
            self._waiting.clear()
            await trio.sleep_forever()

    async def _run_source(self) -> None:
        problem = "the source ended"
        try:
            await self._run(self._on_snapshot)
        except Exception as error:
            problem = words_of(error)
        self._on_ended("" if self._stopping else problem)

    def submit(
        self,
        run: Callable[[ClusterSource], Awaitable[T]],
        on_done: Callable[[T | None, str], None],
        limit_s: float,
    ) -> None:
        """Run a coroutine function on the source's side.

        ``on_done`` gets (value, "") or (None, why); it is called exactly once unless the guest is
        stopped before. A run longer than ``limit_s`` is cancelled.
        """
        if self._tasks >= TASKS_MAX:
            on_done(None, f"{TASKS_MAX} commands are in flight already")
            return
        if self._stopping:
            on_done(None, "the console is leaving")
            return
        self._tasks += 1

        def begin() -> None:
            assert self._nursery is not None
            self._nursery.start_soon(self._run_task, run, on_done, limit_s)

        if self._token is None:
            self._waiting.append(begin)
        else:
            try:
                self._token.run_sync_soon(begin)
            except trio.RunFinishedError:
                self._tasks -= 1
                on_done(None, "the source has ended")

    async def _run_task(
        self,
        run: Callable[[ClusterSource], Awaitable[T]],
        on_done: Callable[[T | None, str], None],
        limit_s: float,
    ) -> None:
        value: T | None = None
        problem = ""
        try:
            with trio.move_on_after(limit_s) as scope:
                value = await run(self._source)
            if scope.cancelled_caught:
                problem = f"no answer within {limit_s:.0f} s"
        except Exception as error:
            problem = words_of(error)
        finally:
            self._tasks -= 1
        on_done(value, problem)

    async def stop(self, timeout_s: float = STOP_TIMEOUT_S) -> str:
        """Cancel everything and wait until trio has finished; returns a problem in words, or empty."""
        self._stopping = True
        if self._done is None:
            return ""
        if self._token is not None and self._nursery is not None and not self._done.done():
            try:
                self._token.run_sync_soon(self._nursery.cancel_scope.cancel)
            except trio.RunFinishedError:
                return ""
        try:
            result = await asyncio.wait_for(asyncio.shield(self._done), timeout_s)
        except TimeoutError:
            return f"the source did not stop within {timeout_s:.0f} s"
        error = getattr(result, "error", None)
        return "" if error is None or isinstance(error, trio.Cancelled) else words_of(error)


def words_of(error: BaseException) -> str:
    """An exception in one line for a person."""
    if isinstance(error, BaseExceptionGroup) and error.exceptions:
        return words_of(error.exceptions[0])
    return str(error).splitlines()[0] if str(error) else type(error).__name__
