"""Deadlines fire once, in order, and cancelling is final."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from nodecore.ids import Now
from nodecore.timers import Timers


def at(second: float) -> Now:
    return Now(second, int(second * 1000))


def test_equal_deadlines_fire_in_order_of_scheduling() -> None:
    timers, fired = Timers(), []
    for name in "abc":
        timers.schedule(1.0, lambda now, name=name: fired.append(name))  # type: ignore[misc]
    assert timers.fire(at(0.9)) == 0
    assert timers.fire(at(1.0)) == 3
    assert fired == ["a", "b", "c"]
    assert timers.next_at() is None


def test_a_callback_may_cancel_one_that_is_due_with_it() -> None:
    timers, fired = Timers(), []
    second = None

    def first(now: Now) -> None:
        fired.append("first")
        timers.cancel(second)

    timers.schedule(1.0, first)
    second = timers.schedule(1.0, lambda now: fired.append("second"))
    timers.fire(at(2.0))
    assert fired == ["first"]
    assert len(timers) == 0


def test_a_deadline_set_in_the_past_waits_for_the_next_call() -> None:
    timers, fired = Timers(), []

    def again(now: Now) -> None:
        fired.append(now.mono_s)
        timers.schedule(0.0, again)

    timers.schedule(0.0, again)
    assert timers.fire(at(1.0)) == 1
    assert timers.fire(at(2.0)) == 1
    assert fired == [1.0, 2.0]


@given(st.lists(st.tuples(st.floats(0, 10), st.booleans()), max_size=300))
def test_exactly_the_live_ones_fire(plan: list[tuple[float, bool]]) -> None:
    timers, fired = Timers(), []
    handles = [
        timers.schedule(when, lambda now, index=index: fired.append(index))  # type: ignore[misc]
        for index, (when, _) in enumerate(plan)
    ]
    for handle, (_, cancelled) in zip(handles, plan, strict=True):
        if cancelled:
            timers.cancel(handle)
            timers.cancel(handle)
    live = [index for index, (_, cancelled) in enumerate(plan) if not cancelled]
    assert len(timers) == len(live)
    assert timers.fire(at(11.0)) == len(live)
    assert fired == sorted(live, key=lambda index: (plan[index][0], index))
