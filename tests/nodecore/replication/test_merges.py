"""Merge reports: when a merge begins and ends, and that it tells differences of counters."""

from __future__ import annotations

from nodecore.effects import Emit
from nodecore.ids import NodeId
from nodecore.replication.merges import (
    MERGE_S_MAX,
    REPORTS_KEPT,
    MergeFigures,
    Merges,
)
from nodecore.replication.separations import NOTICE_MS, Span
from tests.nodecore.replication.change_fakes import moment

B, C = NodeId("b"), NodeId("c")


def away(peer: NodeId, from_s: float, until_s: float) -> Span:
    return Span(peer, moment(from_s).wall_ms - NOTICE_MS, moment(until_s).wall_ms)


class Home:
    """A node whose counters the test moves."""

    def __init__(self) -> None:
        self.figures = MergeFigures(hints_delivered=100, conflicts_won_here=7, rounds=3)
        self.hints = 0
        self.events: list[Emit] = []
        self.rooms = Merges(lambda: self.figures, lambda _peer: self.hints, self.events.append)


def test_a_merge_ends_when_hints_are_gone_and_a_whole_round_has_passed() -> None:
    home = Home()
    home.hints = 5
    home.rooms.tick([], [away(B, 10, 30)], moment(30))
    (running,) = home.rooms.reports
    assert (running.ended_wall_ms, running.end) == (0, "")
    home.figures = MergeFigures(105, 2, 4, 9, 1, 16_384, 12, rounds=4)
    home.hints = 0
    home.rooms.tick([], [], moment(40))
    assert home.events == [], "the round that ran at the return does not count"
    home.figures = MergeFigures(105, 2, 4, 9, 1, 16_384, 12, rounds=5)
    home.rooms.tick([], [], moment(41))
    (report,) = home.rooms.reports
    assert report.end == "complete"
    assert report.apart_since_wall_ms == moment(10).wall_ms
    plain = report.to_plain()
    assert plain["peers"] == ["b"]
    assert (plain["hints_delivered"], plain["hints_taken"], plain["keys_repaired"]) == (5, 2, 4)
    assert (plain["conflicts_won_here"], plain["conflicts_won_there"]) == (2, 1)
    assert plain["conflicts_resolved"] == 3
    (event,) = home.events
    assert event.kind == "merge.report"
    assert "merged with b after 20.0 s apart (complete): 5 hints delivered" in event.text


def test_what_came_before_the_return_was_noticed_counts_but_earlier_comparisons_do_not() -> None:
    home = Home()
    home.rooms.tick([Span(B, moment(10).wall_ms, 0)], [], moment(10))
    home.figures = MergeFigures(hints_delivered=100, hints_taken=6, slots_compared=500, rounds=7)
    home.rooms.tick([], [away(B, 10, 30)], moment(30))
    (report,) = home.rooms.reports
    assert (report.figures.hints_taken, report.figures.slots_compared) == (6, 0)


def test_waiting_hints_keep_it_open_until_it_has_taken_too_long() -> None:
    home = Home()
    home.hints = 1
    home.rooms.tick([], [away(B, 10, 30)], moment(30))
    home.figures = MergeFigures(rounds=9)
    home.rooms.tick([], [], moment(30 + MERGE_S_MAX))
    assert home.events == []
    home.rooms.tick([], [], moment(31 + MERGE_S_MAX))
    assert [report.end for report in home.rooms.reports] == ["too-long"]


def test_peers_that_return_later_join_and_a_new_separation_cuts_it_short() -> None:
    home = Home()
    home.rooms.tick([], [away(B, 10, 30)], moment(30))
    home.rooms.tick([], [away(C, 8, 31)], moment(31))
    home.rooms.tick([Span(C, moment(32).wall_ms, 0)], [], moment(33))
    (report,) = home.rooms.reports
    assert report.peers == ("b", "c")
    assert report.end == "apart-again"
    assert report.apart_since_wall_ms == moment(8).wall_ms
    home.rooms.tick([Span(B, moment(35).wall_ms, 0)], [], moment(36))
    assert len(home.events) == 1, "nothing runs that could be cut short"


def test_short_separations_are_not_reported_and_history_is_bounded() -> None:
    home = Home()
    home.rooms.tick([], [away(B, 10, 12)], moment(12))
    assert home.rooms.reports == []
    for number in range(REPORTS_KEPT + 5):
        at_s = 100.0 * number
        home.rooms.tick([], [away(B, at_s, at_s + 10)], moment(at_s + 10))
        home.rooms.tick([Span(B, moment(at_s + 20).wall_ms, 0)], [], moment(at_s + 20))
    numbers = [report.number for report in home.rooms.reports]
    assert numbers == list(range(6, REPORTS_KEPT + 6))
