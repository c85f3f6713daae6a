"""Outcomes of replications: joint epochs, refusals, sloppy and strict ends."""

from __future__ import annotations

from nodecore.errors import Code
from nodecore.ids import Epoch, Incarnation, NodeId, Version
from nodecore.placement.topology import Keyspace
from nodecore.replication.job import Claim, Job, Part
from nodecore.replication.quorum import Verdict
from nodecore.requests import Done, Failed, Flag, Level, Unknown
from nodecore.routing import Route

A, B, C, D, E = (NodeId(name) for name in "abcde")
EPOCH, LIFE = Epoch(4), Incarnation(1)
VERSION = Version(9 << 16, 1)


def make(
    owners: tuple[NodeId, ...] = (A, B, C),
    following: tuple[NodeId, ...] | None = None,
    level: Level = Level.DEFAULT,
    keys: tuple[bytes, ...] = (b"k",),
    keyspace: Keyspace | None = None,
) -> tuple[Job, Part]:
    route = Route(A, owners, following, keyspace or Keyspace())
    claim = Claim(range(len(keys)), lambda _outcome, _now: None)
    job = Job(keys, keys, 0, VERSION, 0, level, [claim])
    part = Part(route, list(range(len(keys))), level, EPOCH)
    job.begin_round([part])
    job.waiting = len(route.targets)
    return job, part


def end(job: Job, part: Part, acks: str, fails: str = "") -> None:
    for name in acks:
        part.ack(NodeId(name), EPOCH, LIFE)
        job.waiting -= 1
    for name in fails:
        part.fail(NodeId(name))
        job.waiting -= 1
    job.judge()


def verdict_of(part: Part) -> Verdict:
    return part.verdict


def test_a_joint_epoch_needs_w_of_each_set() -> None:
    job, part = make((A, B, C), (A, D, E))
    assert part.route.targets == (A, B, C, D, E)
    end(job, part, "abc")
    assert not job.settled
    assert verdict_of(part) is Verdict.PENDING
    end(job, part, "d")
    assert isinstance(job.outcome, Done)
    assert job.outcome.flags == Flag.NONE
    assert job.outcome.copies == 2, "of the weaker set"


def test_equal_sets_in_another_order_count_once() -> None:
    job, part = make((A, B, C), (C, A, B))
    assert part.new is None
    end(job, part, "ab")
    assert isinstance(job.outcome, Done)


def test_a_new_set_out_of_reach_makes_it_sloppy() -> None:
    job, part = make((A, B, C), (C, D, E))
    end(job, part, "abc", "de")
    assert isinstance(job.outcome, Done)
    assert job.outcome.flags == Flag.SLOPPY


def test_with_nobody_it_failed_and_with_silence_it_is_unknown() -> None:
    job, part = make()
    end(job, part, "", "abc")
    assert isinstance(job.outcome, Failed)
    assert job.outcome.code is Code.NOT_ENOUGH_COPIES
    silent, part = make()
    silent.possible = True
    end(silent, part, "", "abc")
    assert isinstance(silent.outcome, Unknown)


def test_a_strict_level_never_says_done_with_fewer_copies() -> None:
    job, part = make(level=Level.ALL)
    end(job, part, "ab")
    assert not job.settled
    end(job, part, "", "c")
    assert isinstance(job.outcome, Unknown), "two copies exist: it may show up"


def test_a_keyspace_that_is_not_available_never_answers_sloppily() -> None:
    job, part = make(keyspace=Keyspace(on_partition="refuse"))
    end(job, part, "a", "bc")
    assert isinstance(job.outcome, Unknown)


def test_a_refused_key_fails_alone() -> None:
    job, part = make(keys=(b"fits", b"large"))
    job.refusals[1] = {A: Code.OUT_OF_MEMORY, B: Code.OUT_OF_MEMORY}
    end(job, part, "abc")
    assert isinstance(job.outcome, Done)
    assert isinstance(job.outcome.result, list)
    assert job.outcome.result[0] == VERSION
    assert isinstance(job.outcome.result[1], Failed)
    assert job.outcome.result[1].code is Code.OUT_OF_MEMORY


def test_a_key_refused_by_one_of_three_is_still_written() -> None:
    job, part = make()
    job.refusals[0] = {B: Code.OUT_OF_MEMORY}
    end(job, part, "abc")
    assert isinstance(job.outcome, Done)
    assert job.outcome.copies == 2


def test_an_outcome_is_final() -> None:
    job, part = make()
    end(job, part, "ab")
    first = job.outcome
    end(job, part, "", "c")
    assert job.outcome is first
    assert not job.judge()


def test_a_failure_that_somebody_holds_is_in_doubt() -> None:
    job, part = make((A, B, C), (C, D, E), level=Level.QUORUM)
    end(job, part, "ab", "cde")
    assert isinstance(job.outcome, Unknown), (
        "of the weaker set nobody holds it, of the other two do"
    )


def test_a_strict_failure_with_frames_under_way_is_in_doubt() -> None:
    job, part = make(level=Level.ALL)
    end(job, part, "", "a")
    assert isinstance(job.outcome, Unknown), "b and c may still apply it"


def test_a_new_round_does_not_forget_who_holds_it() -> None:
    job, part = make(level=Level.QUORUM)
    part.ack(A, EPOCH, LIFE)
    again = Part(part.route, part.indexes, Level.QUORUM, Epoch(EPOCH + 1))
    job.begin_round([again])
    end(job, again, "", "abc")
    assert isinstance(job.outcome, Unknown)


def test_beside_a_success_the_words_tell_of_doubt() -> None:
    job, first = make(keys=(b"k", b"l"), level=Level.QUORUM)
    route = first.route
    first, second = (Part(route, [row], Level.QUORUM, EPOCH) for row in (0, 1))
    job.begin_round([first, second])
    job.waiting = 6
    end(job, first, "abc")
    end(job, second, "a", "bc")
    assert isinstance(job.outcome, Done)
    assert isinstance(job.outcome.result, list)
    assert "may have been written" in job.outcome.result[1].text


def test_a_refused_key_waits_until_everybody_has_spoken() -> None:
    job, part = make()
    part.ack(A, EPOCH, LIFE)
    job.waiting -= 1
    job.refusals[0] = {B: Code.CLOCK_SKEW}
    part.ack(B, EPOCH, LIFE)
    job.waiting -= 1
    job.judge()
    assert not job.settled, "two frames were acknowledged, one copy was made"
    part.ack(C, EPOCH, LIFE)
    job.waiting -= 1
    job.judge()
    assert isinstance(job.outcome, Done)
    assert job.outcome.copies == 2


def test_what_the_first_live_owner_refused_is_not_acknowledged() -> None:
    job, part = make()
    job.refusals[0] = {A: Code.CLOCK_SKEW}
    end(job, part, "abc")
    assert isinstance(job.outcome, Unknown), "two hold it, and reads ask the one that does not"
    assert job.outcome.code is Code.CLOCK_SKEW
    job, part = make()
    job.refusals[0] = {B: Code.CLOCK_SKEW}
    end(job, part, "bc", "a")
    assert isinstance(job.outcome, Unknown), "with the first one away the second one is asked"
    job, part = make((A, B, C), (D, B, E))
    job.refusals[0] = {D: Code.CLOCK_SKEW}
    end(job, part, "abcde")
    assert isinstance(job.outcome, Unknown), "of the owners to be as well"


def test_an_owner_to_be_that_holds_a_refused_key_makes_it_unknown() -> None:
    job, part = make((A, B, C), (D, E, C))
    job.refusals[0] = {A: Code.CLOCK_SKEW, B: Code.CLOCK_SKEW}
    end(job, part, "abd", "ce")
    assert isinstance(job.outcome, Unknown), "d took it"
    job, part = make((A, B, C), (D, E, C))
    job.refusals[0] = dict.fromkeys((A, B, D), Code.CLOCK_SKEW)
    end(job, part, "abd", "ce")
    assert isinstance(job.outcome, Failed), "nobody took it"


def test_a_copy_that_was_taken_back_may_have_been_seen() -> None:
    job, part = make()
    job.refusals[0] = dict.fromkeys((A, B, C), Code.CLOCK_SKEW)
    job.taken_back.add(0)
    end(job, part, "abc")
    assert isinstance(job.outcome, Unknown)


def test_a_key_that_nobody_took_beside_one_in_doubt_must_not_come_about_later() -> None:
    """The requests of two clients in one replication: one was told of failure, the other of doubt."""
    route = Route(A, (A, B, C), None, Keyspace())
    claims = [Claim(range(row, row + 1), lambda _outcome, _now: None) for row in (0, 1)]
    job = Job((b"j", b"k"), (b"j", b"k"), 0, VERSION, 0, Level.DEFAULT, claims)
    first = Part(route, [0], Level.DEFAULT, EPOCH)
    second = Part(route, [1], Level.DEFAULT, EPOCH)
    job.begin_round([first, second])
    job.waiting = 3
    # The first live owner refuses both; another takes the second one; the third is silent.
    job.refusals = {0: {A: Code.CLOCK_SKEW}, 1: {A: Code.CLOCK_SKEW}}
    for part in (first, second):
        part.ack(A, EPOCH, LIFE)
        part.fail(C)
    first.fail(B)
    second.ack(B, EPOCH, LIFE)
    job.waiting = 0
    job.judge()
    assert [type(claim.outcome) for claim in claims] == [Failed, Unknown]
    assert job.surely_failed(first, 0)
    assert not job.surely_failed(second, 1)
