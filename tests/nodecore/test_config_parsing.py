"""Merging and parsing a node's settings: order of sources, shapes, every problem at once."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodecore.config import Addresses, NodeConfig
from nodecore.config_parsing import from_assignments, from_environment, merge, parse, to_plain
from nodecore.config_rules import is_loopback, split_address
from nodecore.errors import InvalidConfig


def problems(mapping: dict[str, object]) -> list[str]:
    with pytest.raises(InvalidConfig) as caught:
        parse(mapping)
    return caught.value.problems


def test_defaults_begin_a_cluster_of_one() -> None:
    config = parse({"node_id": "n1"})
    assert config.bootstrap == (("n1", Addresses()),)
    assert config.cluster_id == "alone-n1"
    assert config.replicas == NodeConfig("n1").replicas


def test_later_sources_win_key_by_key() -> None:
    toml = {"node_id": "n1", "replicas": 5, "bind": {"resp": "127.0.0.1:1", "http": "127.0.0.1:2"}}
    environment = from_environment({"RINGDECK_REPLICAS": "4", "RINGDECK_BIND_RESP": "127.0.0.1:9"})
    flags = from_assignments(["replicas=3", "bind.native=127.0.0.1:7"])
    config = parse(merge(toml, environment, flags))
    assert config.replicas == 3
    assert config.bind == Addresses("127.0.0.1:7", "127.0.0.1:9", "127.0.0.1:2")


def test_every_problem_is_reported_with_the_nearest_name() -> None:
    found = problems(
        {
            "node_id": "N 1",
            "replicaz": 3,
            "vnodes": "many",
            "bind": {"rsp": "127.0.0.1:1"},
            "enable_chaos": 7,
        }
    )
    text = "\n".join(found)
    assert "did you mean 'replicas'?" in text
    assert "did you mean 'bind.resp'?" in text
    assert "vnodes: expected a whole number" in text
    assert "enable_chaos: expected true or false" in text
    assert "node_id: 'N 1' must be" in text
    assert len(found) == 5


def test_a_setting_that_cannot_be_read_breaks_no_rule() -> None:
    found = problems({"node_id": "n1", "replicas": "three", "write_quorum": 4})
    assert found == ["replicas: expected a whole number, got 'three'"]


def test_rules_are_checked_together() -> None:
    found = problems(
        {
            "node_id": "N 1",
            "replicas": 2,
            "write_quorum": 3,
            "weight": float("nan"),
            "eviction": "random",
            "bind": {"native": "", "resp": "0.0.0.0:7001"},
            "join": ["nowhere"],
        }
    )
    text = "\n".join(found)
    for part in ("node_id:", "write_quorum: 3", "weight:", "eviction:", "bind.native:", "join[0]"):
        assert part in text
    assert "secret_file" in text


def test_missing_id_is_named() -> None:
    assert problems({}) == ["node_id: required"]


def test_bootstrap_needs_this_node_and_a_cluster_id() -> None:
    other = {"id": "n2", "native": "127.0.0.1:1", "resp": "", "http": ""}
    twice = [other, {**other, "native": "127.0.0.1:4"}]
    text = "\n".join(problems({"node_id": "n1", "bootstrap": twice}))
    assert "does not list n1 itself" in text
    assert "n2 is listed twice" in text
    assert "cluster_id: required" in text


def test_a_secret_allows_other_addresses() -> None:
    bind = {"native": "10.0.0.1:7101", "resp": "10.0.0.1:7001", "http": "10.0.0.1:8081"}
    assert "bind.resp" in "\n".join(problems({"node_id": "n1", "bind": bind}))
    assert parse({"node_id": "n1", "bind": bind, "secret_file": "/s"}).bind.resp == "10.0.0.1:7001"


def test_misspelt_variables_are_problems_and_foreign_ones_are_not() -> None:
    assert from_environment({"RINGDECK_HOME": "/x", "RINGDECK_CI": "1", "PATH": "/bin"}) == {}
    with pytest.raises(InvalidConfig, match="did you mean RINGDECK_REPLICAS"):
        from_environment({"RINGDECK_REPLICA": "3"})


@pytest.mark.parametrize(
    ("text", "size"),
    [("256MiB", 256 << 20), ("1.5 GiB", 3 << 29), ("2mb", 2 << 20), ("1048576", 1 << 20)],
)
def test_sizes(text: str, size: int) -> None:
    assert parse({"node_id": "n1", "maxmemory_bytes": text}).maxmemory_bytes == size


def test_bad_assignment() -> None:
    with pytest.raises(InvalidConfig, match="expected KEY=VALUE"):
        from_assignments(["replicas"])


@pytest.mark.parametrize(
    ("text", "pair"),
    [
        ("127.0.0.1:1", ("127.0.0.1", 1)),
        ("[::1]:65535", ("::1", 65535)),
        ("::1:80", None),
        ("host:0", None),
        ("host:65536", None),
        ("host", None),
        (":80", None),
        ("host:٣", None),
    ],
)
def test_addresses(text: str, pair: tuple[str, int] | None) -> None:
    assert split_address(text) == pair


def test_loopback() -> None:
    assert is_loopback("127.8.9.1")
    assert is_loopback("::1")
    assert is_loopback("localhost")
    assert not is_loopback("0.0.0.0")
    assert not is_loopback("localhost.example.com")


@given(
    replicas=st.integers(1, 16),
    weight=st.floats(0.01, 100),
    chaos=st.booleans(),
    joined=st.booleans(),
    zone=st.text(max_size=8),
)
def test_plain_form_round_trips(
    replicas: int, weight: float, chaos: bool, joined: bool, zone: str
) -> None:
    config = replace(
        parse({"node_id": "n1", "write_quorum": 1}),
        replicas=replicas,
        weight=weight,
        enable_chaos=chaos,
        zone=zone,
    )
    if joined:
        config = replace(config, bootstrap=(), join=("127.0.0.1:7101",), cluster_id="")
    assert parse(to_plain(config)) == config


@given(
    st.dictionaries(
        st.sampled_from([entry.name for entry in fields(NodeConfig)] + ["bogus"]),
        st.one_of(
            st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.lists(st.text())
        ),
    )
)
def test_garbage_is_only_ever_invalid(mapping: dict[str, object]) -> None:
    found = None
    try:
        parse(mapping)
    except InvalidConfig as invalid:
        found = invalid.problems
    assert found != []
