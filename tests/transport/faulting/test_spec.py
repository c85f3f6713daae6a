"""What a fault may be, and that every mistake in one is named."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transport.faulting.pipe import STAGES
from transport.faults import KINDS, FaultSpec, InvalidFault, parse_fault
from transport.messages import Lane

EXAMPLES: dict[str, dict[str, float]] = {
    "latency": {"latency": 200, "jitter": 50},
    "bandwidth": {"rate": 10},
    "slow_close": {"delay": 100},
    "timeout": {},
    "reset_peer": {"timeout": 5},
    "slicer": {"average_size": 100, "size_variation": 20, "delay": 1000},
    "limit_data": {"bytes": 1000},
    "packet_loss": {"loss_rate": 0.1, "correlation": 0.5},
    "cut": {},
    "corrupt": {"rate": 0.01},
    "bitflip": {"rate": 0.01},
    "eio": {},
    "enospc": {},
    "slow_fsync": {"delay": 50},
    "skew": {"offset": -250},
    "jump": {"offset": 10_000},
}


def plain(kind: str, **changes: object) -> dict[str, object]:
    place = KINDS[kind].place
    made: dict[str, object] = {
        "kind": kind,
        "link": "n1->n3" if place == "link" else place,
        "attributes": EXAMPLES[kind],
    }
    return made | changes


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_every_kind_survives_the_way_to_plain_data_and_back(kind: str) -> None:
    spec = parse_fault(plain(kind, toxicity=0.5, control=True))
    assert parse_fault(spec.to_plain()) == spec
    assert kind in spec.text()


def test_every_kind_has_an_example_and_every_link_kind_a_stage() -> None:
    assert set(EXAMPLES) == set(KINDS)
    assert set(STAGES) == {name for name, kind in KINDS.items() if kind.place == "link"}


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({}, "latency 200±50 ms down"),
        ({"stream": "both", "attributes": {"latency": 5}}, "latency 5 ms both"),
        ({"toxicity": 0.25}, "latency 200±50 ms down on 25% of connections"),
        ({"control": True}, "latency 200±50 ms down with control"),
    ],
)
def test_text_for_a_person(changes: dict[str, object], text: str) -> None:
    assert parse_fault(plain("latency", **changes)).text() == text


def test_defaults() -> None:
    assert parse_fault(plain("cut")).stream == "both"
    assert parse_fault(plain("timeout")).stream == "down"
    assert parse_fault(plain("timeout"))["timeout"] == 0
    assert parse_fault(plain("eio"))["rate"] == 1


MISTAKES: list[tuple[dict[str, Any], list[str]]] = [
    ({}, ["kind must be one of latency, bandwidth"]),
    ({"kind": "lag", "link": "n1->n2"}, ["kind must be one of"]),
    ({"kind": ["latency"]}, ["kind must be one of"]),
    ({"kind": "cut"}, ["link must be text"]),
    ({"kind": "cut", "link": "n1"}, ["CALLER->CALLEE"]),
    ({"kind": "cut", "link": "n1->client"}, []),
    ({"kind": "cut", "link": "N1->n2"}, ["not a node id: 'N1'"]),
    ({"kind": "cut", "link": "n1->n1"}, ["to itself"]),
    ({"kind": "skew", "link": "n1->n2", "attributes": {"offset": 1}}, ["target of a clock fault"]),
    (plain("cut", stream="sideways"), ["up, down or both"]),
    (plain("cut", toxicity=0), ["above 0 and at most 1"]),
    (plain("cut", toxicity=float("nan")), ["above 0 and at most 1"]),
    (plain("cut", toxicity=True), ["above 0 and at most 1"]),
    (plain("cut", control="yes"), ["true or false"]),
    (plain("cut", attributes=[1]), ["a table of names and numbers"]),
    (plain("cut", attributes={"x": 1}), ["no attribute 'x' (it has none)"]),
    (plain("cut", colour="red"), ["'colour' is no part of a fault"]),
    (plain("bandwidth", attributes={}), ["bandwidth needs rate (KB/s)"]),
    (plain("bandwidth", attributes={"rate": 0}), ["rate must be 0.001..1e+07 KB/s, not 0"]),
    (plain("bandwidth", attributes={"rate": "fast"}), ["not 'fast'"]),
    (plain("latency", attributes={}), ["no effect"]),
    (plain("latency", attributes={"latency": -1}), ["latency must be"]),
    (plain("latency", attributes={"latency": float("inf")}), ["latency must be"]),
    (plain("slicer", attributes={"average_size": 5, "size_variation": 5}), ["must be below"]),
    (
        plain("packet_loss", attributes={"loss_rate": 2, "delay": 1}, stream=3, toxicity=7),
        ["stream must be", "toxicity must be", "loss_rate must be 0..1", "no attribute 'delay'"],
    ),
]


@pytest.mark.parametrize(("given", "problems"), MISTAKES)
def test_every_mistake_is_named(given: dict[str, object], problems: list[str]) -> None:
    if not problems:
        # A node may be called so; as the callee it is no wildcard.
        assert parse_fault(given).callee == "client"
        return
    with pytest.raises(InvalidFault) as caught:
        parse_fault(given)
    assert len(caught.value.problems) == len(problems)
    for expected, found in zip(problems, caught.value.problems, strict=True):
        assert expected in found


@given(
    st.dictionaries(
        st.sampled_from(["kind", "link", "stream", "toxicity", "attributes", "control", "x"]),
        st.none()
        | st.text(max_size=5)
        | st.floats()
        | st.sampled_from(["cut", "latency", "n1->n2", "up"])
        | st.dictionaries(st.sampled_from(["latency", "jitter"]), st.floats() | st.text()),
    )
)
def test_nonsense_raises_only_invalid_fault(nonsense: dict[str, object]) -> None:
    try:
        parse_fault(nonsense)
    except InvalidFault:
        return


@pytest.mark.parametrize(
    ("link", "stream", "where", "hit"),
    [
        ("n1->n3", "down", ("n1", "n3", "down"), True),
        ("n1->n3", "down", ("n1", "n3", "up"), False),
        ("n1->n3", "both", ("n1", "n3", "up"), True),
        ("n1->n3", "both", ("n3", "n1", "up"), False),
        ("*->n3", "up", ("n2", "n3", "up"), True),
        ("*->n3", "up", ("client", "n3", "up"), False),
        ("client->n3", "up", ("client", "n3", "up"), True),
        ("client->*", "up", ("client", "n3", "up"), True),
        ("*->*", "up", ("n5", "n6", "up"), True),
    ],
)
def test_targets(link: str, stream: str, where: tuple[str, str, str], hit: bool) -> None:
    spec: FaultSpec = parse_fault(plain("latency", link=link, stream=stream))
    assert spec.hits(*where, Lane.DATA) is hit


def test_control_links_are_hit_only_when_asked_or_cut() -> None:
    where = ("n1", "n3", "down")
    assert not parse_fault(plain("latency")).hits(*where, Lane.CONTROL)
    assert parse_fault(plain("latency", control=True)).hits(*where, Lane.CONTROL)
    assert parse_fault(plain("cut")).hits(*where, Lane.CONTROL)
