"""``get``, ``set``, ``del`` and ``mget`` through the ordinary client."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import trio

from console.errors import ClusterUnreachable, ConsoleError, OutcomeUnknown
from console.runtime.cluster_commands import reachable, running_cluster
from console.runtime.run import run_command
from console.runtime.secret import HELD
from nodecore.client import Client, Failed, Unknown

T = TypeVar("T")
CONNECT_TIMEOUT_S = 5.0


def with_client(
    name: str, address: str, operation: Callable[[Client], Awaitable[T]], timeout_s: float
) -> T:
    """Run one operation on a cluster, by local name or by any member's address.

    Raises:
        ClusterUnreachable: nobody answers.
        OutcomeUnknown: it may have happened.
        ConsoleError: it failed.
    """
    targets: Sequence[str] = (
        [address] if address else list(reachable(running_cluster(name).record).values())
    )
    if not targets:
        raise ClusterUnreachable(f"no node of cluster {name!r} can answer")

    async def run() -> T:
        try:
            with trio.fail_after(CONNECT_TIMEOUT_S + timeout_s):
                async with Client.connect(targets, secret=HELD.content) as client:
                    return await operation(client)
        except trio.TooSlowError:
            raise OutcomeUnknown(f"no answer within {CONNECT_TIMEOUT_S + timeout_s:g} s") from None
        except Unknown as error:
            raise OutcomeUnknown(f"it may have happened: {error}") from None
        except Failed as error:
            raise ConsoleError(str(error)) from None
        except OSError as error:
            raise ClusterUnreachable(str(error)) from None

    return run_command(run)
