"""The command palette: every action of the registry, by the words of its title and help."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, cast

from textual.command import DiscoveryHit, Hit, Hits, Provider

from console.actions import ACTIONS, Action, key_words
from console.screens.overview import Overview

if TYPE_CHECKING:
    from console.app import ClusterConsole


class ActionCommands(Provider):
    """Lists and finds actions; choosing one does what its key does."""

    def _perform(self, action_id: str) -> None:
        screen = self.screen
        if isinstance(screen, Overview):
            screen.perform(action_id)

    def _keys(self, action: Action) -> str:
        """As they are bound now."""
        keymap = cast("ClusterConsole", self.app).keymap_used
        return key_words(keymap.get(action.action_id, action.keys))

    async def discover(self) -> Hits:
        """Everything, before a word is typed."""
        for action in ACTIONS:
            yield DiscoveryHit(
                f"{action.title}  ({self._keys(action)})",
                partial(self._perform, action.action_id),
                help=action.help,
            )

    async def search(self, query: str) -> Hits:
        """Those whose title, id or help matches."""
        matcher = self.matcher(query)
        for action in ACTIONS:
            title = f"{action.title}  ({self._keys(action)})"
            score = max(
                matcher.match(title),
                matcher.match(action.action_id) * 0.9,
                matcher.match(action.help) * 0.6,
            )
            if score > 0:
                yield Hit(
                    score,
                    matcher.highlight(title),
                    partial(self._perform, action.action_id),
                    help=action.help,
                )
