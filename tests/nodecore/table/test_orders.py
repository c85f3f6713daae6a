"""Orders and memories of the compiled table give the same answers as the plain ones."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nodecore.table import Kind, Table, TableNotBuiltError, make_table
from nodecore.table.interface import Entry
from nodecore.table.plain_ghosts import key_print

try:
    make_table("compiled")
except TableNotBuiltError as error:
    pytest.skip(str(error), allow_module_level=True)

QUEUE, RING, ORDER, USES, FEEDER, MAIN, WORTH, EXPIRY = 1, 2, 3, 4, 5, 6, 7, 8
WINDOW, PROBATION, PROTECTED = 9, 10, 11
HALVE_EVERY = 2


def key_of(number: int) -> bytes:
    return b"%d" % number


def name(entry: Entry | None) -> bytes | None:
    return None if entry is None else entry.key


class Ordered:
    """A table with one order of each kind, driven by numbers."""

    def __init__(self, choice: str) -> None:
        self.table: Table = make_table(choice)
        self.puts = 0
        self.queue = self.table.entry_queue(QUEUE)
        self.main = self.table.entry_queue(MAIN)
        self.ring = self.table.entry_ring(RING)
        self.order = self.table.entry_order(ORDER, feeder=FEEDER)
        self.feeder = self.table.entry_order(FEEDER)
        self.uses = self.table.use_order(USES, HALVE_EVERY)
        self.worth = self.table.worth_order(WORTH)
        self.expiry = self.table.expiry_order(EXPIRY)
        self.segments = self.table.segmented_order((WINDOW, PROBATION, PROTECTED), 50, False)
        self.segments.window_max, self.segments.protected_max = 2000, 3000

    def put(self, number: int) -> None:
        self.puts += 1
        expires_ms = self.puts * 37 % 5 * (1 << 30)
        value = b"v" * (number * number % 900)
        entry = self.table.put(key_of(number), Kind.STRING, value, 1, 1, expires_ms)
        pushes: tuple[Callable[[Entry], None], ...] = (
            self.queue.push,
            self.ring.push,
            self.order.push,
            self.feeder.push,
            self.uses.push,
            self.worth.push,
            self.expiry.push,
            self.segments.push,
        )
        if entry.queue == 0:
            pushes[number % 8](entry)
        self.expiry.review(entry)

    def read(self, number: int) -> None:
        """A use, told to every order: those that do not hold the entry leave it alone."""
        entry = self.table.get(key_of(number))
        if entry is not None:
            self.table.touch(entry.key, entry)
            self.order.touch(entry)
            self.uses.use(entry)
            self.worth.use(entry)
            self.segments.touch(entry)

    def leave(self, number: int) -> None:
        """By removal, as a tombstone, or into an order."""
        entry = self.table.get(key_of(number))
        if entry is None or entry.kind == Kind.TOMBSTONE:
            return
        self.ring.leave(entry)
        self.uses.leave(entry)
        self.worth.leave(entry)
        self.expiry.leave(entry)
        if number % 3 == 0:
            self.table.remove(entry.key)
        elif number % 3 == 1:
            self.table.put(entry.key, Kind.TOMBSTONE, b"", 1, 1, 0)
        else:
            self.feeder.push(entry)

    def defer(self, number: int) -> None:
        entry = self.table.get(key_of(number))
        if entry is not None:
            self.uses.defer(entry)
            self.worth.defer(entry)
            self.expiry.defer(entry)

    def take(self, number: int) -> bytes | None:
        """Ask a queue for its next, and put it back or remove it."""
        queue = self.main if number % 5 == 0 else self.queue
        entry = queue.pop() if number % 3 else queue.pop_unread(number % 2 == 0)
        if number % 7 == 0 and entry is None:
            entry = (queue := self.queue).pop_below(2, self.main)
        if entry is not None and number % 4:
            queue.rotate(entry)
        elif entry is not None:
            self.table.remove(entry.key)
        return name(entry)

    def walk(self, number: int) -> bytes | None:
        """Move the ring's hand to its next, and spare or evict that."""
        entry = self.ring.unread()
        if entry is not None:
            self.ring.advance()
            if number % 2:
                self.table.remove(entry.key)
        return name(entry)

    def evict(self, number: int) -> list[object]:
        """Whom the orders would let go, and now and then that is done."""
        entries = [
            self.order.oldest(),
            self.feeder.oldest(),
            self.uses.worst(),
            self.worth.worst(),
            self.expiry.worst(),
            self.segments.victim(number % 4, lambda: number % 3 == 0),
        ]
        found: list[object] = [name(entry) for entry in entries]
        found += [self.segments.take_uses(), self.segments.sketch.estimate(key_of(number))]
        if number % 4 == 0:
            for entry in filter(None, entries):
                self.uses.leave(entry)
                self.worth.evicted(entry)
                self.expiry.leave(entry)
                self.table.remove(entry.key)
        elif number % 4 == 1 and entries[-1] is not None:
            self.segments.spared(entries[-1])
        return found

    def state(self) -> object:
        table = self.table
        return (
            len(self.queue), len(self.main), len(self.order), len(self.feeder), len(self.uses),
            [(table.queue_count(queue), table.queue_bytes(queue)) for queue in range(64)],
        )  # fmt: skip


OPERATIONS = (
    Ordered.put, Ordered.put, Ordered.put, Ordered.read, Ordered.read,
    Ordered.leave, Ordered.defer, Ordered.take, Ordered.walk, Ordered.evict,
)  # fmt: skip


def in_turn(steps: list[tuple[int, int]]) -> None:
    plain, compiled = Ordered("reference"), Ordered("compiled")
    for operation, number in steps:
        act = OPERATIONS[operation]
        assert act(compiled, number) == act(plain, number), (act, number)
    assert compiled.state() == plain.state()
    for ordered in (plain, compiled):
        assert ordered.queue.references <= 2 * len(ordered.queue) + 64 + 126


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.integers(0, len(OPERATIONS) - 1), st.integers(0, 19)), max_size=80))
def test_orders_answer_alike(steps: list[tuple[int, int]]) -> None:
    in_turn(steps)


@pytest.mark.parametrize(("keys", "seed"), [(30, 1), (700, 2), (3000, 3)])
def test_orders_answer_alike_while_logs_are_packed_and_cells_move(keys: int, seed: int) -> None:
    rng = Random(seed)
    in_turn([(rng.randrange(len(OPERATIONS)), rng.randrange(keys)) for _ in range(20_000)])


def balanced(choice: str, steps: list[tuple[int, int]]) -> list[object]:
    """What a balanced order proposes while keys are asked for, overwritten, removed and evicted."""
    table = make_table(choice)
    order = table.balanced_order((QUEUE, MAIN), 4000)
    seen: list[object] = []
    for act, number in steps:
        key, value = key_of(number), b"v" * (number * number % 900)
        entry = table.get(key)
        if act == 0 and entry is not None:
            table.remove(key)
        elif act == 1:
            order.expect(key_of(number + 1))
        elif entry is not None:
            order.touch(table.put(key, Kind.STRING, value[act:], 1, 1, 0))
        else:
            if act > 2:
                order.expect(key)
            while table.bytes_used > 4000 and (victim := order.victim()) is not None:
                seen.append(victim.key)
                if (len(seen) + act) % 4 == 0:
                    order.spared(victim)
                    continue
                order.evicted(victim)
                table.remove(victim.key)
            order.push(table.put(key, Kind.STRING, value, 1, 1, 0))
        seen.append((table.queue_count(QUEUE), table.queue_bytes(MAIN)))
    return seen


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 25)), max_size=200))
def test_balanced_orders_answer_alike(steps: list[tuple[int, int]]) -> None:
    assert balanced("compiled", steps) == balanced("reference", steps)


@pytest.mark.parametrize(("keys", "seed"), [(15, 1), (40, 2), (400, 3)])
def test_balanced_orders_answer_alike_in_long_histories(keys: int, seed: int) -> None:
    rng = Random(seed)
    steps = [(rng.randrange(10), int(keys * rng.random() ** 2)) for _ in range(10_000)]
    assert balanced("compiled", steps) == balanced("reference", steps)


def test_an_order_stays_small_however_often_it_is_touched() -> None:
    table = make_table("compiled")
    order = table.entry_order(ORDER)
    entries = [table.put(key_of(number), 0, b"v", 1, 1, 0) for number in range(1000)]
    for entry in entries:
        order.push(entry)
    rng = Random(1)
    for _ in range(50_000):
        order.touch(rng.choice(entries))
    assert order.allocated_bytes < 1000 * 3 * 8.3 + 8192
    notes = table.notes_bytes
    assert order.allocated_bytes + notes < order.overhead_bytes + 9 * len(order)
    assert 8 * 1000 / 0.8 <= notes <= 8 * 4096
    del order
    assert table.notes_bytes == 0


def test_orders_let_go_of_entries_that_are_gone() -> None:
    table = make_table("compiled")
    queue, ring = table.entry_queue(QUEUE), table.entry_ring(RING)
    for number in range(2000):
        for target in (queue, ring):
            entry = table.put(b"%d" % number, 0, b"v", 1, 1, 0)
            target.push(entry)
            table.remove(entry.key)
    assert queue.references <= 64 + 126
    assert queue.allocated_bytes + ring.allocated_bytes <= 8 * 1100
    assert ring.unread() is None
    assert queue.pop() is None


def test_entries_of_other_tables_and_detached_ones_are_refused() -> None:
    table, other = make_table("compiled"), make_table("compiled")
    stranger = other.put(b"a", 0, b"v", 1, 1, 0)
    detached = table.put(b"b", 0, b"v", 1, 1, 0)
    table.remove(b"b")
    for push in (
        table.entry_queue(QUEUE).push,
        table.entry_ring(RING).push,
        table.entry_order(ORDER).push,
        table.use_order(USES, 0).push,
        table.worth_order(WORTH).push,
        table.expiry_order(EXPIRY).push,
        table.segmented_order((WINDOW, PROBATION, PROTECTED), 50, False).push,
    ):
        with pytest.raises(ValueError, match="live entry"):
            push(detached)
    with pytest.raises(ValueError, match="another table"):
        table.entry_order(ORDER).push(stranger)
    with pytest.raises(ValueError, match="queue"):
        table.entry_order(63)


@given(st.binary(max_size=40))
def test_prints_are_alike(key: bytes) -> None:
    from nodecore.table import _table

    assert _table.key_print(key) == key_print(key)


def test_ghosts_remember_alike() -> None:
    residents = 100
    plain, compiled = (
        make_table(choice).ghosts(lambda: residents) for choice in ("reference", "compiled")
    )
    rng = Random(4)
    for step in range(30_000):
        residents = 100 + step // 5
        key = key_of(rng.randrange(8000))
        if rng.random() < 0.6:
            plain.add(key)
            compiled.add(key)
        else:
            assert compiled.take(key) == plain.take(key)
    assert compiled.overhead_bytes == plain.overhead_bytes > 8 * 1024


def test_large_memories_remember_alike() -> None:
    """Of those that lie in large pages (see ``_arrays.pxi``)."""
    residents = 600_000
    memories = [
        (table.ghosts(lambda: residents), table.sketch(residents))
        for table in map(make_table, ("reference", "compiled"))
    ]
    rng = Random(7)
    for _ in range(1000):
        key = key_of(rng.randrange(300))
        answers = []
        for ghosts, sketch in memories:
            answers.append((ghosts.take(key), sketch.estimate(key)))
            ghosts.add(key)
            sketch.add(key)
        assert answers[0] == answers[1]
    assert all(memory.overhead_bytes > 1 << 22 for pair in memories for memory in pair)


def test_key_memories_remember_alike() -> None:
    plain, compiled = (make_table(choice).key_memory() for choice in ("reference", "compiled"))
    rng = Random(5)
    for _ in range(30_000):
        key, size = key_of(rng.randrange(900)), rng.randrange(1, 500)
        act = rng.randrange(4)
        for memory in (plain, compiled):
            if act < 2:
                memory.add(key, size, 400 * size, size + 100)
            elif act == 2:
                memory.discard(key)
            else:
                memory.shrink(150 * size)
        assert (len(compiled), compiled.total) == (len(plain), plain.total)
        assert (key in compiled) == (key in plain)
    assert compiled.overhead_bytes < 900 * 40


def test_sketches_count_alike() -> None:
    plain, compiled = (make_table(choice).sketch(300) for choice in ("reference", "compiled"))
    rng = Random(6)
    for _ in range(10_000):
        key = key_of(int(rng.paretovariate(0.7)) % 3000)
        plain.add(key)
        compiled.add(key)
        assert compiled.estimate(key) == plain.estimate(key)
    assert compiled.overhead_bytes == plain.overhead_bytes
