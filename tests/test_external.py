"""The rule for absent programs."""

from __future__ import annotations

from tests.external import MAY_BE_ABSENT, REQUIRE, find_absent, judge


def only_redis(name: str) -> str | None:
    return f"/usr/bin/{name}" if name.startswith("redis") else None


def test_present_programs_let_a_test_run() -> None:
    assert find_absent(["redis-cli", "redis-benchmark"], only_redis) == []
    assert judge([], {REQUIRE: "1"}) is None


def test_an_absent_program_skips_with_its_name() -> None:
    assert find_absent(["redis-cli", "nginx"], only_redis) == ["nginx"]
    verdict = judge(["nginx"], {})
    assert verdict is not None
    assert not verdict.fails
    assert "nginx" in verdict.text


def test_a_required_program_that_is_absent_fails() -> None:
    verdict = judge(["promtool", "nginx"], {REQUIRE: "1"})
    assert verdict is not None
    assert verdict.fails
    assert "nginx" in verdict.text
    assert "promtool" not in verdict.text


def test_allowed_absences_say_why() -> None:
    for name, reason in MAY_BE_ABSENT.items():
        verdict = judge([name], {REQUIRE: "1"})
        assert verdict is not None
        assert not verdict.fails
        assert reason in verdict.text
