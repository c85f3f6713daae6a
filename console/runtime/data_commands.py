"""``get``, ``set``, ``del`` and ``mget`` through the ordinary client."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import trio

from console.cli_output import tell
from console.errors import ClusterUnreachable, ConsoleError, OutcomeUnknown, UsageError
from console.runtime.cluster_commands import reachable, running_cluster
from console.runtime.run import run_command
from console.runtime.secret import HELD
from nodecore.client import Client, Failed, Unknown
from nodecore.client.quality import AnswerQuality
from nodecore.config_rules import split_address
from nodecore.errors import Code

T = TypeVar("T")
CONNECT_TIMEOUT_S = 5.0


def remarks(quality: AnswerQuality) -> list[str]:
    """What a person should know about answers that were given all the same."""
    found = []
    if quality.sloppy:
        copies = quality.copies_least
        held = f"{copies} {'copy' if copies == 1 else 'copies'}" if copies else "fewer copies"
        found.append(f"sloppy: written with {held}, fewer than the keyspace asks for")
    if quality.degraded:
        found.append("degraded: too few owners answer to be sure that there is no such key")
    if quality.stale:
        found.append("stale: the value may be older than the last write")
    return found


def with_client(
    name: str, address: str, operation: Callable[[Client], Awaitable[T]], timeout_s: float
) -> T:
    """Run one operation on a cluster, by local name or by any member's address.

    Raises:
        UsageError: ``address`` is none.
        ClusterUnreachable: nobody answers.
        OutcomeUnknown: it may have happened.
        ConsoleError: it failed.
    """
    if address and split_address(address) is None:
        raise UsageError(f"--connect {address!r} is not host:port")
    targets: Sequence[str] = (
        [address] if address else list(reachable(running_cluster(name).record).values())
    )
    if not targets:
        raise ClusterUnreachable(f"no node of cluster {name!r} can answer")

    async def run() -> T:
        try:
            with trio.fail_after(CONNECT_TIMEOUT_S + timeout_s):
                async with Client.connect(targets, secret=HELD.content) as client:
                    found = await operation(client)
                    for remark in remarks(client.quality):
                        tell(remark)
                    return found
        except trio.TooSlowError:
            raise OutcomeUnknown(f"no answer within {CONNECT_TIMEOUT_S + timeout_s:g} s") from None
        except Unknown as error:
            raise OutcomeUnknown(f"it may have happened: {error}") from None
        except Failed as error:
            if error.code is Code.UNREACHABLE:
                hint = "--connect takes the native address of a member" if address else ""
                raise ClusterUnreachable(str(error), hint=hint) from None
            raise ConsoleError(str(error)) from None

    return run_command(run)
