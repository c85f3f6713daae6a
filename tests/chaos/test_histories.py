"""Five real nodes under every kind of fault: what their clients saw is judged by the checkers of the
simulation.

``RINGDECK_CHAOS_S`` says for how long faults are begun (every kind is, at least once),
``RINGDECK_CHAOS_SEED`` in which order. The histories and the logs of the nodes stay in the test's folder.
"""

from __future__ import annotations

import faulthandler
import math
import os
import shutil
import time
from pathlib import Path
from random import Random
from typing import Final

import pytest

from console.errors import ConsoleError
from nodecore.simulation.history import History, Operation
from nodecore.simulation.sessions import Rules, check_sessions
from nodecore.simulation.strong_history import Judgement, judge_strong
from tests.chaos.copies import differing_copies
from tests.chaos.nemesis import Nemesis
from tests.chaos.outages import UNAVAILABLE_S_MAX, failures_after, longest_outages, percentile
from tests.chaos.recorder import (
    Calm,
    Client,
    EventualSteps,
    StrongSteps,
    plain,
    read_all,
    write_history,
)
from tests.e2e.harness import Cluster, cluster, wait_until

DURATION_S: Final = float(os.environ.get("RINGDECK_CHAOS_S", "60"))
SEED: Final = int(os.environ.get("RINGDECK_CHAOS_SEED", "1"))
NODES: Final = 5
EVENTUAL_KEYS: Final = 120
CLIENTS: Final = 4
"""Of each kind of key."""
INTERVAL_S: Final = 0.06
STEPS_MAX: Final = 3_000_000
INVERSION_S: Final = 1.0
"""Clocks differ by the skew, and by what a node may run ahead of the others meanwhile."""
CONVERGED_S_MAX: Final = 60.0
OPERATIONS_SHOWN: Final = 60
OK_SHARE_MIN: Final = 0.85
LINK_KINDS: Final = ("cut", "latency", "packet_loss", "corrupt")

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(int(DURATION_S) + 400)]


class Run:
    """A cluster, its clients and its nemesis."""

    def __init__(self, ring: Cluster, folder: Path) -> None:
        self.ring, self.folder = ring, folder
        self.began_s = time.monotonic()
        self.addresses = {node["id"]: node["resp"] for node in ring.nodes}
        self.calm = Calm()
        self.eventual, self.strong = History(), History()
        self.keys = [b"key:%d" % number for number in range(EVENTUAL_KEYS)]
        self.nemesis = Nemesis(
            ring, self.addresses, self.calm, Random(f"nemesis {SEED}"), self.began_s
        )
        self.clients: list[Client] = []
        for number in range(CLIENTS):
            rng = Random(f"eventual {SEED} {number}")
            steps = EventualSteps(self.keys, self.keys[number::CLIENTS], rng)
            level = (b"QUORUM", b"")[number % 2]
            self._add(f"e{number}", self.eventual, steps, rng, level)
        for number in range(CLIENTS):
            rng = Random(f"strong {SEED} {number}")
            label = f"s{number}"
            self._add(label, self.strong, StrongSteps(label, 8, 3, rng), rng, b"")

    def _add(
        self,
        label: str,
        history: History,
        steps: EventualSteps | StrongSteps,
        rng: Random,
        level: bytes,
    ) -> None:
        self.clients.append(
            Client(label, self.addresses, history, steps, INTERVAL_S, self.calm, rng, level)
        )

    def harm(self) -> None:
        """Clients work while one fault follows the other."""
        for client in self.clients:
            client.start()
        end_s = time.monotonic() + DURATION_S
        deck = self.nemesis.deck()
        complete = False
        while not complete or time.monotonic() < end_s:
            self.nemesis.run(deck.pop())
            if not deck:
                complete, deck = True, self.nemesis.deck()
        self.ring.ok("chaos", "heal")
        self.nemesis.settle()

    def stop(self) -> None:
        for client in self.clients:
            client.stop()
        for client in self.clients:
            if client.ident is not None:
                client.join(15.0)

    def copies_differ(self) -> list[str]:
        """Keys whose owners do not all hold the same bytes, version and expiry included."""
        members = self.ring.status()["members"]
        doors = {str(member["id"]): str(member["native"]) for member in members}
        try:
            return differing_copies(doors, next(iter(self.addresses.values())), self.keys)
        except (ConsoleError, OSError) as error:
            return [f"copies could not be compared: {error}"]

    def final_reads(self) -> list[str]:
        """Every key at every node, into the histories."""
        failed: list[str] = []
        strong_keys = list(self.strong.by_key())
        for node, address in sorted(self.addresses.items()):
            failed += read_all(self.eventual, node, address, self.keys, 20.0)
            failed += read_all(self.strong, node, address, strong_keys, 20.0)
        return failed

    def keep(self) -> None:
        """Write down what a person needs to understand the run."""
        write_history(self.folder / "eventual.jsonl", self.eventual, self.began_s)
        write_history(self.folder / "strong.jsonl", self.strong, self.began_s)
        (self.folder / "story.txt").write_text("\n".join(self.nemesis.story) + "\n")
        for log in sorted((self.ring.home / self.ring.name).glob("*/*.log")):
            shutil.copy(log, self.folder / f"{log.parent.name}-{log.name}")

    def report(self, problems: list[str]) -> str:
        """The story of the run, what is wrong, and the operations on the keys it is about."""
        lines = [f"seed {SEED}: {len(problems)} problems", *problems, "", "faults:"]
        lines += self.nemesis.story
        operations = [*self.eventual, *self.strong]
        for key in self._blamed(problems):
            lines += ["", f"{key.decode()}:"]
            about = [plain(op, self.began_s) for op in operations if op.key == key]
            lines += [str(entry) for entry in about[-OPERATIONS_SHOWN:]]
        lines += ["", f"histories, story and logs: {self.folder}"]
        return "\n".join(lines)

    def _blamed(self, problems: list[str]) -> list[bytes]:
        known = [*self.keys, *self.strong.by_key()]
        return [
            key
            for key in known
            if any(
                problem.startswith((f"{key.decode()}: ", f"{key.decode()} "))
                for problem in problems
            )
        ][:3]


def ok_share(histories: list[History]) -> float:
    counts = [history.counts() for history in histories]
    total = sum(sum(count.values()) for count in counts)
    return sum(count["ok"] for count in counts) / max(1, total)


def judge(run: Run, settled_s: float) -> tuple[list[str], Judgement]:
    """Everything that the two histories must show."""
    rules = Rules(INVERSION_S, ordered=False, settled_s=settled_s)
    judgement = judge_strong(run.strong.by_key(), STEPS_MAX)
    return check_sessions(run.eventual, rules) + judgement.violations, judgement


def test_clients_see_nothing_wrong_whatever_breaks(tmp_path: Path) -> None:
    # A run of several minutes is no hang: the limit of this test is its own.
    faulthandler.cancel_dump_traceback_later()
    with cluster(tmp_path, NODES, "--enable-chaos") as ring:
        run = Run(ring, tmp_path)
        problems: list[str] = []
        try:
            with ring.redis(ring.nodes[0]["resp"]) as client:
                wait_until(lambda: client.set("strong:first", "x"), "strong keys are served")
            run.harm()
        except Exception as error:  # the story and the histories say more than the error alone
            problems.append(f"the run broke off: {error!r:.2000}")
        finally:
            run.stop()
            run.keep()
        if not problems:
            try:
                wait_until(lambda: not run.copies_differ(), "copies agree", CONVERGED_S_MAX, 0.5)
            except AssertionError:
                problems += run.copies_differ()[:10]
            settled_s = time.monotonic()
            problems += run.final_reads()
        else:
            settled_s = math.inf
        run.keep()
    found, judgement = judge(run, settled_s)
    problems += found
    histories = [run.eventual, run.strong]
    outages_s = longest_outages(histories, run.nemesis.kills)
    p99_s = percentile(outages_s, 0.99)
    late = failures_after(histories, run.nemesis.kills)
    print(
        f"seed {SEED}: {[history.counts() for history in histories]}, "
        f"{judgement.judged} strong keys judged, {judgement.inconclusive} inconclusive, "
        f"{len(run.nemesis.kills)} kills, unavailable {p99_s:.2f} s at p99, "
        f"{len(late)} failures later than {UNAVAILABLE_S_MAX:g} s, {ok_share(histories):.1%} ok"
    )
    if p99_s > UNAVAILABLE_S_MAX:
        problems.append(f"unavailable for {p99_s:.2f} s after a kill")
    idle = [kind for kind in LINK_KINDS if not run.nemesis.hits.get(kind)]
    if idle and not problems:
        problems.append(f"faults that acted on nothing: {idle}")
    problems += [f"late failure {plain(operation, run.began_s)}" for operation in late[:10]]
    if judgement.inconclusive > judgement.judged * 0.05:
        problems.append(f"{judgement.inconclusive} of {judgement.judged} keys were not judged")
    if ok_share(histories) < OK_SHARE_MIN:
        problems.append(f"only {ok_share(histories):.1%} of the operations succeeded")
    assert not problems, run.report(problems)


def test_a_failure_names_the_faults_the_operations_and_the_folder(tmp_path: Path) -> None:
    ring = Cluster(tmp_path)
    ring.nodes = [{"id": "n1", "resp": "127.0.0.1:1"}]
    run = Run(ring, tmp_path)
    run.nemesis.tell("kill -9 n1")
    lost = Operation("e0.0", "write", b"key:7", b"key:7#1#0#", run.began_s + 1.0, sequence=1)
    run.eventual.begin(lost)
    run.eventual.begin(Operation("e0.0", "read", b"key:70", None, run.began_s + 2.0))
    run.keep()
    text = run.report(["key:7 read by final-n1 at 9.0: a miss"])
    assert "kill -9 n1" in text
    assert "'value': 'key:7#1#0#'" in text
    assert "key:70" not in text
    assert str(tmp_path) in text
    assert len((tmp_path / "eventual.jsonl").read_text().splitlines()) == 2
    assert "kill -9 n1" in (tmp_path / "story.txt").read_text()
