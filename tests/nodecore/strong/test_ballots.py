"""Ballots of strong keys: ordered by epoch first, never repeated, and the versions made of them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from nodecore.consensus.ballot import COUNTER_MAX, NO_BALLOT, Ballot
from nodecore.ids import NodeId
from nodecore.strong.ballots import CHANGES_MAX, ballot_above, epoch_of, version_of

N1, N2 = NodeId("n1"), NodeId("n2")
EPOCHS = st.integers(1, 100_000_000)


@given(epoch=EPOCHS, counter=st.integers(0, 2**60), floor=st.integers(0, 2**60))
def test_a_ballot_outranks_everything_known_and_every_earlier_epoch(
    epoch: int, counter: int, floor: int
) -> None:
    ballot = ballot_above(Ballot(counter, N2), floor, epoch, N1)
    assert ballot.counter > max(counter, floor)
    assert ballot.counter <= COUNTER_MAX
    assert ballot > ballot_above(NO_BALLOT, 0, epoch - 1, N2)
    assert epoch_of(version_of(ballot)) >= epoch


@given(epoch=EPOCHS)
def test_versions_of_one_round_stay_below_those_of_the_next(epoch: int) -> None:
    first = ballot_above(NO_BALLOT, 0, epoch, N1)
    second = ballot_above(first, 0, epoch, N2)
    versions = [version_of(first, index) for index in range(CHANGES_MAX)]
    assert versions == sorted(set(versions))
    assert versions[-1] < version_of(second)
    assert epoch_of(versions[-1]) == epoch


def test_nodes_with_equal_counters_have_different_ballots_and_versions() -> None:
    one, other = ballot_above(NO_BALLOT, 0, 3, N1), ballot_above(NO_BALLOT, 0, 3, N2)
    assert one.counter == other.counter
    assert one != other
    assert version_of(one) != version_of(other)
