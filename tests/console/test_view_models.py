"""View models: rates, ownership, breakers, heat, the log, sorting and filtering."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.source import ActiveFault, MemberRow, ProcessState
from console.view_models.breakers import breaker_lines, breaker_matrix, short_lines
from console.view_models.cluster import ClusterModel
from console.view_models.events import LOG_LINES_MAX, EventLog
from console.view_models.heat import (
    STEP_COLUMNS,
    HeatHistory,
    diagnosis,
    group_bands,
    hottest_run,
    level,
    nice_top,
)
from console.view_models.nodes import fault_word, faults_of, key_filter, matches, state_word
from console.view_models.rates import node_rates, quantile_ms
from console.view_models.ring import arc_owners, ring_geometry, slice_owners
from nodecore.ids import SLOTS_COUNT
from nodecore.statistics import HEAT_BANDS, LATENCY_BOUNDS_US, BreakerState, EventRecord, KeyHeat
from tests.console.fakes import START_MS, make_owners, make_snapshot, make_statistics


def filled(ticks: int = 3, **options: object) -> ClusterModel:
    model = ClusterModel()
    owners = make_owners(5)
    for tick in range(1, ticks + 1):
        model.apply(make_snapshot(tick, owners=owners, **options))  # type: ignore[arg-type]
    return model


def test_rates_are_differences_over_the_nodes_own_clock() -> None:
    first = make_statistics("n1", 10, ["n1"], reads=1000, writes=100, hits=900, misses=100)
    later = replace(first, at_wall_ms=first.at_wall_ms + 2000, reads=3000, writes=300, hits=2500)
    rates = node_rates(first, later)
    assert rates is not None
    assert (rates.reads, rates.writes, rates.ops, rates.hits) == (1000.0, 100.0, 1100.0, 800.0)


@pytest.mark.parametrize(
    "change", [{"reads": 0}, {"pid": 1}, {"at_wall_ms": START_MS + 10_000}, {"writes": 0}]
)
def test_a_restart_gives_no_rate_instead_of_a_negative_one(change: dict[str, int]) -> None:
    first = make_statistics("n1", 10, ["n1"])
    later = replace(first, **{"at_wall_ms": first.at_wall_ms + 1000, **change})  # type: ignore[arg-type]
    assert node_rates(first, later) is None


def test_quantiles_interpolate_inside_a_bucket_and_stop_at_the_last_bound() -> None:
    counts = [0] * (len(LATENCY_BOUNDS_US) + 1)
    assert quantile_ms(counts, 0.5) is None
    counts[3] = 100
    assert quantile_ms(counts, 0.5) == pytest.approx(0.35)
    counts = [0] * len(LATENCY_BOUNDS_US) + [7]
    assert quantile_ms(counts, 0.99) == LATENCY_BOUNDS_US[-1] / 1000


@given(st.lists(st.integers(0, 1000), min_size=16, max_size=16), st.floats(0.01, 0.99))
def test_quantiles_rise(counts: list[int], quantile: float) -> None:
    low, high = quantile_ms(counts, quantile / 2), quantile_ms(counts, quantile)
    assert (low is None) == (high is None)
    if low is not None and high is not None:
        assert low <= high


def test_the_process_is_believed_before_the_peers() -> None:
    member = MemberRow("n1", "A", "alive", ProcessState.EXITED)
    assert state_word(member) == "DOWN"
    assert state_word(replace(member, process=ProcessState.PAUSED, status="suspect")) == "PAUSED"
    assert state_word(replace(member, process=ProcessState.UNKNOWN, status="failed")) == "DOWN"
    assert state_word(replace(member, process=ProcessState.UNKNOWN, status="unknown")) == "?"
    assert state_word(replace(member, process=ProcessState.RUNNING, status="left")) == "outside"
    assert state_word(replace(member, status="left")) == "left"


def test_a_dead_node_keeps_no_figures() -> None:
    model = filled(4, killed={"n3": 2})
    row = model.row("n3")
    assert row is not None
    assert (row.state, row.keys, row.ops, row.open_count) == ("DOWN", None, 0.0, 4)
    assert model.summary.up == 4
    assert model.live == frozenset({0, 1, 3, 4})


def test_filter_words_all_hold_and_can_be_inverted() -> None:
    model = filled(4, killed={"n3": 2})
    down = next(row for row in model.rows if row.node_id == "n3")
    up = next(row for row in model.rows if row.node_id == "n1")
    assert matches(down, "open")
    assert not matches(down, "!open")
    assert not matches(up, "down")
    assert matches(up, "!down n1")
    assert matches(up, "key:user")
    assert key_filter("up key:user") == "user"


def test_faults_are_found_by_what_they_reach() -> None:
    def fault(kind: str, target: str, text: str = "") -> ActiveFault:
        return ActiveFault("f", kind, target, text, "you", 0)

    faults = [fault("kill", "n1"), fault("latency", "n2->n1, client->n1"), fault("eio", "n1:disk")]
    assert len(faults_of("n1", [*faults, fault("cut", "n1->n2")])) == 3
    assert fault_word(fault("latency", "x", "latency 200±50 ms down")) == "lat200"


def test_shares_and_moves_come_from_the_slot_table() -> None:
    model = filled(2)
    shares = model.ring.shares
    assert shares is not None
    assert sum(shares) == pytest.approx(1.0)
    owners = make_owners(5)
    changed = tuple((2, *rest[1:]) if slot < 1000 else rest for slot, rest in enumerate(owners))
    model.apply(make_snapshot(9, owners=changed))
    expected = {slot for slot in range(1000) if owners[slot][0] != 2}
    assert model.ring.moved == expected
    assert model.ring.moved_to[0][0] == "n3"
    assert model.log.lines[-1].text.startswith("ring: ")
    assert "C " in model.log.lines[-1].text
    assert model.ring.moved_age(START_MS + 9_000) == 0.0
    assert model.ring.moved_age(START_MS + 30_000) is None


@given(st.integers(5, 40))
def test_every_pixel_of_the_ring_names_an_arc(rows: int) -> None:
    geometry = ring_geometry(rows)
    seen = {arc for line in geometry.outer for arc in line if arc >= 0}
    assert len(geometry.outer) == rows * 2 == geometry.columns
    assert max(seen) < geometry.arcs
    assert len(seen) > 0.8 * geometry.arcs


@given(st.integers(1, 300), st.integers(1, 7))
def test_arcs_cover_the_circle(arcs: int, nodes: int) -> None:
    owners = make_owners(nodes, 4)
    assert len(arc_owners(owners, arcs)) == arcs
    assert len(slice_owners([1 / nodes] * nodes, arcs)) == arcs


def test_the_matrix_is_quiet_when_closed_and_loud_when_open() -> None:
    assert breaker_matrix(make_snapshot(3)).is_quiet
    matrix = breaker_matrix(make_snapshot(3, killed={"n3": 2}))
    assert matrix.cells[0][2].text == "x5"
    assert matrix.cells[2][0].text == " "
    assert matrix.cells[1][1].text == "-"
    caller, callee, breaker = matrix.troubled[0]
    assert (caller, callee) == ("A", "C")
    assert "OPEN" in breaker_lines(caller, callee, breaker, 0)[0]
    assert short_lines(matrix.troubled, 2) == ["A->C x  err 100%", "  retry in 3.2s"]


def test_half_open_shows_probes() -> None:
    half = BreakerState("n2", "half-open", 1, 0.5, 0.0, 20, probes_ok=1, probes_needed=3)
    assert short_lines([("A", "B", half)], 3) == ["A->B ~  probe 1/3"]


def test_repeats_fold_into_one_line_and_the_log_is_bounded() -> None:
    log = EventLog()
    for second in range(4):
        log.add_event(EventRecord(second, second * 1000, "n1", "breaker", "opened"))
    assert [line.count for line in log.lines] == [4]
    log.add_event(EventRecord(9, 60_000, "n1", "breaker", "opened"))
    assert len(log.lines) == 2
    for index in range(LOG_LINES_MAX + 50):
        log.add_event(EventRecord(index, index, "n2", "x", f"event {index}"))
    assert len(log.lines) == LOG_LINES_MAX


def test_event_text_cannot_steer_the_terminal() -> None:
    log = EventLog()
    line = log.add_event(EventRecord(1, 0, "n1", "x", "a\x1b[2Jb\x9b1m"))
    assert line.text == "a\\x1b[2Jb\\x9b1m"


def test_heat_columns_stand_for_measured_rates() -> None:
    model = filled(3)
    bands = model.heat.columns[-1].bands
    assert len(bands) == HEAT_BANDS
    assert sum(bands) == pytest.approx(model.summary.ops or 0.0)


@pytest.mark.parametrize("ticks", [1, 9, 10, 11, 18, 19, 40])
def test_the_map_moves_in_steps_and_always_ends_with_now(ticks: int) -> None:
    heat = HeatHistory()
    for tick in range(ticks):
        heat.apply(make_snapshot(tick), {})
    shown = heat.visible(10)
    assert len(shown) <= 10
    assert shown[-1].at_wall_ms == START_MS + (ticks - 1) * 1000
    if ticks > 10:
        assert len(shown) > 10 - STEP_COLUMNS


def test_levels_are_zero_only_for_nothing() -> None:
    assert level(0, 100, 32) == 0
    assert level(0.001, 100, 32) == 1
    assert level(1e9, 100, 32) == 31
    assert nice_top(880) == 1000
    assert nice_top(1000) == 1000
    assert nice_top(1001) == 1500


def test_grouping_loses_no_load() -> None:
    bands = [float(index) for index in range(HEAT_BANDS)]
    for groups in (1, 4, 11, 30, 128):
        assert sum(group_bands(bands, groups)) == sum(bands)


def hot(rate: float, slot: int = 0) -> tuple[KeyHeat, str]:
    return KeyHeat(b"user:42", rate, 0.0, slot), "n1"


def test_the_diagnosis_tells_a_key_from_a_range_from_a_node() -> None:
    even = [10.0] * HEAT_BANDS
    assert diagnosis(even, [], {}, {}) == ("load is spread evenly",)
    single = [800.0, *even[1:]]
    assert diagnosis(single, [hot(790.0)], {}, {})[0].startswith("single key user:42")
    run = [*even[:20], 300.0, 300.0, 300.0, 300.0, *even[24:]]
    assert diagnosis(run, [hot(5.0)], {}, {})[0] == "neighbouring slots 2560-3071"
    rates = filled(3).rates["n1"]
    assert rates is not None
    busy = {"n1": replace(rates, ops=900.0), "n2": replace(rates, ops=100.0)}
    assert diagnosis(even, [], {"n1": 0.5, "n2": 0.5}, busy)[0] == "n1 serves 90%"
    assert diagnosis([0.1] * HEAT_BANDS, [], {}, {})[0].startswith("little load")


def test_the_hottest_run_is_found() -> None:
    bands = [1.0] * HEAT_BANDS
    bands[50] = 500.0
    (low, high), share = hottest_run(bands)
    assert (low, high) == (50, 51)
    assert share > 0.75


def test_a_frozen_model_does_not_move() -> None:
    model = filled(3)
    frozen = model.clone()
    lines, columns = len(frozen.log.lines), len(frozen.heat.columns)
    model.log.add_note(0, "later")
    model.apply(make_snapshot(9, owners=make_owners(5)))
    assert (len(frozen.log.lines), len(frozen.heat.columns)) == (lines, columns)
    assert frozen.snapshot.sequence != model.snapshot.sequence


def test_nodes_that_are_gone_are_forgotten() -> None:
    model = filled(3)
    model.apply(make_snapshot(4, nodes=2, owners=make_owners(2)))
    assert set(model.trends) == {"n1", "n2"}


def test_unknown_fields_are_no_reason_to_fail() -> None:
    model = ClusterModel()
    snapshot = make_snapshot(1)
    bare = tuple(MemberRow(m.node_id, m.letter, "unknown") for m in snapshot.members)
    unknown = replace(
        snapshot, members=bare, owners=None, epoch=None, replicas=None, load=None, hot_keys=()
    )
    model.apply(unknown)
    assert model.summary.ops is None
    assert model.ring.shares is None
    assert [row.state for row in model.rows] == ["?"] * 5
    assert len(make_owners(5)) == SLOTS_COUNT


def link_event(node: str, peer: str, word: str, at_ms: int = 0, reason: str = "") -> EventRecord:
    text = f"data link to {peer} is {word}{reason}"
    return EventRecord(0, at_ms, node, f"link.{word}", text)


def test_what_several_nodes_say_is_one_line() -> None:
    log = EventLog()
    for node in ("n2", "n1"):
        log.add_event(EventRecord(1, 0, node, "topology.epoch", "epoch 2"))
    assert [(line.source, line.text, line.count) for line in log.lines] == [("n1 n2", "epoch 2", 1)]
    for node in ("n3", "n4", "n4"):
        log.add_event(EventRecord(1, 0, node, "topology.epoch", "epoch 2"))
    assert [(line.source, line.count) for line in log.lines] == [("4 nodes", 2)]


def test_links_that_come_up_together_are_one_line() -> None:
    log = EventLog()
    nodes = [f"n{number}" for number in range(1, 6)]
    for node in nodes:
        for peer in nodes:
            if node != peer:
                log.add_event(link_event(node, peer, "up"))
    assert [line.text for line in log.lines] == ["data links are up: n1 n2 n3 n4 n5"]
    assert log.lines[0].source == ""
    log.add_event(link_event("n1", "n2", "up", at_ms=60_000))
    assert log.lines[1].text == "data link to n2 is up"


def test_a_lost_node_is_one_line_with_the_first_reason() -> None:
    log = EventLog()
    log.add_event(link_event("n1", "n3", "down", reason=": reset"))
    log.add_event(link_event("n2", "n3", "down", reason=": end of file"))
    assert [(line.source, line.text) for line in log.lines] == [
        ("n1 n2", "data link to n3 is down: reset")
    ]
    log.add_event(link_event("n1", "n3", "up"))
    assert len(log.lines) == 2


def test_the_parts_of_a_fault_are_one_line() -> None:
    log = EventLog()
    for node, link, suffix in (
        ("n1", "n1->n3", ""),
        ("n3", "client->n3", ""),
        ("n3", "n3->*", ".2"),
    ):
        text = f"cut both on {link} (cut-1{suffix}, by cli)"
        event = EventRecord(1, 0, node, "fault.added", text, fields={"id": f"cut-1{suffix}"})
        log.add_event(event)
    assert [(line.source, line.text) for line in log.lines] == [("n1 n3", "cut both on n3")]


def test_who_calls_a_member_failed_does_not_matter() -> None:
    log = EventLog()
    for node, sayers in (("n1", "n1"), ("n2", "n1, n2")):
        text = f"n3 is failed (says {sayers})"
        log.add_event(EventRecord(1, 0, node, "member.failed", text))
    assert [(line.source, line.text) for line in log.lines] == [("n1 n2", "n3 is failed")]


def test_a_dead_node_s_breakers_do_not_flood_the_log() -> None:
    log = EventLog()
    for second in range(0, 40, 2):
        for node in ("n1", "n2"):
            for change in ("open -> half-open", "half-open -> open"):
                text = f"breaker to n3 {change}: probe failed {second}"
                log.add_event(EventRecord(1, second * 1000, node, "breaker.state", text))
    assert [(line.source, line.count) for line in log.lines] == [("n1 n2", 20)] * 2
    log.add_event(
        EventRecord(1, 50_000, "n1", "breaker.state", "breaker to n3 half-open -> closed")
    )
    assert log.lines[-1].text == "breaker to n3 half-open -> closed"


def test_a_frozen_log_does_not_change() -> None:
    log = EventLog()
    log.add_event(EventRecord(1, 0, "n1", "x", "same"))
    copy = log.clone()
    log.add_event(EventRecord(1, 0, "n2", "x", "same"))
    assert copy.lines[0].source == "n1"


def test_the_end_of_a_process_is_told_once() -> None:
    model = filled(2)
    for tick in (3, 4):
        model.apply(make_snapshot(tick, owners=make_owners(5), killed={"n3": 2}))
    told = [line.text for line in model.log.lines if "process is gone" in line.text]
    assert told == ["n3: its process is gone (exit -9)"]
    found_dead = filled(3, killed={"n3": 2})
    assert not any("process is gone" in line.text for line in found_dead.log.lines)
