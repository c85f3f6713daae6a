"""The fault menu: which fault for the targets that its title names.

``x x`` kills, but only when the menu has been on the screen for ARM_S and the second press is not
the repeat of a held key: a press within ARM_S of the paint or of another x is ignored, and the
kill waits CONFIRM_S in which a further x cancels it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from console import intents
from console.bars.base import CLOSE, STAY, TOO_SOON, Choice, Outcome, Press, choice_rows, text_row
from console.intents import Command, LinkFault
from console.painters.spans import Row
from console.source import ActiveFault, Capability
from console.view_models.scene import Glyphs

ARM_S: Final = 0.15
CHOICE_LINES_MAX: Final = 4
"""On 60 columns every entry of a page has room on so many lines."""
LIFTED_MAX: Final = 9
"""Active faults that can be lifted by a number, a line each at most."""
CONFIRM_S: Final = 0.12
"""Longer than the interval of a held key's repeats (30 to 50 ms), shorter than a person notices."""


@dataclass(frozen=True, slots=True)
class FaultTarget:
    """Whom the menu is about, in words computed when it was opened."""

    node_ids: tuple[str, ...]
    title: str
    """``FAULT on E n5 (901 op/s, 20.9% of the ring)``."""
    effect: str
    """What a kill would do."""
    all_down: bool = False
    """Every target is down: process faults have nothing to act on."""


def _link(kind: str, text: str, **attributes: float) -> LinkFault:
    return LinkFault(kind, text, attributes)


def _place(kind: str, text: str, place: str, **attributes: float) -> LinkFault:
    """A fault of a node's disk or clock."""
    return LinkFault(kind, text, attributes, place=place)


PROCESS_KEYS: Final = {"x": "kill -9", "t": "terminate", "p": "pause", "o": "restart"}
LINK_FAULTS: Final = {
    "b": ("bandwidth", _link("bandwidth", "bandwidth 64 KB/s", rate=64)),
    "c": ("cut", LinkFault("cut", "cut", {}, "both")),
    "r": ("reset peer", _link("reset_peer", "reset_peer", timeout=0)),
    "d": ("drop", _link("timeout", "drop", timeout=0)),
    "s": ("slow close", _link("slow_close", "slow_close 1000 ms", delay=1000)),
    "z": ("slicer", _link("slicer", "slicer", average_size=64, size_variation=32, delay=500)),
    "m": ("limit", _link("limit_data", "limit_data 64 KB", bytes=65_536)),
}
SECOND_PAGE: Final = {
    "k": ("packet loss", _link("packet_loss", "packet_loss 10 %", loss_rate=0.1, correlation=0.25)),
    "q": ("corrupt", _link("corrupt", "corrupt 1 %", rate=0.01)),
    "b": ("disk bitflip", _place("bitflip", "bitflip 0.1 %", "disk", rate=0.001)),
    "e": ("disk eio", _place("eio", "eio 1 %", "disk", rate=0.01)),
    "n": ("disk full", _place("enospc", "enospc", "disk")),
    "f": ("slow fsync", _place("slow_fsync", "slow_fsync 500 ms", "disk", delay=500)),
    "w": ("clock skew", _place("skew", "skew +400 ms", "clock", offset=400)),
    "j": ("clock jump", _place("jump", "jump +1000 ms", "clock", offset=1000)),
}


def _no_fault(key: str) -> Outcome:
    """A key that this page has no fault for; keys without a character pass in silence."""
    return (
        Outcome(note=f"{key} is no fault of this page; tab: the other one")
        if len(key) == 1
        else STAY
    )


class FaultBar:
    """Two pages, chosen by tab."""

    def __init__(
        self,
        target: FaultTarget,
        capabilities: Capability,
        faults: Sequence[ActiveFault],
    ) -> None:
        self.target = target
        self.title = target.title
        self.painted_at_s: float | None = None
        self._processes = bool(capabilities & Capability.PROCESS_FAULTS)
        self._links = bool(capabilities & Capability.LINK_FAULTS)
        self._membership = bool(capabilities & Capability.MEMBERSHIP)
        self._faults = tuple(fault for fault in faults if fault.undoable)
        self._page = 0
        self._last_x_s: float | None = None
        self._pending = False

    def press(self, press: Press) -> Outcome:
        if press.key == "escape":
            return CLOSE
        if self._pending:
            return Outcome(close=True, note="not killed: a key is being held")
        if self.painted_at_s is None:
            return TOO_SOON
        if press.key in ("tab", "shift+tab"):
            self._page = 1 - self._page
            return STAY
        if press.key == "x" and self._page == 0:
            return self._press_x(press.now_s)
        return self._choose(press.key)

    def _press_x(self, now_s: float) -> Outcome:
        assert self.painted_at_s is not None
        since = max(self.painted_at_s, self._last_x_s or self.painted_at_s)
        self._last_x_s = now_s
        if not self._processes:
            return Outcome(note="kill: this cluster offers no process faults")
        if self.target.all_down:
            return Outcome(note="already down: r restarts")
        if now_s - since < ARM_S:
            return TOO_SOON
        self._pending = True
        return Outcome(confirm_after_s=CONFIRM_S)

    def confirm(self, now_s: float) -> Outcome:
        if not self._pending:
            return STAY
        self._pending = False
        return Outcome(close=True, commands=(intents.kill(self.target.node_ids),))

    def _choose(self, key: str) -> Outcome:
        if self._page == 1:
            return self._choose_second(key)
        if key in PROCESS_KEYS:
            return self._choose_process(key)
        if key == "l":
            return self._latency()
        if key == "v":
            return self._leave()
        if key == "e":
            return self._edit()
        if key in LINK_FAULTS:
            return self._submit_link(LINK_FAULTS[key][1])
        return _no_fault(key)

    def _choose_process(self, key: str) -> Outcome:
        if not self._processes:
            return Outcome(note="this cluster offers no process faults")
        ids = self.target.node_ids
        if key == "o":
            return Outcome(close=True, commands=(intents.restart(ids),))
        if self.target.all_down:
            return Outcome(note="already down: r restarts")
        command: Command = intents.terminate(ids) if key == "t" else intents.pause(ids)
        return Outcome(close=True, commands=(command,))

    def _choose_second(self, key: str) -> Outcome:
        if key in SECOND_PAGE:
            return self._submit_link(SECOND_PAGE[key][1])
        return _no_fault(key)

    def _submit_link(self, fault: LinkFault) -> Outcome:
        if not self._links:
            return Outcome(note="this cluster offers no link faults (nodes need --enable-chaos)")
        return Outcome(close=True, commands=(intents.add_link_fault(self.target.node_ids, fault),))

    def _latency(self) -> Outcome:
        if not self._links:
            return Outcome(note="this cluster offers no link faults (nodes need --enable-chaos)")
        return Outcome(close=True, ask="fault.latency")

    def _leave(self) -> Outcome:
        if not self._membership:
            return Outcome(note="this cluster offers no change of members")
        if len(self.target.node_ids) != 1:
            return Outcome(note="one node leaves at a time: clear the marks with esc")
        return Outcome(close=True, remove=self.target.node_ids[0])

    def _edit(self) -> Outcome:
        if not self._faults:
            return Outcome(note="no active fault to edit")
        return Outcome(open_bar=ActiveFaultsBar(self._faults))

    def rows(self, width: int, glyphs: Glyphs) -> list[Row]:
        lines = CHOICE_LINES_MAX
        if self._page == 1:
            choices = [Choice(k, label, self._links) for k, (label, _) in SECOND_PAGE.items()]
            rows = choice_rows([*choices, Choice("tab", "back")], width, lines)
            return [*rows, text_row("network, disk and clock faults of the nodes", width, "muted")]
        choices = [Choice(key, word, self._processes) for key, word in PROCESS_KEYS.items()]
        latency = f"latency 200{glyphs.plus_minus}50"
        choices.append(Choice("l", latency, self._links))
        choices.extend(Choice(key, word, self._links) for key, (word, _) in LINK_FAULTS.items())
        choices.append(Choice("v", "leave", self._membership))
        choices.append(Choice("e", "edit active", bool(self._faults)))
        choices.append(Choice("tab", "more"))
        rows = choice_rows(choices, width, lines)
        text = "killing ..." if self._pending else self.target.effect
        return [*rows, text_row(text, width, "alarm-text" if self._pending else "muted")]


class ActiveFaultsBar:
    """Active faults by number; a number lifts one."""

    def __init__(self, faults: Sequence[ActiveFault]) -> None:
        self.title = "ACTIVE FAULTS: a number lifts one"
        self.painted_at_s: float | None = None
        self._faults = tuple(faults)[:LIFTED_MAX]

    def press(self, press: Press) -> Outcome:
        if press.key == "escape":
            return CLOSE
        if press.character.isdigit() and 0 < int(press.character) <= len(self._faults):
            fault = self._faults[int(press.character) - 1]
            entry = intents.entry_of_fault(fault)
            command = intents.inverse(entry)
            assert command is not None
            return Outcome(close=True, commands=(command,))
        return STAY

    def confirm(self, now_s: float) -> Outcome:
        return STAY

    def rows(self, width: int, glyphs: Glyphs) -> list[Row]:
        choices = [
            Choice(str(number), f"{fault.text or fault.kind} {fault.target}")
            for number, fault in enumerate(self._faults, 1)
        ]
        return choice_rows(choices, width, LIFTED_MAX)
