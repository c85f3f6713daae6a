"""What a person is told about an answer beside its value."""

from __future__ import annotations

from console.runtime.data_commands import remarks
from nodecore.client.quality import AnswerQuality
from nodecore.requests import Flag


def test_plain_answers_need_no_words() -> None:
    quality = AnswerQuality()
    quality.note(0, 3)
    assert remarks(quality) == []


def test_answers_of_lesser_quality_say_so() -> None:
    quality = AnswerQuality()
    quality.note(Flag.SLOPPY, 1)
    quality.note(Flag.DEGRADED | Flag.STALE)
    sloppy, degraded, stale = remarks(quality)
    assert sloppy == "sloppy: written with 1 copy, fewer than the keyspace asks for"
    assert degraded.startswith("degraded: too few owners")
    assert stale.startswith("stale: ")
