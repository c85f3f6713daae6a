"""The sheet of the topology: asks for its past when it opens and whenever a new document is in force."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

from console.messages import HistoryArrived
from console.painters.history import history_lines
from console.screens.sheet import Sheet
from console.source import ClusterSource, PastDocument
from console.view_models.scene import Scene

if TYPE_CHECKING:
    from console.app import ClusterConsole

ANSWER_LIMIT_S: Final = 10.0


class TopologySheet(Sheet):
    """What is in force, what is in flight, and what was before."""

    def __init__(self, scene: Scene) -> None:
        super().__init__("Topology", self._history_lines)
        self._scene = scene
        self._documents: list[PastDocument] | None = None
        self._problem = ""
        self._asked: tuple[int | None, str] | None = None
        """Epoch and state for which the past was asked."""

    def refresh_lines(self) -> None:
        snapshot = self._scene.model.snapshot
        if self._asked != (snapshot.epoch, snapshot.state):
            self._asked = (snapshot.epoch, snapshot.state)
            self._ask()
        super().refresh_lines()

    def _history_lines(self) -> list[str]:
        return history_lines(self._scene, self._documents, self._problem, self.columns)

    def _ask(self) -> None:
        async def ask(source: ClusterSource) -> list[PastDocument]:
            return await source.history()

        def answered(documents: list[PastDocument] | None, problem: str) -> None:
            self.post_message(HistoryArrived(documents, problem))

        cast("ClusterConsole", self.app).guest.submit(ask, answered, ANSWER_LIMIT_S)

    def on_history_arrived(self, message: HistoryArrived) -> None:
        """Show it; what was known stays when nobody answers."""
        self._problem = message.problem
        if message.documents is not None:
            self._documents = message.documents
        self.refresh_lines()
