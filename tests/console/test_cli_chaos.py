"""The commands of faults: one for each kind of the catalogue, with its attributes as options."""

from __future__ import annotations

import json
from collections.abc import Sequence
from types import SimpleNamespace

import pytest

from console.cli import run
from console.cli_chaos import PRESETS
from console.runtime import cluster_commands, fault_commands
from console.runtime.fault_commands import FaultRequest
from transport.faults import KINDS, parse_fault


@pytest.fixture
def requests(monkeypatch: pytest.MonkeyPatch) -> list[FaultRequest]:
    """What commands ask of a cluster of one node."""
    found: list[FaultRequest] = []
    record = SimpleNamespace(nodes=[SimpleNamespace(id="n3")])

    async def add(_doors: object, nodes: Sequence[str], request: FaultRequest) -> str:
        assert nodes == ["n3"]
        found.append(request)
        return "done"

    monkeypatch.setattr(
        cluster_commands, "running_cluster", lambda _: SimpleNamespace(record=record)
    )
    monkeypatch.setattr(cluster_commands, "reachable", lambda _: {})
    monkeypatch.setattr(fault_commands, "add_fault", add)
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_a_command_that_needs_only_a_target(
    kind: str, requests: list[FaultRequest]
) -> None:
    assert run(["chaos", kind, "n3"]) == 0
    (request,) = requests
    assert (request.kind, request.target, request.for_s) == (kind, "n3", 60.0)
    place = KINDS[kind].place
    plain = {"kind": kind, "link": "a->b" if place == "link" else place}
    spec = parse_fault({**plain, "attributes": dict(request.attributes)})
    assert spec.attributes == request.attributes


@pytest.mark.parametrize("kind", [kind for kind in KINDS if KINDS[kind].place != "link"])
def test_faults_of_disks_and_clocks_are_found_under_their_part(
    kind: str, requests: list[FaultRequest]
) -> None:
    assert run(["chaos", KINDS[kind].place, kind.replace("_", "-"), "n3"]) == 0
    assert run(["chaos", kind, "n3"]) == 0
    assert requests[0] == requests[1]


@pytest.mark.parametrize("kind", KINDS)
def test_every_attribute_is_an_option_within_its_bounds(
    kind: str, requests: list[FaultRequest]
) -> None:
    for attribute in KINDS[kind].attributes:
        flag = f"--{attribute.name.replace('_', '-')}"
        assert run(["chaos", kind, "n3", flag, str(attribute.high)]) == 0
        assert requests[-1].attributes[attribute.name] == attribute.high
        assert run(["chaos", kind, "n3", flag, str(attribute.high + 1)]) == 2


def test_common_options_reach_the_fault(requests: list[FaultRequest]) -> None:
    typed = ["--for", "2m", "--control", "--stream", "both", "--toxicity", "0.5"]
    assert run(["chaos", "latency", "n1->n2", *typed]) == 0
    request = requests[-1]
    assert (request.target, request.for_s, request.control) == ("n1->n2", 120.0, True)
    assert (request.stream, request.toxicity) == ("both", 0.5)
    assert run(["chaos", "cut", "n3"]) == 0
    assert (requests[-1].control, requests[-1].stream) == (True, "both")
    assert run(["chaos", "skew", "n3", "--toxicity", "0.5"]) == 2, "a clock has no connections"


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_says_for_a_script_what_it_did(
    kind: str, requests: list[FaultRequest], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["chaos", kind, "n3", "--for", "forever", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "id": "done",
        "kind": kind,
        "target": "n3",
        "for_s": None,
        "attributes": dict(requests[-1].attributes),
    }


def test_presets_belong_to_the_catalogue() -> None:
    known = {(kind, one.name) for kind, entry in KINDS.items() for one in entry.attributes}
    assert set(PRESETS) <= known
