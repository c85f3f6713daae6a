"""Following a log: nothing twice, nothing missed, also when it is rotated."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from console.runtime.log_follower import follow_lines, log_size
from console.runtime.state_dir import tail


def write(path: Path, text: str) -> None:
    with path.open("a") as file:
        file.write(text)


def followed(
    path: Path, position: int, steps: Sequence[Callable[[], None]], count: int
) -> list[str]:
    """The first ``count`` lines; whenever there is none to read, the next step happens."""
    waiting = list(steps)

    def pause(_seconds: float) -> None:
        waiting.pop(0)()

    lines = follow_lines(path, position, pause)
    found = [next(lines) for _ in range(count)]
    assert waiting == []
    return found


def test_lines_between_the_end_and_the_following_are_not_lost(tmp_path: Path) -> None:
    path = tmp_path / "node.log"
    write(path, "one\ntwo\n")
    end = log_size(path)
    write(path, "three\n")
    assert tail(path, 5, end) == ["one", "two"]
    steps = [lambda: write(path, "fo"), lambda: write(path, "ur\nfive\n")]
    assert followed(path, end, steps, 3) == ["three", "four", "five"]


def test_a_rotated_log_is_read_to_its_end_first(tmp_path: Path) -> None:
    path = tmp_path / "node.log"
    write(path, "old\n")

    def rotate() -> None:
        write(path, "last\n")
        path.rename(tmp_path / "node.log.1")
        write(path, "first\n")

    assert followed(path, log_size(path), [rotate], 2) == ["last", "first"]


def test_a_log_that_does_not_exist_yet_is_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "node.log"
    assert log_size(path) == 0
    steps = [lambda: None, lambda: write(path, "begins\n")]
    assert followed(path, 0, steps, 1) == ["begins"]
