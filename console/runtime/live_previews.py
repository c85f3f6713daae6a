"""Asks the nodes what a change of the members would move, and drafts which slots those would be.

The nodes' figures count every key; slot by slot the owners to be are drafted here, on the newest
document that is known, because an answer of 16,384 names would be long for what a screen shows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Final

import trio

from console.errors import ConsoleError, NodeRefused
from console.previews import from_answer
from console.runtime.admin_client import call_first
from console.source import AddPreview

PREVIEW_TIMEOUT_S: Final = 3.0


async def preview_change(
    addresses: Iterable[str],
    label: str,
    wanted: dict[str, object],
    draft: Callable[[], AddPreview],
) -> AddPreview:
    """What the nodes say, with the drafted owners; the draft alone where no node can say.

    Raises:
        NodeRefused: the change is impossible now, with the reason.
        ConsoleError: no node can say, and it can't be drafted either.
    """
    asked = await _ask(addresses, label, wanted)
    if asked is None:
        return await trio.to_thread.run_sync(draft)
    try:
        drafted = await trio.to_thread.run_sync(draft)
    except ConsoleError:
        # The document here is older than the one that the nodes answered from.
        return asked
    return replace(asked, first_owners=drafted.first_owners)


async def _ask(
    addresses: Iterable[str], label: str, wanted: dict[str, object]
) -> AddPreview | None:
    """None: none of the nodes can say."""
    try:
        plain = await call_first(
            list(addresses), "change.preview", wanted, timeout_s=PREVIEW_TIMEOUT_S
        )
    except NodeRefused:
        raise
    except ConsoleError:
        return None
    return from_answer(label, plain)
