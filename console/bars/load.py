"""The load bar: start, stop and shape the built-in load."""

from __future__ import annotations

from typing import Final

from console import intents
from console.bars.base import CLOSE, STAY, Choice, Outcome, Press, choice_rows, text_row
from console.painters.spans import Row, Span, fit
from console.source import LoadState
from console.view_models.scene import Glyphs

RATE_MIN: Final = 10.0
RATE_MAX: Final = 1_000_000.0
RATE_STEP: Final = 1.25
ZIPF_MAX: Final = 2.0


class LoadBar:
    """Settings are edited here and sent with Enter, or with ``s`` (start or stop)."""

    def __init__(self, load: LoadState | None) -> None:
        self.title = "LOAD"
        self.painted_at_s: float | None = None
        self.running = load.running if load is not None else False
        self.rate = load.rate_target if load is not None else 1000.0
        self.zipf = load.zipf if load is not None else 1.0
        self.reads = load.reads_ratio if load is not None else 0.9
        self.typed = ""

    def press(self, press: Press) -> Outcome:
        key = press.key
        if key == "escape":
            return CLOSE
        if key == "enter":
            return self._submit(running=True)
        if key == "s":
            return self._submit(running=not self.running)
        if press.character.isdigit():
            self.typed = (self.typed + press.character)[:7].lstrip("0")
            if self.typed:
                self._set_rate(float(self.typed))
        elif key == "backspace":
            self.typed = self.typed[:-1]
            if self.typed:
                self._set_rate(float(self.typed))
        elif key in ("up", "down"):
            self.typed = ""
            self._set_rate(self.rate * RATE_STEP if key == "up" else self.rate / RATE_STEP)
        elif key in ("left", "right"):
            step = 0.1 if key == "right" else -0.1
            self.zipf = round(min(max(self.zipf + step, 0.0), ZIPF_MAX), 1)
        elif press.character in ("<", ">", ",", "."):
            step = 0.05 if press.character in (">", ".") else -0.05
            self.reads = round(min(max(self.reads + step, 0.0), 1.0), 2)
        return STAY

    def _set_rate(self, rate: float) -> None:
        self.rate = round(min(max(rate, RATE_MIN), RATE_MAX))

    def _submit(self, *, running: bool) -> Outcome:
        command = intents.set_load(
            running=running, rate=self.rate, zipf=self.zipf, reads=self.reads
        )
        return Outcome(close=True, commands=(command,))

    def confirm(self, now_s: float) -> Outcome:
        return STAY

    def rows(self, width: int, glyphs: Glyphs) -> list[Row]:
        head = (
            Span(f" {'running' if self.running else 'stopped'}  ", "muted"),
            Span(f"{self.rate:.0f} op/s  zipf {self.zipf:.1f}  reads {self.reads:.0%}", "strong"),
        )
        keys = (
            Choice("enter", "apply and run"),
            Choice("s", "stop" if self.running else "start"),
            Choice("0-9 up/down", "rate"),
            Choice("left/right", "zipf"),
            Choice("< >", "reads"),
            Choice("esc", "cancel"),
        )
        note = "zipf 0 = every key alike; above 1 a few keys take most of the load"
        return [fit(head, width), *choice_rows(keys, width, 2), text_row(note, width, "muted")]
