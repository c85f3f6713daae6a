from __future__ import annotations

import pytest

from nodecore.simulation.scale import SIZE_MAX, measure, table


def test_ten_nodes_agree_and_move_little() -> None:
    row = measure(10, seed=1)
    assert row["gossip_s"] < 2.0
    assert row["suspected_everywhere_s"] <= row["failed_everywhere_s"] < 10.0
    assert row["false_suspicions"] == 0
    assert row["ring_moved_between_old"] == row["even_moved_between_old"] == 0
    assert row["ring_moved_over_fair"] <= 1.3
    assert row["even_max_over_mean"] <= 1.001
    shown = table([row])
    assert "gossip_s" in shown
    assert "ring_max_over_mean" in shown


def test_the_same_seed_gives_the_same_row() -> None:
    assert measure(4, seed=2) == measure(4, seed=2)


@pytest.mark.parametrize("size", [0, 2, SIZE_MAX + 1])
def test_sizes_out_of_range_are_refused(size: int) -> None:
    with pytest.raises(ValueError, match="a size must be"):
        measure(size)


@pytest.mark.slow
def test_detection_grows_slowly() -> None:
    small, large = measure(10), measure(50)
    assert large["failed_everywhere_s"] < 3.0 * small["failed_everywhere_s"]
    assert large["messages_per_node_s"] < 3.0 * small["messages_per_node_s"]
