"""Messages from the source's side to the widgets' side; nothing else crosses."""

from __future__ import annotations

from textual.message import Message

from console.intents import Command
from console.source import AddPreview, ClusterSnapshot, CommandResult, PastDocument
from console.view_models.events import LogLine


class SnapshotArrived(Message):
    """The next snapshot; an unread older one is replaced, except that events are never lost."""

    def __init__(self, snapshot: ClusterSnapshot) -> None:
        super().__init__()
        self.snapshot = snapshot

    def can_replace(self, message: Message) -> bool:
        # A snapshot with events must be applied: those events are in no other snapshot.
        return isinstance(message, SnapshotArrived) and not message.snapshot.events


class CommandFinished(Message):
    """A command's result; ``line`` is its line in the log."""

    def __init__(self, command: Command, line: LogLine, result: CommandResult) -> None:
        super().__init__()
        self.command = command
        self.line = line
        self.result = result


class PreviewArrived(Message):
    """What adding ``count`` nodes (or removing one) would move, or why that is not known."""

    def __init__(self, bar: object, count: int, preview: AddPreview | None, problem: str) -> None:
        super().__init__()
        self.bar = bar
        self.count = count
        self.preview = preview
        self.problem = problem


class KeyLocated(Message):
    """Where a key lives, or why that is not known."""

    def __init__(self, key: str, place: tuple[int, tuple[str, ...]] | None, problem: str) -> None:
        super().__init__()
        self.key = key
        self.place = place
        """(slot, owners), first owner first."""
        self.problem = problem


class LogArrived(Message):
    """The end of a node's log, or why it can't be read."""

    def __init__(self, node_id: str, lines: list[str], problem: str) -> None:
        super().__init__()
        self.node_id = node_id
        self.lines = lines
        self.problem = problem


class HistoryArrived(Message):
    """The topology's past, or why it can't be read."""

    def __init__(self, documents: list[PastDocument] | None, problem: str) -> None:
        super().__init__()
        self.documents = documents
        self.problem = problem


class ScriptTold(Message):
    """A remark of the scenario that runs on the source."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text = text


class SourceEnded(Message):
    """The source stopped producing; ``problem`` says why, empty when it was asked to."""

    def __init__(self, problem: str) -> None:
        super().__init__()
        self.problem = problem
