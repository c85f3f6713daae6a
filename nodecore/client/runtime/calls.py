"""One call to the cluster under trio: which nodes, in what order, until when.

Groups of keys go to their nodes at once; what a node could not answer is tried at another one, as
long as time is left and repeating is safe. A request that may have happened is repeated only when
it is idempotent; otherwise the caller gets Unknown.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Final, TypeAlias, final

import trio

from nodecore.client.batching import read_results, write_results
from nodecore.client.errors import ClientError, Failed, Refused, Unknown, error_of
from nodecore.client.routing import MalformedRoutes, Router, Routes
from nodecore.client.runtime.pool import Pool
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
            return ClientGet([keys[index] for index in indexes], int(level))

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
            chosen = [keys[index] for index in indexes]
            return ClientSet(chosen, [values[index] for index in indexes], expires_ms, int(level))

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
        results: list[bytes | ClientError | None] = [None] * len(keys)
        unsure: set[int] = set()
        remaining: Sequence[int] = range(len(keys))
        for attempt in range(ATTEMPTS_MAX):
            if attempt and not await self._pause(attempt, deadline_s):
                break
            subset = keys if len(remaining) == len(keys) else [keys[i] for i in remaining]
            groups = self.router.group(subset, trio.current_time())
            jobs = [
                (node, [remaining[i] for i in positions[at : at + BATCH_KEYS_MAX]])
                for node, positions in groups
                for at in range(0, len(positions), BATCH_KEYS_MAX)
            ]
            again: list[int] = []

            async def run(node: str, indexes: Sequence[int], again: list[int] = again) -> None:
                left_s = min(ATTEMPT_TIMEOUT_S, deadline_s - trio.current_time())
                found = await self._ask(node, message(indexes), read_reply, len(indexes), left_s)
                for index, result in zip(indexes, found, strict=True):
                    results[index] = result
                    if isinstance(result, ClientError) and not isinstance(result, Refused):
                        again.append(index)
                        if isinstance(result, Unknown):
                            unsure.add(index)

            if len(jobs) == 1:
                await run(*jobs[0])
            else:
                async with trio.open_nursery() as nursery:
                    for node, indexes in jobs:
                        nursery.start_soon(run, node, indexes)
            if not again:
                break
            remaining = sorted(again)
            self.refresh_wanted.set()
        if writes:
            for index in sorted(unsure):
                error = results[index]
                if isinstance(error, ClientError) and not isinstance(error, Unknown):
                    results[index] = Unknown(
                        error.code, f"an earlier try may have happened: {error}"
                    )
        return results

    async def _ask(
        self, node: str, message: Message, read_reply: ReadReply, count: int, timeout_s: float
    ) -> Results:
        if timeout_s <= 0:
            return [Failed(Code.TIMED_OUT, "no time was left")] * count
        try:
            reply = await self._pool.request(self.router.address(node), message, timeout_s)
            self._observe(node, reply)
            return read_reply(reply, count)
        except ClientError as error:
            return [error] * count
        except TransportError as error:
            return [self._translate(node, error)] * count

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
