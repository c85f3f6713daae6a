"""The compiled table and the reference give equal replies and end in equal states, whatever comes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nodecore.ids import SLOTS_COUNT
from nodecore.table import Kind, Table, TableNotBuiltError, make_table
from tests.nodecore.table.state import entry_state, table_state

try:
    make_table("compiled")
except TableNotBuiltError as error:
    pytest.skip(str(error), allow_module_level=True)

KEYS = [b"", b"a", b"{t}x", b"{t}y", b"{}z", b"strong:k", b"long" * 40, b"\x00\r\n$", b"b"]
keys = st.sampled_from(KEYS)
values = st.one_of(
    st.sampled_from([b"", b"\r\n", b"x" * 9, b"x" * 10, b"y" * 99]), st.binary(max_size=120)
)
numbers = st.sampled_from([0, 1, 2, 1 << 20, (1 << 63) - 1, 1 << 63, -1])
hlcs = st.sampled_from([0, 1, 2, 3, 1 << 20])
nodes = st.sampled_from([0, 1, 7, (1 << 32) - 1])
flags_of_slot = st.sampled_from([0, 1, 2, 3, 3, 3, 9, 9])

Action = Callable[[Table], object]


def bulk(item: bytes) -> bytes:
    return b"$%d\r\n%b\r\n" % (len(item), item)


def command(*parts: bytes) -> bytes:
    return b"*%d\r\n%b" % (len(parts), b"".join(map(bulk, parts)))


gets = st.builds(
    lambda name, key: command(name, key), st.sampled_from([b"GET", b"get", b"gEt"]), keys
)
sets = st.builds(
    lambda name, key, value: command(name, key, value),
    st.sampled_from([b"SET", b"set"]),
    keys,
    values,
)
odd = st.sampled_from(
    [
        command(b"PING"),
        command(b"ping"),
        command(b"PING", b"x"),
        command(b"GET"),
        command(b"DEL", b"a"),
        command(b"SET", b"a", b"b", b"EX", b"9"),
        b"*2\r\n$3\r\nGET\r\n$01\r\na\r\n",
        b"*2\r\n$3\r\nGET\r\n$1\r\naX\n",
        b"*2\r\n$3\r\nGET\r\n$1\r\na\rX",
        b"*2\r\n$3\r\nGET\r\n$-1\r\n",
        b"*2\r\n$3\r\nGET\r\n$\r\n\r\n",
        b"*2\r\n$3\r\nGET\r\n$65537\r\n" + b"k" * 65537 + b"\r\n",
        b"*2\r\n$3\r\nGET\r\n$99999999\r\n",
        b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n:5\r\n",
        b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$8388609\r\n",
        b"*02\r\n$3\r\nGET\r\n$1\r\na\r\n",
        b"PING\r\n",
        b"GET a\r\n",
        b"\x00",
        b"",
    ]
)
pieces = st.one_of(gets, gets, sets, sets, odd, st.binary(max_size=20))


@st.composite
def streams(draw: st.DrawFn) -> bytes:
    data = b"".join(draw(st.lists(pieces, max_size=8)))
    if data and draw(st.booleans()):
        data = data[: draw(st.integers(0, len(data)))]
    if data and draw(st.integers(0, 4)) == 0:
        at = draw(st.integers(0, len(data) - 1))
        data = data[:at] + draw(st.binary(max_size=2)) + data[at + 1 :]
    return data


def with_entry(key: bytes, act: Callable[[Table, Any], object]) -> Action:
    def run(table: Table) -> object:
        entry = table.get(key)
        return None if entry is None else act(table, entry)

    return run


def removed(table: Table, key: bytes) -> object:
    entry = table.remove(key)
    state = entry_state(entry)
    if entry is not None:
        entry.release()
    return state, entry_state(entry)


kinds = st.sampled_from([0, 0, 1, 255, 255, 3])
now = st.sampled_from([0, 1, 2, 3, 100])
actions: st.SearchStrategy[Action] = st.one_of(
    st.builds(lambda data, ms: lambda t: t.serve(data, ms, b"$-1\r\n"), streams(), now),
    st.builds(lambda data, ms: lambda t: t.serve(data, ms, b"_\r\n"), streams(), now),
    st.builds(
        lambda k, kind, v, h, n, e: lambda t: entry_state(t.put(k, kind, v, h, n, e)),
        keys, kinds, values, st.one_of(hlcs, numbers), st.one_of(nodes, numbers), st.one_of(now, numbers),
    ),
    st.builds(
        lambda ks, v, h, n, e: lambda t: t.multi_put(ks, [v + k[:1] for k in ks], h, n, e),
        st.lists(keys, max_size=6), values, hlcs, nodes, now,
    ),
    st.builds(lambda ks, ms: lambda t: t.multi_get(ks, ms), st.lists(keys, max_size=6), now),
    st.builds(lambda k: lambda t: removed(t, k), keys),
    st.builds(lambda k: lambda t: entry_state(t.get(k)), keys),
    st.builds(lambda k, q: with_entry(k, lambda t, e: t.assign(e, q)), keys, st.integers(-1, 64)),
    st.builds(lambda k: with_entry(k, lambda t, e: t.touch(k, e)), keys),
    st.builds(lambda k, bare: with_entry(k, lambda t, e: setattr(e, "bare", bare)), keys, st.booleans()),
    st.builds(lambda k: with_entry(k, lambda t, e: t.readmit(k, e)), keys),
    st.builds(lambda k: with_entry(k, lambda t, e: entry_state(e.snapshot())), keys),
    st.builds(lambda k: with_entry(k, lambda t, e: e.release()), keys),
    st.builds(lambda f: lambda t: t.set_slots(bytes([f]) * SLOTS_COUNT), st.one_of(flags_of_slot, st.sampled_from([4, 16]))),
    st.builds(lambda n: lambda t: t.set_slots(bytes(n)), st.just(5)),
    st.builds(
        lambda p, o: lambda t: t.set_guard(p, o),
        st.sampled_from([[], [b"strong:"], [b"a", b"{"], [b""]]), st.sampled_from([True, True, False]),
    ),
    st.builds(lambda step: lambda t: t.open_gate(t.generation + step), st.sampled_from([0, 1, 1, 5, -1])),
    st.builds(lambda ms: lambda t: t.next_hlc(ms), now),
    st.builds(lambda n: lambda t: setattr(t, "touches_max", n), st.integers(0, 20)),
    st.builds(lambda on: lambda t: setattr(t, "lists_superseded", on), st.booleans()),
    st.builds(lambda n: lambda t: setattr(t, "inline_bytes_max", n), st.integers(0, 3000)),
    st.builds(lambda ks: lambda t: t.slots_of(ks), st.lists(keys, max_size=4)),
    st.builds(lambda ks: lambda t: t.note(ks), st.lists(st.one_of(keys, st.just("a")), max_size=4)),
    st.builds(lambda: lambda t: t.take_bands()),
    st.builds(lambda ks: lambda t: t.split(ks, bytes([0, 2]) * (SLOTS_COUNT // 2)), st.lists(keys, max_size=4)),
    st.builds(
        lambda data, at, most: lambda t: t.plain_run(data, at, most),
        streams(), st.sampled_from([0, 0, 0, 1, 30, -1]), st.integers(0, 4),
    ),
    st.builds(lambda: lambda t: t.plain_run("GET", 0, 1)),
    st.builds(lambda: lambda t: t.multi_put([b"a"], [], 1, 1, 0)),
    st.builds(lambda: lambda t: t.multi_get(["a"], 1)),
    st.builds(lambda: lambda t: t.multi_put(["a"], [b""], 1, 1, 0)),
    st.builds(lambda: lambda t: t.multi_put([b"n"], [b"m"], -1, 1, 0)),
    st.builds(lambda: lambda t: t.put(b"a", 0, "x", 1, 1, 0)),
    st.builds(lambda: lambda t: t.serve("GET", 1, b"")),
    st.builds(lambda: lambda t: t.split([b"a"], b"")),
    st.builds(lambda: lambda t: t.slot_count(16384)),
)  # fmt: skip


def outcome(action: Action, table: Table) -> object:
    try:
        return action(table)
    except (TypeError, ValueError, OverflowError) as error:
        # 64-bit fields reject what does not fit with OverflowError, which is no worse.
        return TypeError if isinstance(error, TypeError) else ValueError


def opened(choice: str, flags: int) -> Table:
    table = make_table(choice)
    table.set_slots(bytes([flags]) * SLOTS_COUNT)
    table.open_gate(1)
    table.node_tag = 7
    for number, key in enumerate(KEYS[:-2]):
        kind = (Kind.STRING, Kind.STRING, Kind.STRING, Kind.HASH, Kind.TOMBSTONE)[number % 5]
        table.put(key, kind, b"v" * number, 1, 1, number % 3)
    return table


@pytest.mark.slow
@settings(max_examples=400, deadline=None)
@given(flags_of_slot, st.lists(actions, max_size=30))
def test_the_same_operations_give_the_same_answers(flags: int, sequence: list[Action]) -> None:
    reference, compiled = opened("reference", flags), opened("compiled", flags)
    for action in sequence:
        assert outcome(action, compiled) == outcome(action, reference)
    assert table_state(compiled) == table_state(reference)


@pytest.mark.slow
@settings(max_examples=300, deadline=None)
@given(st.lists(streams(), max_size=6), flags_of_slot, now)
def test_byte_streams_are_consumed_alike(chunks: list[bytes], flags: int, now_ms: int) -> None:
    reference, compiled = opened("reference", flags), opened("compiled", flags)
    pending = b""
    for chunk in chunks:
        pending += chunk
        answer = compiled.serve(pending, now_ms, b"$-1\r\n")
        assert answer == reference.serve(pending, now_ms, b"$-1\r\n")
        pending = pending[answer[1] :]
    assert table_state(compiled) == table_state(reference)


@settings(max_examples=300, deadline=None)
@given(streams(), st.integers(0, 40), st.integers(1, 5))
def test_runs_are_cut_alike(data: bytes, start: int, keys_max: int) -> None:
    answers = [
        make_table(choice).plain_run(data, start, keys_max) for choice in ("compiled", "reference")
    ]
    assert answers[0] == answers[1]


def test_a_run_ends_where_another_command_begins() -> None:
    sets = command(b"SET", b"a", b"1") + command(b"set", b"b", b"")
    data = sets + command(b"GET", b"a") + command(b"PING")
    for choice in ("compiled", "reference"):
        table = make_table(choice)
        assert table.plain_run(data, 0, 9) == ([b"a", b"b"], [b"1", b""], len(sets))
        assert table.plain_run(data, 0, 1) == ([b"a"], [b"1"], len(command(b"SET", b"a", b"1")))
        keys, values, end = table.plain_run(data, len(sets), 9)
        assert (keys, values) == ([b"a"], None)
        assert table.plain_run(data, end, 9) == ([], None, end)
        assert table.plain_run(sets[:-1], 0, 9)[2] == len(command(b"SET", b"a", b"1"))


def test_a_million_bytes_of_replies_end_the_turn() -> None:
    tables = opened("reference", 3), opened("compiled", 3)
    data = command(b"SET", b"big", b"v" * 300_000) + command(b"GET", b"big") * 9
    answers = [table.serve(data, 1, b"$-1\r\n") for table in tables]
    assert answers[0] == answers[1]
    assert answers[0][1] < len(data)
    assert 1024 * 1024 <= len(answers[0][0]) < 1024 * 1024 + 300_100


def test_many_keys_survive_growth_and_removal() -> None:
    tables = make_table("reference"), make_table("compiled")
    names = [b"{%d}%d" % (number % 50, number) for number in range(6000)]
    for table in tables:
        for number, name in enumerate(names):
            table.put(name, 0, b"%d" % number, number + 1, 1, 0)
        for name in names[::3] + names[1::3]:
            assert table.remove(name) is not None
        for name in names[::5]:
            table.put(name, 255, b"", 9999, 1, 0)
    assert table_state(tables[0]) == table_state(tables[1])
