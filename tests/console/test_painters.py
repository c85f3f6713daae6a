"""Painters: exact widths at any size, facts that do not hang on colour, changes in flight."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from console.painters.breakers import paint_breakers
from console.painters.chrome import paint_context, paint_footer, paint_header
from console.painters.events import fault_text, load_text, paint_events
from console.painters.heat import paint_heat
from console.painters.nodes import paint_nodes, sparkline
from console.painters.ring import paint_ring
from console.painters.spans import Row, Span, fit, row_width, text_of
from console.source import ActiveFault, Capability
from console.view_models.cluster import ClusterModel
from console.view_models.scene import GLYPHS, Choices, Located, Look, Scene
from console.widgets.stylist import Stylist
from nodecore.ids import SLOTS_COUNT
from nodecore.statistics import ChangeProgress
from tests.console.fakes import ALL, HOT_SLOT, START_MS, make_owners, make_snapshot
from themes import load_themes

OWNERS = make_owners(5)
PAINTERS = (paint_ring, paint_nodes, paint_breakers, paint_heat, paint_events)


def scene(levels: int = 0, glyphs: str = "full", ticks: int = 12, **options: Any) -> Scene:
    model = ClusterModel()
    for tick in range(1, ticks + 1):
        model.apply(make_snapshot(tick, owners=OWNERS, **options))
    return Scene(model, Choices(cursor="n1"), Look(GLYPHS[glyphs], levels), capabilities=ALL)


BUSY = scene(32, killed={"n3": 4})
PLAIN = scene(0, "ascii", killed={"n3": 4})


def text(rows: list[Row]) -> str:
    return "\n".join(map(text_of, rows))


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(PAINTERS),
    st.sampled_from([BUSY, PLAIN]),
    st.integers(20, 200),
    st.integers(3, 60),
    st.integers(0, 2),
    st.integers(0, 4),
)
def test_rows_fill_exactly_their_rectangle(
    painter: Any, shown: Scene, width: int, height: int, mode: int, metric: int
) -> None:
    shown.choices.ring_mode, shown.choices.metric = mode, metric
    rows = painter(shown, width, height)
    assert len(rows) <= height
    for line in rows:
        assert row_width(fit(line, width)) == width
        assert row_width(line) <= width


@pytest.mark.parametrize("mode", [0, 1, 2])
def test_without_colour_owners_are_letters_and_the_dead_are_dots(mode: int) -> None:
    PLAIN.choices.ring_mode = mode
    drawn = text(paint_ring(PLAIN, 40, 16))
    assert drawn.isascii()
    for letter in "ABDE":
        assert letter in drawn
    assert drawn.count(".") > 5


def test_states_are_words_not_hues() -> None:
    nodes = text(paint_nodes(PLAIN, 100, 12))
    assert "DOWN" in nodes
    assert "x4" in nodes
    breakers = text(paint_breakers(PLAIN, 70, 20))
    assert "A -> C   OPEN" in breakers
    assert "5 of 5 failed in 2.0 s" in breakers
    assert "next probe in 3.2 s" in breakers


def test_heat_without_colour_uses_shades_and_names_owners() -> None:
    PLAIN.choices.metric = 0
    drawn = text(paint_heat(PLAIN, 80, 8))
    assert "%" in drawn
    assert "user:42" in drawn
    assert "\x1b" not in drawn
    PLAIN.choices.metric = 4
    assert " A " in text(paint_heat(PLAIN, 80, 8))
    PLAIN.choices.metric = 0


def test_a_found_key_and_a_change_in_flight_are_on_the_ring() -> None:
    shown = scene(0)
    coming = tuple((4, *owners[1:]) if owners[0] == 0 else owners for owners in OWNERS)
    change = ChangeProgress("join", "n5", "streaming", 900, 300, 10, 10, START_MS)
    snapshot = make_snapshot(13, owners=OWNERS)
    shown.model.apply(replace(snapshot, owners_next=coming, change=change, state="joint"))
    shown.choices.located = Located("user:42", HOT_SLOT, ("n3", "n4"))
    drawn = text(paint_ring(shown, 60, 25))
    assert "◆" in drawn
    assert "join n5" in drawn
    assert "300/900 slots" in drawn
    assert "9000: C D" in drawn
    assert "e" in drawn.replace("join", "").replace("ke", "")
    assert "MOVING" in text_of(paint_header(shown, 160))
    assert "streaming" in text_of(paint_context(shown, 160, "", False))


@pytest.mark.parametrize("levels", [0, 32])
@pytest.mark.parametrize("mode", [0, 1, 2])
def test_suspects_are_told_from_the_dead_on_the_ring(levels: int, mode: int) -> None:
    shown = scene(levels)
    shown.choices.ring_mode = mode
    assert "?" not in text(paint_ring(shown, 60, 25))
    snapshot = make_snapshot(13, owners=OWNERS, killed={"n3": 12})
    members = [
        replace(member, status="suspect", suspected_by=("n1", "n4"))
        if member.node_id == "n2"
        else member
        for member in snapshot.members
    ]
    shown.model.apply(replace(snapshot, members=tuple(members)))
    drawn = text(paint_ring(shown, 120, 25))
    assert drawn.count("?") > 5
    assert drawn.count("·") > 5
    assert "B n2 suspect (2 peers)" in drawn
    assert "C n3 DOWN" in drawn


@pytest.mark.parametrize("levels", [0, 32])
def test_a_kept_ring_is_painted_anew_when_anything_on_it_changes(levels: int) -> None:
    """Each step changes one thing; a scene that has kept nothing must paint the same."""
    shown = scene(levels)
    before = paint_ring(shown, 60, 25)
    shown.model.apply(make_snapshot(13, owners=OWNERS))
    assert all(new is old for new, old in zip(paint_ring(shown, 60, 25), before, strict=True))
    coming = tuple((4, *owners[1:]) if owners[0] == 0 else owners for owners in OWNERS)

    def move_cursor() -> None:
        shown.choices.cursor = "n4"

    def locate() -> None:
        shown.choices.located = Located("user:42", HOT_SLOT, ("n3", "n4"))

    def lose_colours() -> None:
        shown.look = Look(GLYPHS["ascii"], 0)

    steps = (
        move_cursor,
        locate,
        lambda: shown.model.apply(make_snapshot(14, owners=OWNERS, killed={"n3": 14})),
        lambda: shown.model.apply(replace(make_snapshot(15, owners=OWNERS), owners_next=coming)),
        lose_colours,
    )
    for step in steps:
        step()
        painted = paint_ring(shown, 60, 25)
        assert painted != before
        assert painted == paint_ring(replace(shown, slices_kept=None), 60, 25)
        before = painted
    assert paint_ring(shown, 50, 21) != before


@pytest.mark.parametrize("rows", [7, 13, 17, 25])
@pytest.mark.parametrize("nodes", [3, 5, 9])
def test_every_owner_has_its_letter_on_the_coloured_ring(rows: int, nodes: int) -> None:
    model = ClusterModel()
    for tick in (1, 2):
        model.apply(make_snapshot(tick, nodes, owners=make_owners(nodes), killed={"n2": 1}))
    shown = Scene(model, Choices(cursor=""), Look(GLYPHS["full"], 32))
    drawn = text(paint_ring(shown, 60, rows))
    for member in model.snapshot.members:
        assert member.letter in drawn.replace("DOWN", "")


def test_only_so_many_nodes_in_trouble_are_named_in_the_centre() -> None:
    shown = scene(0, killed={"n2": 4, "n3": 4, "n5": 4})
    drawn = text(paint_ring(shown, 60, 25))
    assert "B n2 DOWN" in drawn
    assert "and 2 more" in drawn


def test_moved_slots_are_dotted_and_fade() -> None:
    shown = scene(0)
    shown.choices.ring_mode = 1
    moved = tuple(
        (1, *rest[1:]) if slot < SLOTS_COUNT // 4 else rest for slot, rest in enumerate(OWNERS)
    )
    dots = []
    for tick in (13, 18, 21, 30):
        shown.model.apply(make_snapshot(tick, owners=moved))
        dots.append(text(paint_ring(shown, 60, 25)).count("·"))
    assert dots[0] > dots[1] > dots[2] > dots[3] == 0


def test_the_header_keeps_its_alarms_when_it_is_short() -> None:
    fault = ActiveFault("f", "kill", "n3", "kill n3", "you", START_MS)
    shown = scene(0, faults=[fault, replace(fault, fault_id="g")], killed={"n3": 4})
    shown.choices.frozen = True
    for width in (60, 80, 120):
        line = text_of(paint_header(shown, width))
        assert len(line) == width
        assert "2 FAULTS" in line
        assert "FROZEN" in line
        assert "UP 4/5" in line


def test_the_footer_shows_whole_words_and_dims_what_cannot_be_done() -> None:
    shown = scene(0)
    for width in (60, 80, 120, 160):
        line = text_of(paint_footer(shown, width, {}))
        assert len(line) == width
        assert "H Heal all" in line
        assert "~" not in line
    shown.capabilities = Capability.NONE
    dimmed = {span.text.strip() for span in paint_footer(shown, 80, {}) if span.style == "muted"}
    assert any("Fault" in words or words == "x" for words in dimmed)
    assert "h Heal all" in text_of(paint_footer(shown, 80, {"fault.heal": "h"}))


def test_a_flat_line_shows_its_height() -> None:
    bars = GLYPHS["full"].bars
    assert sparkline([5, 5, 5], 3, bars, 10) == bars[4] * 3 or sparkline([5], 1, bars, 10) in bars
    assert sparkline([0, 10], 4, bars) == "  " + bars[0] + bars[-1]


def test_faults_and_load_in_words() -> None:
    fault = ActiveFault("f", "latency", "*->n5", "latency 200±50 ms down", "you", 0, 14_000, 1200)
    assert fault_text(fault, 0) == "latency 200±50 ms down *->n5  by you  14s left  1.2k hits"
    assert load_text(None) == "no load generator"
    idle = scene(0)
    idle.model.apply(replace(make_snapshot(13), load=None))
    assert "o makes some" in text(paint_events(idle, 60, 30))
    idle.capabilities = Capability.NONE
    assert "no load generator" in text(paint_events(idle, 60, 30))
    assert "2.0k/2.0k op/s" in load_text(make_snapshot(1).load)


def test_a_tall_event_panel_wraps_and_a_short_one_cuts() -> None:
    shown = scene(0)
    shown.model.log.add_note(START_MS, "n2 has failed and stays a member: " + "words " * 30)
    tall = paint_events(shown, 34, 30)
    assert text_of(tall[1]).startswith(" " * 10)
    assert text_of(tall[2]).rstrip().endswith("~")
    assert all(row_width(line) <= 34 for line in tall)
    assert text_of(paint_events(shown, 34, 3)[0]).endswith("~")


def test_fit_cuts_with_a_sign_and_pads() -> None:
    assert text_of(fit((Span("abc"), Span("def")), 4)) == "abc~"
    assert text_of(fit((Span("abc   "),), 4)) == "abc "
    assert text_of(fit((), 3)) == "   "


@pytest.mark.parametrize("theme", load_themes()[0], ids=lambda theme: theme.name)
def test_every_style_that_is_painted_resolves(theme: Any) -> None:
    stylist = Stylist({**theme.variables, "foreground": theme.foreground}, 32)
    for painter in PAINTERS:
        for line in painter(BUSY, 150, 30):
            for span in line:
                stylist.style(span.style)
    assert stylist.style("owner-a").color != stylist.style("owner-b").color
    assert stylist.style("heat:0:31").color != stylist.style("heat:31:0").color
    assert stylist.style("alarm").bgcolor is not None
