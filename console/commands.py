"""The command palette: every action of the registry, by the words of its title and help."""

from __future__ import annotations

from functools import partial

from textual.command import DiscoveryHit, Hit, Hits, Provider

from console.actions import ACTIONS, key_words
from console.screens.overview import Overview


class ActionCommands(Provider):
    """Lists and finds actions; choosing one does what its key does."""

    def _perform(self, action_id: str) -> None:
        screen = self.screen
        if isinstance(screen, Overview):
            screen.perform(action_id)

    async def discover(self) -> Hits:
        """Everything, before a word is typed."""
        for action in ACTIONS:
            yield DiscoveryHit(
                f"{action.title}  ({key_words(action.keys)})",
                partial(self._perform, action.action_id),
                help=action.help,
            )

    async def search(self, query: str) -> Hits:
        """Those whose title, id or help matches."""
        matcher = self.matcher(query)
        for action in ACTIONS:
            title = f"{action.title}  ({key_words(action.keys)})"
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
