"""Asks the nodes what a change of the members would move."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from console.errors import ConsoleError, NodeRefused
from console.previews import from_answer
from console.runtime.admin_client import call_first
from console.source import AddPreview

PREVIEW_TIMEOUT_S: Final = 3.0


async def ask_preview(
    addresses: Iterable[str], label: str, wanted: dict[str, object]
) -> AddPreview | None:
    """What the nodes say; None: none of them can say.

    Raises:
        NodeRefused: the change is impossible now, with the reason.
    """
    try:
        plain = await call_first(
            list(addresses), "change.preview", wanted, timeout_s=PREVIEW_TIMEOUT_S
        )
    except NodeRefused:
        raise
    except ConsoleError:
        return None
    return from_answer(label, plain)
