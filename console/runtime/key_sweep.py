"""Reads every key of the load generator once: which of them does the cluster not find?

The generator has written all of them before it began, and deletes nothing: a key that no owner has
was lost. Reads that fail are tried again; a key that can't be read at all counts as lost.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import trio

from console.errors import ClusterUnreachable, ConsoleError
from console.load.keys import key_name
from console.load.values import parse_value
from console.runtime.secret import HELD
from nodecore.client import Client, Failed, Unknown

BATCH_KEYS: Final = 500
TRIES: Final = 5
PAUSE_S: Final = 0.5
SWEEP_TIMEOUT_S: Final = 60.0


async def count_lost_keys(targets: Sequence[str], keys: int) -> int:
    """How many of the first ``keys`` keys are not found, or hold what nobody wrote.

    Raises:
        ClusterUnreachable: no connection came about.
        ConsoleError: the sweep was not finished in time.
    """
    if not targets:
        raise ClusterUnreachable("no node can be asked for its keys")
    lost = 0
    try:
        with trio.fail_after(SWEEP_TIMEOUT_S):
            async with Client.connect(targets, secret=HELD.content) as client:
                for first in range(0, keys, BATCH_KEYS):
                    names = [key_name(n) for n in range(first, min(first + BATCH_KEYS, keys))]
                    lost += await _count_absent(client, names)
    except trio.TooSlowError:
        raise ConsoleError(f"keys could not be read within {SWEEP_TIMEOUT_S:g} s") from None
    except OSError as error:
        raise ClusterUnreachable(str(error)) from None
    return lost


async def _count_absent(client: Client, names: Sequence[bytes]) -> int:
    for attempt in range(TRIES):
        try:
            values = await client.mget(names)
        except (Failed, Unknown):
            if attempt == TRIES - 1:
                return len(names)
            await trio.sleep(PAUSE_S)
            continue
        return sum(
            1
            for name, value in zip(names, values, strict=True)
            if value is None or (parsed := parse_value(value)) is None or parsed.key != name
        )
    raise AssertionError("the last try returns")
