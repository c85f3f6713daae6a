"""Keyspaces in words and on the sheet."""

from __future__ import annotations

import pytest

from console.actions import BY_ID
from console.errors import UsageError
from console.keyspace_text import keyspace_row, plan_lines, ttl_ms_of, ttl_text
from console.painters.keyspaces import keyspace_lines
from nodecore.node_keyspaces import shown
from nodecore.placement.topology import Keyspace

SHEET_COLUMNS = 72
"""Of a terminal of 80."""


@pytest.mark.parametrize(
    ("text", "ttl_ms", "back"),
    [
        ("30s", 30_000, "30s"),
        ("30", 30_000, "30s"),
        ("1.5h", 5_400_000, "90m"),
        ("250ms", 250, "250ms"),
        ("2d", 172_800_000, "2d"),
        ("0", 0, "-"),
    ],
)
def test_times_are_read_and_written(text: str, ttl_ms: int, back: str) -> None:
    assert ttl_ms_of(text) == ttl_ms
    assert ttl_text(ttl_ms) == back


@pytest.mark.parametrize("text", ["", "s", "-1s", "1 week", "1e3", "nan", "3x"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="no time"):
        ttl_ms_of(text)


def test_a_plan_says_what_changes_and_what_follows() -> None:
    planned = {
        "pattern": "a:*",
        "before": None,
        "after": shown(Keyspace("a:*", n=2)),
        "changes": [
            {"setting": "n", "from": 3, "to": 2},
            {"setting": "ttl_ms", "from": 0, "to": 60_000},
            {"setting": "write_through", "from": False, "to": True},
        ],
        "effects": ["each key loses 1 copy"],
    }
    assert plan_lines(planned) == [
        "a:*: gets a policy of its own",
        "n: 3 -> 2",
        "ttl: - -> 1m",
        "write-through: false -> true",
        "note: each key loses 1 copy",
    ]
    gone = {**planned, "before": planned["after"], "after": None, "changes": [], "effects": []}
    assert "loses its policy" in plan_lines(gone)[0]
    assert plan_lines({**planned, "before": planned["after"]}) == ["a:*: nothing changes"]


def test_the_sheet_fits_and_shows_every_policy() -> None:
    keyspaces = [
        Keyspace(),
        Keyspace("strong:*", mode="strong", durability="process"),
        Keyspace("p" * 100 + "*", n=16, w=16, r=16, ttl_ms=315_360_000_000, durability="process",
                 on_partition="read-only", write_through=True),
        Keyspace("\x1b[31m*", w=3, w_past=1),
    ]  # fmt: skip
    lines = keyspace_lines(keyspaces, "default", read_only=False)
    assert max(map(len, lines)) <= SHEET_COLUMNS
    text = "\n".join(lines)
    assert "\x1b" not in text
    for word in ("3/2/1", "16/16/16", "read-only", "through", "strong", "a miss needs 3 owners"):
        assert word in text
    assert "ringdeck keyspace set" in text
    assert "ringdeck keyspace set" not in "\n".join(keyspace_lines(keyspaces, "d", read_only=True))
    assert "not known" in keyspace_lines([], "default", read_only=False)[0]


def test_a_row_of_the_list() -> None:
    row = keyspace_row(shown(Keyspace("a:*", ttl_ms=5000, write_through=True)))
    assert row == ("a:*", "eventual", 3, 2, 1, "5s", "memory", "available", "yes")


def test_the_view_is_an_action_like_any_other() -> None:
    assert BY_ID["view.keyspaces"].keys == "K"
