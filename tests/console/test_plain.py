"""The console without a screen: words and JSON."""

from __future__ import annotations

import json
import subprocess
import sys

from console.plain import JsonRenderer, PlainRenderer
from console.source import ActiveFault
from nodecore.statistics import EventRecord
from tests.console.fakes import START_MS, make_owners, make_snapshot

OWNERS = make_owners(5)


def test_changes_are_lines_of_words_and_nothing_repeats() -> None:
    plain = PlainRenderer()
    first = plain.lines(make_snapshot(1, owners=OWNERS))
    assert "22:13:21 node n1 is up" in first
    second = plain.lines(make_snapshot(2, owners=OWNERS))
    assert len(second) == 1
    assert "status: 5 of 5 nodes up" in second[0]
    assert plain.lines(make_snapshot(3, owners=OWNERS)) == []


def test_a_kill_is_told_from_every_side() -> None:
    plain = PlainRenderer()
    plain.lines(make_snapshot(1, owners=OWNERS))
    fault = ActiveFault("f1", "kill", "n3", "kill", "you", START_MS)
    event = EventRecord(1, START_MS + 2000, "n1", "member", "n3 \x1b[1m failed", "warning")
    text = "\n".join(
        plain.lines(make_snapshot(2, killed={"n3": 1}, faults=[fault], events=[event]))
    )
    assert "n1 warning: n3 \\x1b[1m failed" in text
    assert "node n3 is down, exit -9 at 12:03:41" in text
    assert "breaker n1 to n3 is open" in text
    assert "fault begins: kill on n3" in text
    after = "\n".join(plain.lines(make_snapshot(3, owners=OWNERS)))
    assert "fault ends: kill on n3" in after
    assert "breaker n1 to n3 is closed" in after


def test_a_status_line_comes_every_ten_seconds() -> None:
    plain = PlainRenderer()
    told = [
        tick
        for tick in range(1, 35)
        if any("status:" in line for line in plain.lines(make_snapshot(tick, owners=OWNERS)))
    ]
    assert told == [2, 12, 22, 32]


def test_plain_text_is_printable() -> None:
    plain = PlainRenderer()
    for tick in range(1, 12):
        for line in plain.lines(make_snapshot(tick, owners=OWNERS)):
            assert line.isprintable()


def test_json_is_one_object_a_line() -> None:
    renderer = JsonRenderer()
    renderer.lines(make_snapshot(1, owners=OWNERS))
    event = EventRecord(1, START_MS, "n1", "member", "n3 failed")
    lines = renderer.lines(make_snapshot(2, owners=OWNERS, killed={"n3": 1}, events=[event]))
    objects = [json.loads(line) for line in lines]
    assert [entry["type"] for entry in objects] == ["event", "tick"]
    nodes = {node["id"]: node for node in objects[1]["nodes"]}
    assert nodes["n3"]["state"] == "down"
    assert nodes["n1"]["ops_per_s"] > 0
    assert objects[1]["hot_keys"][2]["key"] == "cart:\\x1b[31m7"


def test_no_screen_library_is_loaded() -> None:
    code = "import sys, console.plain; print({'textual', 'rich'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
