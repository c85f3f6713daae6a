"""``ringdeck policy-sim``: results, formats, and what it says about bad input."""

from __future__ import annotations

import gzip
import io
import json
import struct
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import zstandard

from console.cli import run
from console.policy_comparison import Finding, bar, chart_lines, parse_capacities
from tests.nodecore.storage.eviction.replay import misses, zipf

REQUESTS = zipf(3000, 400, 0.9, 4)
LINES = b"".join(b"%d\n" % number for number in REQUESTS)
SIZED = b"".join(b"%d,%d\n" % (number, 50 + number) for number in REQUESTS)


def findings(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[dict[str, object]]:
    code = run(["policy-sim", "--json", *arguments])
    captured = capsys.readouterr()
    assert code == 0, captured.err
    found = json.loads(captured.out)
    assert isinstance(found, list)
    return found


def test_every_format_gives_the_same_misses(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    numbers = struct.pack(f"<{len(REQUESTS)}I", *REQUESTS)
    halves = LINES[:5000], LINES[5000:]
    files = {
        "t.txt": LINES,
        "t.gz": gzip.compress(LINES),
        "parts.gz": b"".join(map(gzip.compress, halves)),
        "t.zst": zstandard.compress(LINES),
        "parts.zst": b"".join(map(zstandard.compress, halves)),
        "t.u32": numbers,
        "u32.gz": gzip.compress(numbers),
    }
    counted = set()
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
        format_ = ["--format", "u32le"] if "u32" in name else []
        found = findings(capsys, str(tmp_path / name), "-c", "50", "-p", "s3fifo", *format_)
        counted.add(tuple((one["policy"], one["misses"]) for one in found))
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(LINES)))
    found = findings(capsys, "-", "-c", "50", "-p", "s3fifo")
    counted.add(tuple((one["policy"], one["misses"]) for one in found))
    assert len(counted) == 1
    from nodecore.storage.eviction import make_policy

    assert found[1]["misses"] == misses(make_policy("s3fifo", 50, True), 50, REQUESTS)


def test_json_names_policy_capacity_and_ratios(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(SIZED)
    found = findings(capsys, str(path), "--capacity", "4k,1000", "--policy", "lru,lfu,lfu:aged")
    assert (found[0]["capacity"], found[0]["policy"]) == (1000, "pfoo-l")
    assert {one["policy"] for one in found} == {"pfoo-l", "lru", "lfu", "lfu:aged"}
    assert {one["capacity"] for one in found} == {1000, 4096}
    for one in found:
        assert list(one) == [
            "policy", "capacity", "requests", "misses",
            "miss_ratio", "byte_miss_ratio", "ns_per_request",
        ]  # fmt: skip
        assert one["requests"] == 3000
        assert one["miss_ratio"] == one["misses"] / 3000  # type: ignore[operator]


def test_table_and_chart_show_every_policy_beside_the_optimum(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "t.txt"
    path.write_bytes(LINES)
    assert run(["policy-sim", str(path), "-c", "20"]) == 0
    captured = capsys.readouterr()
    for name in ("belady", "s3fifo", "adaptive", "gdsf", "lfu:aged"):
        assert captured.out.count(f" {name} ") == 2
    assert "miss ratio at 20 objects" in captured.out
    assert "exact optimum" in captured.err


@pytest.mark.parametrize(
    ("name", "data", "arguments", "message"),
    [
        ("t.txt", b"", [], "empty"),
        ("t.csv", b"a,1\nb\n", ["--format", "csv"], "line 2: expected key,size"),
        ("t.u32", b"12345", ["--format", "u32le"], "byte 4: 1 bytes are left over"),
        ("t.gz", gzip.compress(LINES, mtime=0)[:-9], [], "cut off"),
        ("t.gz", LINES, [], "damaged or not packed"),
        ("t.zst", zstandard.compress(LINES)[:-9], [], "cut off"),
        ("t.zst", LINES, [], "damaged or not packed"),
        ("t.txt", LINES, ["-c", "0"], "must lie between 1"),
        ("t.txt", LINES, ["-c", "-4"], "expected numbers"),
        ("t.txt", LINES, ["-c", "ten"], "expected numbers"),
        ("t.txt", LINES, ["-c", "1,"], "expected numbers"),
        ("t.txt", LINES, ["-p", "best"], "no policy 'best'"),
        ("t.txt", LINES, ["-p", ","], "name at least one"),
        ("t.txt", LINES, ["--format", "xml"], "must be one of"),
    ],
    ids=lambda value: "packed" if isinstance(value, bytes) and len(value) > 16 else None,
)
def test_bad_input_is_2_and_says_why(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    name: str,
    data: bytes,
    arguments: list[str],
    message: str,
) -> None:
    path = tmp_path / name
    path.write_bytes(data)
    capacity = [] if "-c" in arguments else ["-c", "10"]
    assert run(["policy-sim", str(path), *capacity, *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert message in captured.err


def test_a_missing_file_is_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["policy-sim", "/no/such/trace", "-c", "10"]) == 2
    assert "No such file" in capsys.readouterr().err


def test_capacities_are_distinct_and_ascending() -> None:
    assert parse_capacities("2k, 10,10,1MiB") == (10, 2048, 1 << 20)


def test_bars_grow_with_the_ratio_and_need_no_unicode() -> None:
    assert [len(bar(ratio, unicode=False)) for ratio in (0, 0.5, 1, 2)] == [0, 20, 40, 40]
    assert bar(1.0, unicode=True) == "█" * 40
    assert bar(1 / 80, unicode=True) == "▌"
    lines = chart_lines([Finding("lru", 10, 4, 2, 0.5, 0.5, 1.0)], in_bytes=True, unicode=False)
    assert lines == ["miss ratio at 10B", "  lru  50.0% " + "#" * 20]
