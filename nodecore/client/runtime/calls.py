"""One call to the cluster under trio: which nodes, in what order, until when.

Groups of keys go to their nodes at once; what a node could not answer is tried at another one, as
long as time is left and repeating is safe. A request that may have happened is repeated only when
it is idempotent; otherwise the caller gets Unknown.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Final, TypeAlias, final

import trio

from nodecore.client.batching import PLAIN_RESULTS, read_results, write_results
from nodecore.client.errors import ClientError, Failed, Refused, Unknown, error_of
from nodecore.client.quality import AnswerQuality
from nodecore.client.routing import MalformedRoutes, Router, Routes
from nodecore.client.runtime.pool import Flight, Pool
from nodecore.errors import Code
from nodecore.limits import BATCH_KEYS_MAX
from nodecore.replication.wire import MalformedPlain, outcome_from_plain, request_to_plain
from nodecore.requests import Done, Level, Outcome, Request
from nodecore.requests import Failed as FailedOutcome
from transport.errors import LocalProtocolError, RemoteError, TransportError
from transport.messages import (
    ClientExecute,
    ClientGet,
    ClientOutcome,
    ClientRoutes,
    ClientRouteTable,
    ClientSet,
    ClientValues,
    ClientWritten,
    Message,
)

ATTEMPTS_MAX: Final = 5
BACKOFF_S: Final = 0.02
"""Pause before the third try, doubled with each further one, with jitter."""
ATTEMPT_TIMEOUT_S: Final = 2.5
"""One node's time to answer: its own operation timeout and the way there and back."""

Results: TypeAlias = Sequence[bytes | ClientError | None]
MakeMessage: TypeAlias = Callable[[Sequence[int]], Message]
ReadReply: TypeAlias = Callable[[Message, int], Results]


@final
class _Spread:
    """Results of one call as they come in."""

    __slots__ = ("again", "results", "unsure")

    def __init__(self, count: int) -> None:
        self.results: list[bytes | ClientError | None] = [None] * count
        self.again: list[int] = []
        """Positions that are worth another try."""
        self.unsure: dict[int, None] = {}
        """Positions that may have happened."""

    def put(self, indexes: Sequence[int], found: Results) -> None:
        """Take what one node answered."""
        results = self.results
        if PLAIN_RESULTS.issuperset(map(type, found)):
            if len(indexes) == len(results):
                results[:] = found
                return
            for index, result in zip(indexes, found, strict=True):
                results[index] = result
            return
        for index, result in zip(indexes, found, strict=True):
            results[index] = result
            if isinstance(result, ClientError):
                self._note(index, result)

    def fail(self, indexes: Sequence[int], error: ClientError) -> None:
        """One node's part failed as a whole."""
        for index in indexes:
            self.results[index] = error
            self._note(index, error)

    def _note(self, index: int, error: ClientError) -> None:
        if not isinstance(error, Refused):
            self.again.append(index)
            if isinstance(error, Unknown):
                self.unsure[index] = None


@final
class Calls:
    """Runs calls; shared by all tasks of a client."""

    def __init__(
        self, router: Router, pool: Pool, seeds: Sequence[str], rng: random.Random
    ) -> None:
        self.router = router
        self._pool = pool
        self._seeds = tuple(seeds)
        self._rng = rng
        self._refreshing = trio.Lock()
        self.refresh_wanted = trio.Event()
        self.quality = AnswerQuality()

    # --- routes ------------------------------------------------------------------------------------

    async def refresh(self, timeout_s: float) -> None:
        """Fetch routes from the first node that answers.

        Raises:
            Failed: none did.
        """
        async with self._refreshing:
            self.refresh_wanted = trio.Event()
            routes = self.router.routes
            known = list(routes.addresses) if routes is not None else []
            problem = "no address to ask"
            deadline_s = trio.current_time() + timeout_s
            for address in dict.fromkeys([*known, *self._seeds]):
                left_s = deadline_s - trio.current_time()
                if left_s <= 0:
                    break
                try:
                    message = ClientRoutes(routes.epoch if routes is not None else 0)
                    reply = await self._pool.request(address, message, min(left_s, 1.0))
                    if not isinstance(reply, ClientRouteTable):
                        raise MalformedRoutes(f"unexpected answer {type(reply).__name__}")
                    if self.router.adopt(Routes.parse(reply)):
                        return
                    problem = f"{address} is behind"
                except (TransportError, MalformedRoutes) as error:
                    problem = str(error)
            raise Failed(Code.UNREACHABLE, f"no node answers: {problem}")

    def _observe(self, node: str, reply: Message) -> None:
        self.router.mark_up(node)
        if isinstance(reply, ClientWritten):
            self.quality.note(reply.flags, reply.copies)
        elif isinstance(reply, ClientValues):
            self.quality.note(reply.flags)
        routes = self.router.routes
        if (
            isinstance(reply, ClientValues | ClientWritten | ClientOutcome)
            and routes is not None
            and reply.epoch > routes.epoch
        ):
            self.refresh_wanted.set()

    # --- many keys -----------------------------------------------------------------------------------

    async def read(self, keys: Sequence[bytes], level: Level, timeout_s: float) -> Results:
        """Per key its value, None, or why it failed."""

        def message(indexes: Sequence[int]) -> Message:
            if len(indexes) == len(keys):
                return ClientGet(list(keys), int(level))
            return ClientGet(list(map(keys.__getitem__, indexes)), int(level))

        return await self._spread(keys, message, read_results, timeout_s, writes=False)

    async def write(
        self,
        keys: Sequence[bytes],
        values: Sequence[bytes],
        expires_ms: int,
        level: Level,
        timeout_s: float,
    ) -> Results:
        """Per key None, or why it failed. Blind writes are idempotent: they are repeated."""

        def message(indexes: Sequence[int]) -> Message:
            chosen = list(map(keys.__getitem__, indexes))
            return ClientSet(chosen, list(map(values.__getitem__, indexes)), expires_ms, int(level))

        return await self._spread(keys, message, write_results, timeout_s, writes=True)

    async def _spread(
        self,
        keys: Sequence[bytes],
        message: MakeMessage,
        read_reply: ReadReply,
        timeout_s: float,
        *,
        writes: bool,
    ) -> Results:
        deadline_s = trio.current_time() + timeout_s
        spread = _Spread(len(keys))
        results, unsure = spread.results, spread.unsure
        remaining: Sequence[int] = range(len(keys))
        for attempt in range(ATTEMPTS_MAX):
            if attempt and not await self._pause(attempt, deadline_s):
                break
            jobs = self._jobs(keys, remaining)
            left_s = min(ATTEMPT_TIMEOUT_S, deadline_s - trio.current_time())
            await self._run_jobs(jobs, message, read_reply, spread, left_s)
            if not spread.again:
                break
            remaining, spread.again = sorted(spread.again), []
            self.refresh_wanted.set()
        if writes:
            for index in sorted(unsure):
                error = results[index]
                if isinstance(error, ClientError) and not isinstance(error, Unknown):
                    results[index] = Unknown(
                        error.code, f"an earlier try may have happened: {error}"
                    )
        return results

    def _jobs(
        self, keys: Sequence[bytes], remaining: Sequence[int]
    ) -> list[tuple[str, Sequence[int]]]:
        """Nodes and the positions that each of them should answer, within the bounds of a message."""
        whole = len(remaining) == len(keys)
        subset = keys if whole else [keys[index] for index in remaining]
        return [
            (node, chosen if whole else [remaining[index] for index in chosen])
            for node, positions in self.router.group(subset, trio.current_time())
            for at in range(0, len(positions), BATCH_KEYS_MAX)
            for chosen in (positions[at : at + BATCH_KEYS_MAX],)
        ]

    async def _run_jobs(
        self,
        jobs: Sequence[tuple[str, Sequence[int]]],
        message: MakeMessage,
        read_reply: ReadReply,
        spread: _Spread,
        timeout_s: float,
    ) -> None:
        """Ask all nodes at once. Open links need no task of their own: all requests leave, then the
        answers are awaited one after another.
        """
        if timeout_s <= 0:
            for _node, indexes in jobs:
                spread.fail(indexes, Failed(Code.TIMED_OUT, "no time was left"))
            return
        until_s = trio.current_time() + timeout_s
        begun: list[tuple[str, Sequence[int], Flight]] = []
        unopened: list[tuple[str, Sequence[int], Message]] = []
        for node, indexes in jobs:
            request = message(indexes)
            try:
                flight = self._pool.begin(self.router.address(node), request)
            except TransportError as error:
                spread.fail(indexes, self._translate(node, error))
                continue
            if flight is None:
                unopened.append((node, indexes, request))
            else:
                begun.append((node, indexes, flight))

        async def collect() -> None:
            for node, indexes, flight in begun:
                wait = partial(flight.wait, max(0.0, until_s - trio.current_time()))
                await self._take(node, indexes, wait, read_reply, spread)

        try:
            if not unopened:
                await collect()
                return
            async with trio.open_nursery() as nursery:
                for node, indexes, request in unopened:
                    ask = partial(self._pool.request, self.router.address(node), request, timeout_s)
                    nursery.start_soon(self._take, node, indexes, ask, read_reply, spread)
                await collect()
        finally:
            for _node, _indexes, flight in begun:
                flight.forget()

    async def _take(
        self,
        node: str,
        indexes: Sequence[int],
        answer: Callable[[], Awaitable[Message]],
        read_reply: ReadReply,
        spread: _Spread,
    ) -> None:
        """Wait for one node's answer and put its results in their places."""
        try:
            reply = await answer()
            self._observe(node, reply)
            spread.put(indexes, read_reply(reply, len(indexes)))
        except ClientError as error:
            spread.fail(indexes, error)
        except TransportError as error:
            spread.fail(indexes, self._translate(node, error))

    async def _pause(self, attempt: int, deadline_s: float) -> bool:
        """Wait before another try; False when no time is left."""
        pause_s = 0.0
        if attempt > 1:
            pause_s = BACKOFF_S * 2 ** (attempt - 2) * (0.5 + self._rng.random())
        if trio.current_time() + pause_s >= deadline_s:
            return False
        await trio.sleep(pause_s)
        return True

    def _translate(self, node: str, error: TransportError) -> ClientError:
        if isinstance(error, RemoteError):
            return error_of(error.code, error.text, unknown=error.unknown)
        if isinstance(error, LocalProtocolError):
            return Refused(Code.BAD_REQUEST, error.text)
        self.router.mark_down(node, trio.current_time())
        self.refresh_wanted.set()
        if error.definite:
            return Failed(Code.UNREACHABLE, f"{node}: {error.text}")
        return Unknown(Code.TIMED_OUT, f"{node}: {error.text}")

    # --- one request ---------------------------------------------------------------------------------

    async def execute(
        self, key: bytes, request: Request, timeout_s: float, *, idempotent: bool
    ) -> object:
        """Run any request at the nodes that suit its key; returns the result of its Done.

        Raises:
            Failed: it did not happen.
            Unknown: it may have happened.
        """
        deadline_s = trio.current_time() + timeout_s
        message = ClientExecute(request_to_plain(request))
        error: ClientError = Failed(Code.UNREACHABLE, "no node to ask")
        unsure = False
        for attempt in range(ATTEMPTS_MAX):
            if attempt and not await self._pause(attempt, deadline_s):
                break
            nodes = self.router.candidates(key, trio.current_time())
            if not nodes:
                break
            node = nodes[0]
            left_s = min(ATTEMPT_TIMEOUT_S, deadline_s - trio.current_time())
            try:
                reply = await self._pool.request(self.router.address(node), message, left_s)
                self._observe(node, reply)
                outcome = _outcome_of(reply)
            except TransportError as problem:
                error = self._translate(node, problem)
            else:
                if isinstance(outcome, Done):
                    self.quality.note(outcome.flags, outcome.copies)
                    return outcome.result
                unknown = not isinstance(outcome, FailedOutcome)
                error = error_of(outcome.code, outcome.text, unknown=unknown)
            if isinstance(error, Refused):
                break
            if isinstance(error, Unknown):
                unsure = True
                if not idempotent:
                    break
            self.refresh_wanted.set()
        if unsure and not isinstance(error, Unknown):
            raise Unknown(error.code, f"an earlier try may have happened: {error}")
        raise error


def _outcome_of(reply: Message) -> Outcome:
    if not isinstance(reply, ClientOutcome):
        raise Unknown(Code.INTERNAL, f"unexpected answer {type(reply).__name__}")
    try:
        return outcome_from_plain(reply.outcome)
    except MalformedPlain as error:
        raise Unknown(Code.INTERNAL, str(error)) from None
