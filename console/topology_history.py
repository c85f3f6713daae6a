"""The topology's past for a person: which document came when, what it changed, and who had it decided."""

from __future__ import annotations

import msgspec

from console.errors import ConsoleError
from nodecore.change_history import PastDocument


class _Answer(msgspec.Struct):
    """What is read of an answer to ``cluster.history``."""

    history: list[PastDocument]


def history_of(plain: object) -> list[PastDocument]:
    """The documents in a node's answer, oldest first.

    Raises:
        ConsoleError: a node of another version shapes it differently.
    """
    try:
        return msgspec.convert(plain, _Answer).history
    except msgspec.ValidationError as error:
        raise ConsoleError(f"the history is shaped in a way that can't be read: {error}") from None


def change_words(line: PastDocument) -> str:
    """``+n6``, ``-n3``; while a change goes on what it is: ``join n6``."""
    names = [f"+{node}" for node in line.added] + [f"-{node}" for node in line.removed]
    if names:
        return " ".join(names)
    return f"{line.kind} {line.node_id}" if line.kind else ""
