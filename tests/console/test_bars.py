"""Bars: keys to commands, with everything harmful guarded."""

from __future__ import annotations

import pytest

from console.bars.ask import QuitBar
from console.bars.base import TOO_SOON, Bar, Outcome, Press
from console.bars.fault import (
    ARM_S,
    LINK_FAULTS,
    PROCESS_KEYS,
    SECOND_PAGE,
    FaultBar,
    FaultTarget,
)
from console.bars.latency import LatencyBar
from console.bars.load import LoadBar
from console.bars.membership import AddBar, RemoveBar
from console.bars.text import TextBar
from console.painters.spans import row_width, text_of
from console.source import ActiveFault, AddPreview, Capability, LoadState
from console.view_models.scene import GLYPHS
from tests.console.fakes import ALL

PREVIEW = AddPreview("n6", 2730, 8190, 100, 4096, 4.0, (("n1", 0.03),), 1 / 6)


def press(bar: Bar, key: str, now_s: float = 10.0) -> Outcome:
    return bar.press(Press(key, key if len(key) == 1 else "", now_s))


def fault_bar(capabilities: Capability = ALL, *, all_down: bool = False) -> FaultBar:
    bar = FaultBar(FaultTarget(("n3",), "FAULT on C n3", "effect", all_down), capabilities, ())
    bar.painted_at_s = 1.0
    return bar


def test_x_kills_once_painted_and_after_a_pause() -> None:
    bar = fault_bar()
    outcome = press(bar, "x", 1.01 + ARM_S)
    assert outcome.confirm_after_s is not None
    assert not outcome.commands
    done = bar.confirm(1.5)
    assert [command.text for command in done.commands] == ["kill n3"]
    assert bar.confirm(1.6).commands == ()


def test_x_before_the_paint_or_too_soon_does_nothing() -> None:
    bar = fault_bar()
    bar.painted_at_s = None
    assert press(bar, "x") == TOO_SOON
    bar.painted_at_s = 1.0
    assert press(bar, "x", 1.05) == TOO_SOON


def test_a_held_x_never_kills() -> None:
    for first_repeat_s in (0.02, 0.16, 0.25, 0.5, 0.66):
        bar = fault_bar()
        now_s, killed, closed = 1.0 + first_repeat_s, False, False
        for _ in range(40):
            outcome = press(bar, "x", now_s)
            if outcome.close:
                closed = True
                assert not outcome.commands
                break
            # The next repeat comes before the confirmation is due.
            if outcome.confirm_after_s is not None:
                assert outcome.confirm_after_s > 0.05
            killed = killed or bool(outcome.commands)
            now_s += 0.033
        assert not killed
        assert closed or first_repeat_s < ARM_S


def test_process_and_link_faults() -> None:
    assert [c.text for c in press(fault_bar(), "p").commands] == ["pause n3"]
    assert [c.text for c in press(fault_bar(), "t").commands] == ["terminate n3"]
    assert [c.text for c in press(fault_bar(), "o").commands] == ["restart n3"]
    assert [c.text for c in press(fault_bar(), "c").commands] == ["cut on n3"]
    assert press(fault_bar(), "l").ask == "fault.latency"
    assert press(fault_bar(), "v").remove == "n3"
    assert "no change of members" in press(fault_bar(Capability.LINK_FAULTS), "v").note
    second = fault_bar()
    press(second, "tab")
    assert [c.text for c in press(second, "k").commands] == ["packet_loss 10 % on n3"]


@pytest.mark.parametrize("width", [60, 80, 160])
def test_every_fault_of_a_page_is_shown(width: int) -> None:
    bar = fault_bar()
    shown_keys: list[str] = []
    for _ in range(2):
        rows = bar.rows(width, GLYPHS["full"])
        shown_keys += [span.text for line in rows for span in line if span.style == "key"]
        press(bar, "tab")
    for key in (*PROCESS_KEYS, *LINK_FAULTS, "l", "v", *SECOND_PAGE):
        assert key in shown_keys
    assert shown_keys.count("tab") == 2


def test_nine_faults_can_be_lifted_by_number() -> None:
    faults = [
        ActiveFault(f"f{n}", "latency", f"*->n{n}", f"latency {n}", "you", n) for n in range(12)
    ]
    bar = FaultBar(FaultTarget(("n3",), "t", "e"), ALL, faults)
    bar.painted_at_s = 0.0
    inner = press(bar, "e").open_bar
    assert inner is not None
    assert "9 latency 8" in " ".join(text_of(line) for line in inner.rows(60, GLYPHS["full"]))


def test_a_key_without_a_fault_says_so() -> None:
    bar = fault_bar()
    assert "y is no fault of this page" in press(bar, "y").note
    press(bar, "tab")
    assert "p is no fault of this page" in press(bar, "p").note


def test_missing_capabilities_and_dead_targets_are_explained() -> None:
    assert "no process faults" in press(fault_bar(Capability.LINK_FAULTS), "p").note
    assert "no process faults" in press(fault_bar(Capability.LINK_FAULTS), "x").note
    assert "--enable-chaos" in press(fault_bar(Capability.PROCESS_FAULTS), "c").note
    assert "already down" in press(fault_bar(all_down=True), "x").note


def test_active_faults_are_lifted_by_number() -> None:
    fault = ActiveFault("f7", "latency", "*->n3", "latency 200", "you", 5)
    bar = FaultBar(FaultTarget(("n3",), "t", "e"), ALL, (fault,))
    bar.painted_at_s = 0.0
    inner = press(bar, "e").open_bar
    assert inner is not None
    assert [c.text for c in press(inner, "1").commands] == ["undo latency 200"]
    assert not press(inner, "2").commands


def test_latency_presets_digits_and_double_i() -> None:
    bar = LatencyBar(("n3",))
    assert press(bar, "enter") == TOO_SOON
    bar.painted_at_s = 1.0
    assert press(bar, "i", 1.05) == TOO_SOON
    assert [c.text for c in press(bar, "i", 1.5).commands] == ["latency 200±50 ms on n3"]
    for key in "350":
        press(bar, key)
    press(bar, "right")
    press(bar, "tab")
    command = press(bar, "enter").commands[0]
    assert command.text == "latency 350±87 ms on n3"
    press(bar, "up")
    assert bar.latency_ms == (1000, 100)


def shown(bar: Bar) -> str:
    return "\n".join(text_of(line) for line in bar.rows(80, GLYPHS["full"]))


def test_nodes_are_added_once_what_moves_is_known() -> None:
    bar = AddBar(("n1",))
    assert bar.question() == 1
    assert bar.question() == 0
    assert bar.take_preview(PREVIEW, "", 1) == Outcome()
    press(bar, "3")
    assert bar.question() == 3
    assert "computing" in shown(bar)
    assert bar.take_preview(PREVIEW, "", 3) == Outcome()
    assert press(bar, "enter").commands[0].text == "add 3 nodes"


def test_an_enter_before_the_preview_counts_when_it_arrives() -> None:
    bar = AddBar(("n1",))
    press(bar, "2")
    assert press(bar, "enter") == Outcome()
    assert "adding as soon as" in shown(bar)
    # An answer to an older question changes nothing.
    assert bar.take_preview(PREVIEW, "", 1) == Outcome()
    assert bar.preview is None
    outcome = bar.take_preview(PREVIEW, "", 2)
    assert outcome.close
    assert [command.text for command in outcome.commands] == ["add 2 nodes"]


def test_an_early_enter_is_void_after_another_count_or_without_a_preview() -> None:
    bar = AddBar(("n1",))
    press(bar, "enter")
    press(bar, "up")
    assert bar.take_preview(PREVIEW, "", 2) == Outcome()
    blind = AddBar(("n1",))
    press(blind, "enter")
    assert blind.take_preview(None, "no quorum", 1) == Outcome()
    assert "no quorum" in shown(blind)
    assert press(blind, "enter").commands[0].text == "add node"


def test_a_removal_must_be_seen_before_enter_counts() -> None:
    bar = RemoveBar("n2")
    assert not press(bar, "enter").commands
    assert "then press enter" in shown(bar)
    bar.take_preview(PREVIEW, "")
    assert "2730 slots" in shown(bar)
    assert press(bar, "enter").commands[0].text == "remove n2"
    blind = RemoveBar("n2")
    blind.take_preview(None, "no quorum")
    assert press(blind, "enter").commands[0].text == "remove n2"


def test_load_settings_are_bounded() -> None:
    bar = LoadBar(LoadState(True, 1000.0, 0.9, 1.0, 10))
    for _ in range(60):
        press(bar, "right")
        press(bar, ">")
        press(bar, "up")
    assert (bar.zipf, bar.reads, bar.rate) == (2.0, 1.0, 1_000_000)
    for key in "250":
        press(bar, key)
    assert bar.rate == 250
    assert press(bar, "s").commands[0].text == "stop load"


def test_escape_closes_every_bar_without_effect() -> None:
    bars: list[Bar] = [
        fault_bar(), LatencyBar(("n1",)), LoadBar(None), AddBar(()), RemoveBar("n1"),
        QuitBar(True, 2), TextBar("t", "h"),
    ]  # fmt: skip
    for bar in bars:
        bar.painted_at_s = 0.0
        outcome = press(bar, "escape")
        assert outcome.close
        assert not outcome.commands
        assert not outcome.quit
        for width in (60, 80, 160):
            rows = bar.rows(width, GLYPHS["full"])
            assert 1 <= len(rows) <= 5
            assert all(row_width(line) == width for line in rows)


def test_text_takes_printable_characters_only() -> None:
    bar = TextBar("FILTER", "hint")
    for key in ("a", "b", "tab", "backspace", "c"):
        press(bar, key)
    bar.paste("\x1b[2J!\nrm")
    assert bar.text == "ac[2J!"
    assert press(bar, "enter").text == "ac[2J!"
    press(bar, "ctrl+u")
    assert bar.text == ""


def test_quit_needs_a_painted_bar() -> None:
    bar = QuitBar(True, 0)
    assert press(bar, "enter") == TOO_SOON
    bar.painted_at_s = 0.0
    assert press(bar, "enter").quit == "stop"
