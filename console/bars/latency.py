"""The latency bar: how long, which way, for how long.

``i i`` applies the preset that is shown first (200 ±50 ms); digits type milliseconds, up and down
pick a preset, left and right the direction, tab the duration, Enter applies.
"""

from __future__ import annotations

from typing import Final

from console import intents
from console.bars.base import CLOSE, STAY, TOO_SOON, Choice, Outcome, Press, choice_rows, text_row
from console.bars.fault import ARM_S
from console.intents import LinkFault
from console.painters.spans import Row, Span, fit
from console.view_models.scene import Glyphs

PRESETS: Final = ((50, 10), (200, 50), (1000, 100), (5000, 500))
STREAMS: Final = ("down", "up", "both")
STREAM_WORDS: Final = {
    "down": "replies",
    "up": "requests",
    "both": "requests and replies",
}
DURATIONS: Final[tuple[float | None, ...]] = (None, 10.0, 30.0, 60.0)
LATENCY_MS_MAX: Final = 60_000


class LatencyBar:
    """State of the bar."""

    def __init__(self, node_ids: tuple[str, ...]) -> None:
        self.node_ids = node_ids
        self.title = f"LATENCY on {intents.names(node_ids)}"
        self.painted_at_s: float | None = None
        self.preset = 1
        self.typed = ""
        self.stream = 0
        self.duration = 0
        self._last_i_s: float | None = None

    @property
    def latency_ms(self) -> tuple[int, int]:
        """(latency, jitter); typed milliseconds have a quarter of jitter."""
        if self.typed:
            latency = min(int(self.typed), LATENCY_MS_MAX)
            return latency, latency // 4
        return PRESETS[self.preset]

    def press(self, press: Press) -> Outcome:
        key = press.key
        if key == "escape":
            return CLOSE
        if key == "enter":
            return self._apply() if self.painted_at_s is not None else TOO_SOON
        if key == "i":
            return self._press_i(press.now_s)
        if press.character.isdigit():
            self.typed = (self.typed + press.character)[:5].lstrip("0")
        elif key == "backspace":
            self.typed = self.typed[:-1]
        elif key in ("up", "down"):
            self.typed = ""
            step = 1 if key == "up" else -1
            self.preset = min(max(self.preset + step, 0), len(PRESETS) - 1)
        elif key in ("left", "right"):
            step = 1 if key == "right" else -1
            self.stream = (self.stream + step) % len(STREAMS)
        elif key == "tab":
            self.duration = (self.duration + 1) % len(DURATIONS)
        return STAY

    def _press_i(self, now_s: float) -> Outcome:
        # The repeat of a held key is not a decision.
        if self.painted_at_s is None:
            return TOO_SOON
        since = max(self.painted_at_s, self._last_i_s or self.painted_at_s)
        self._last_i_s = now_s
        return self._apply() if now_s - since >= ARM_S else TOO_SOON

    def _apply(self) -> Outcome:
        latency, jitter = self.latency_ms
        if latency <= 0:
            return Outcome(note="latency needs at least 1 ms")
        stream = STREAMS[self.stream]
        fault = LinkFault(
            "latency",
            f"latency {latency}±{jitter} ms",
            {"latency": float(latency), "jitter": float(jitter)},
            stream,
            for_s=DURATIONS[self.duration],
        )
        return Outcome(close=True, commands=(intents.add_link_fault(self.node_ids, fault),))

    def confirm(self, now_s: float) -> Outcome:
        return STAY

    def rows(self, width: int, glyphs: Glyphs) -> list[Row]:
        latency, jitter = self.latency_ms
        length = DURATIONS[self.duration]
        shown = f" {latency}{glyphs.plus_minus}{jitter} ms"
        head = (
            Span(shown, "strong"),
            Span(f"  of {STREAM_WORDS[STREAMS[self.stream]]}"),
            Span(f"  {'until lifted' if length is None else f'for {length:.0f} s'}"),
        )
        keys = (
            Choice("i/enter", "apply"),
            Choice("0-9", "type ms"),
            Choice("up/down", "presets"),
            Choice("left/right", "direction"),
            Choice("tab", "length"),
            Choice("esc", "cancel"),
        )
        return [
            fit(head, width),
            *choice_rows(keys, width, 2),
            text_row("clients of the node and its peers feel it", width, "muted"),
        ]
