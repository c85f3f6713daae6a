"""Any node answers for the whole cluster, in bounded time and at a bounded cost."""

from __future__ import annotations

from typing import Any

from nodecore.cluster_figures import ANSWER_S, FRESH_S, KEY_BYTES_SENT_MAX, lean_figures
from nodecore.errors import Code
from nodecore.requests import Done, Failed, Outcome, Read, Write
from nodecore.statistics import KeyHeat, NodeStatistics
from tests.nodecore.node_pump import Pump
from transport.messages import Admin, AdminReply, Lane


def ask(pump: Pump, name: str, verb: str) -> list[Outcome]:
    outcomes: list[Outcome] = []
    node = pump.nodes[name]
    outcome = node.admin(verb, {}, lambda found, _now: outcomes.append(found), pump.now)
    pump.drain(name)
    if outcome is not None:
        outcomes.append(outcome)
    return outcomes


def result(outcomes: list[Outcome]) -> Any:
    (outcome,) = outcomes
    assert isinstance(outcome, Done), outcome
    return outcome.result


def questions(pump: Pump) -> int:
    return sum(type(send.message) is Admin for _name, send in pump.sent)


def test_every_node_gives_the_same_status_with_everybodys_figures() -> None:
    pump = Pump(3)
    pump.submit("n1", Write((b"a", b"b"), (b"1", b"2")))
    pump.run(0.1)
    answers = [ask(pump, name, "cluster.status") for name in pump.nodes]
    pump.run(0.1)
    first, second, third = (result(answer) for answer in answers)
    assert first == second == third
    assert (first["epoch"], first["state"]) == (pump.nodes["n1"].epoch(), "stable")
    members = first["members"]
    assert [member["id"] for member in members] == ["n1", "n2", "n3"]
    assert [member["status"] for member in members] == ["alive"] * 3
    assert [member["keys"] for member in members] == [2, 2, 2]
    assert sum(member["slots_primary"] for member in members) == 16_384
    assert sum(member["slots_replica"] for member in members) == 2 * 16_384
    assert all(member["ops_per_s"] is not None for member in members)


def test_rates_are_those_of_the_last_complete_second() -> None:
    pump = Pump(1)
    pump.run(1.0)
    for number in range(200):
        pump.submit("n1", Write((b"k%d" % number,), (b"v",)))
    pump.submit("n1", Read((b"k1", b"k2")))
    pump.run(1.3)
    busy = result(ask(pump, "n1", "cluster.status"))["members"][0]["ops_per_s"]
    assert 130 <= busy <= 202
    pump.run(2.5)
    assert result(ask(pump, "n1", "cluster.status"))["members"][0]["ops_per_s"] == 0.0


def test_a_member_that_does_not_answer_is_unknown_after_the_deadline() -> None:
    pump = Pump(3)
    pump.nodes["n3"].admin = lambda *_arguments: None  # type: ignore[method-assign]
    answers = ask(pump, "n1", "cluster.status")
    pump.run(ANSWER_S - 0.05)
    assert answers == []
    pump.run(0.1)
    members = result(answers)["members"]
    assert [member["pid"] is None for member in members] == [False, False, True]
    assert members[2]["keys"] is members[2]["ops_per_s"] is None
    assert members[2]["status"] == "alive"


def test_a_dead_member_costs_no_wait_once_it_is_noticed() -> None:
    pump = Pump(3)
    pump.kill("n2")
    pump.run(8.0)
    answers = ask(pump, "n1", "cluster.status")
    pump.run(0.01)
    dead = result(answers)["members"][1]
    assert (dead["id"], dead["pid"], dead["status"]) == ("n2", None, "failed")
    heat = ask(pump, "n3", "cluster.hot-keys")
    pump.run(0.01)
    assert (result(heat)["nodes"], result(heat)["silent"]) == (["n1", "n3"], ["n2"])


def test_a_link_that_is_gone_is_not_waited_for() -> None:
    pump = Pump(2)
    pump.dead["n2"] = True
    answers = ask(pump, "n1", "cluster.breakers")
    assert result(answers)["silent"] == ["n2"]


def test_pollers_share_rounds_and_fresh_answers() -> None:
    pump = Pump(3)
    pump.sent.clear()
    waiting = [ask(pump, "n1", "cluster.status") for _ in range(20)]
    assert questions(pump) == 2
    pump.run(0.01)
    assert all(result(answer) is result(waiting[0]) for answer in waiting)
    assert result(ask(pump, "n1", "cluster.status")) is result(waiting[0])
    pump.run(FRESH_S)
    again = ask(pump, "n1", "cluster.status")
    pump.run(0.01)
    assert result(again) is not result(waiting[0])
    assert questions(pump) == 4


def test_more_questions_than_a_round_holds_are_refused() -> None:
    pump = Pump(2)
    pump.nodes["n2"].admin = lambda *_arguments: None  # type: ignore[method-assign]
    outcomes = [ask(pump, "n1", "cluster.status") for _ in range(300)]
    refused = [found[0] for found in outcomes if found]
    assert len(refused) == 300 - 256
    assert all(isinstance(found, Failed) and found.code is Code.OVERLOADED for found in refused)
    pump.run(1.1)
    assert all(len(found) == 1 for found in outcomes)


def test_hot_keys_are_added_up_over_the_nodes() -> None:
    pump = Pump(3)
    for number, node in enumerate(pump.nodes.values()):
        node.heat.hot_keys = (
            KeyHeat(b"both", 10.0, 1.0, 5),
            KeyHeat(b"own%d" % number, 2.0, 0.0, 6),
        )
    answers = ask(pump, "n2", "cluster.hot-keys")
    pump.run(0.01)
    first, *others = result(answers)["hot_keys"]
    assert (first["key"], first["reads_per_s"], first["writes_per_s"]) == (b"both", 30.0, 3.0)
    assert [heat["key"] for heat in others] == [b"own0", b"own1", b"own2"]


def test_breakers_of_all_members_say_whose_they_are() -> None:
    pump = Pump(3)
    pump.admin("n3", "breaker.force", peer="n1", state="forced-open")
    answers = ask(pump, "n1", "cluster.breakers")
    pump.run(0.01)
    listed = result(answers)["circuit_breakers"]
    assert sorted((b["node"], b["peer"]) for b in listed) == [
        (node, peer) for node in pump.nodes for peer in pump.nodes if node != peer
    ]
    forced = [(b["node"], b["peer"]) for b in listed if b["state"] == "forced-open"]
    assert forced == [("n3", "n1")]


def test_an_answer_of_another_shape_counts_as_silence() -> None:
    pump = Pump(2)
    answers = ask(pump, "n1", "cluster.status")
    node = pump.nodes["n1"]
    stream = pump.sent[-1][1].stream
    assert pump.sent[-1][1].lane is Lane.CONTROL
    node.on_message(pump.nodes["n2"].node_id, stream, Lane.CONTROL, AdminReply([1]), pump.now)
    assert result(answers)["members"][1]["pid"] is None
    pump.run(1.5)
    assert len(answers) == 1


def test_parts_are_checked_and_keys_fit_one_message() -> None:
    pump = Pump(1)
    refused = pump.admin("n1", "figures", of="everything")
    assert isinstance(refused, Failed)
    assert "breakers, hot-keys, status" in refused.text
    long = tuple(KeyHeat(bytes(60_000), 1.0, 0.0, 1) for _ in range(50))
    plain = lean_figures(NodeStatistics("n1", 1, 1.0, hot_keys=long), "hot-keys")
    sent = plain["hot_keys"]
    assert isinstance(sent, list)
    assert len(sent) == KEY_BYTES_SENT_MAX // 60_000
