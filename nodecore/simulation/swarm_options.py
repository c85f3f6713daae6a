"""What one swarm seed is about: a random configuration, and a random subset of the faults.

A subset, because faults hide each other: a run with every fault at once never gets to where one alone
would lead. Everything is drawn from the seed by name, so that a new field does not shift the others.
This module draws; ``swarm`` acts.

Source of the idea: Groce et al., "Swarm Testing", 2012.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from random import Random
from typing import Final

from nodecore.simulation.cluster import ClusterOptions
from nodecore.simulation.network import NetworkOptions
from nodecore.simulation.sessions import Rules, Span
from nodecore.simulation.sites import CRASH_AMONG_EFFECTS, SITES
from nodecore.simulation.workload import WorkloadOptions
from nodecore.simulation.world import World

JUMP_AHEAD_MS_MAX: Final = 2_000.0
"""Somebody sets a clock; back it may go further."""

RATES: Final[dict[str, tuple[float, float]]] = {
    "cut-one-way": (0.1, 0.5),
    "cut-two-ways": (0.1, 0.5),
    "swizzle": (0.05, 0.2),
    "pause": (0.1, 0.6),
    "crash": (0.1, 0.4),
    "crash-wiped": (0.1, 0.3),
    "crash-torn": (0.1, 0.3),
    "wipe-witness": (0.3, 0.8),
    "jump": (0.1, 0.3),
    "join": (0.2, 0.6),
    "leave": (0.2, 0.6),
    "replace": (0.1, 0.3),
    "slow": (0.1, 0.6),
    "flush": (0.1, 0.4),
    "age": (0.3, 0.8),
}
"""Faults that happen at moments: the least and greatest rate, in events each second."""

QUORUMS: Final = (*((3, 2, 1),) * 5, (3, 2, 2), (3, 3, 1), (3, 1, 1))
"""(N, W, R) of the default keyspace; the product's own default more often."""

STRONG_SERVED: Final = True
"""Whether strong keyspaces are served, so that seeds may work on them."""

_RUN_S_MAX: Final = 30.0
"""Leases are taken in the first seconds of a run only."""
MEMBERS_MAX: Final = 6
"""Joins stop here."""


@dataclass(frozen=True, slots=True)
class SwarmOptions:
    """Everything that a seed decides beforehand."""

    members: int
    replicas: int
    write_quorum: int
    read_quorum: int
    placement: str
    keys: int
    clients: int
    interval_s: float
    writes: float
    deletes: float
    filler_bytes: int
    strong: bool
    """Whether keys of a strong keyspace are worked on, too."""
    strong_alone: bool
    """Whether the phase of faults works on strong keys only: then any number of processes may be
    killed at once, because strong keys are on disk."""
    rivals: bool
    """Whether every node runs the changes that it is asked for, so that proposers meet."""
    leases: bool
    """Whether clients take leases, too: where clocks are not set wrong."""
    strong_registers: int
    """How many of them; seldom used ones show what an owner has missed."""
    rates: Mapping[str, float]
    """Of the faults that this seed enables, in events each second."""
    sites: Mapping[str, float]
    """Probabilities of the sites that this seed enables."""
    delay_s_mean: float
    """Of a message: across a room, or across a country. What is under way at the same time as what
    depends on it."""
    restart_s_max: float
    """How long a process that was killed stays away at most, unless it is meant to."""
    control_loss: float
    control_duplication: float
    control_reordering: float
    skew_ms: float
    drift: float
    down_grace_s: float
    safety_s: float
    liveness_s: float
    table: str = "auto"
    """Makes no difference to any run; see ``make_table``."""

    @property
    def binding_level(self) -> bytes:
        """The level at which an acknowledged write has at least W copies."""
        return b"ALL" if self.write_quorum > self.replicas // 2 + 1 else b"QUORUM"

    def rules(self, settled_s: float, flushes: Sequence[Span], lapses: Sequence[float]) -> Rules:
        """What a run of this seed promises, whose owners agree from ``settled_s`` on, see ``Rules``."""
        inversion_s = 0.1
        if self.skew_ms > 50.0 or "jump" in self.rates:
            # Clocks jump by what a peer accepts at most, beyond their skew.
            inversion_s = 1.0 + 2.0 * self.skew_ms / 1000.0
        return Rules(
            inversion_s=inversion_s,
            ahead_s=JUMP_AHEAD_MS_MAX / 1000.0 if "jump" in self.rates else 0.0,
            ordered=self.clocks_sound,
            settled_s=settled_s,
            flushes=flushes,
            lapses=lapses,
        )

    @property
    def clocks_sound(self) -> bool:
        """Whether no node can be right to make no versions."""
        return self.skew_ms <= 180.0 and "jump" not in self.rates

    @property
    def clocks_differ_s(self) -> float:
        """By how much the clocks of two nodes may differ, where nobody sets them."""
        return 0.01 + 2.0 * (self.skew_ms / 1000.0 + self.drift * _RUN_S_MAX)

    def cluster(self) -> ClusterOptions:
        """The cluster of this seed."""
        network = NetworkOptions(
            delay_s_mean=self.delay_s_mean,
            cut_noticed_s_min=1.0,
            cut_noticed_s_max=6.0,
            control_loss=self.control_loss,
            control_duplication=self.control_duplication,
            control_reordering=self.control_reordering,
        )
        settings = {
            "replicas": self.replicas,
            "write_quorum": self.write_quorum,
            "read_quorum": self.read_quorum,
            "placement": self.placement,
            "down_grace_s": self.down_grace_s,
            "table": self.table,
        }
        return ClusterOptions(
            self.members, network, self.drift, self.skew_ms, settings, rivals=self.rivals
        )

    def workload(self) -> WorkloadOptions:
        """The load of this seed: two of three clients ask for copies that bind."""
        return WorkloadOptions(
            clients=self.clients,
            keys=self.keys,
            interval_s=self.interval_s,
            writes=self.writes,
            deletes=self.deletes,
            filler_bytes=self.filler_bytes,
            levels=(self.binding_level, b"", self.binding_level),
            roam=True,
        )

    def lines(self) -> list[str]:
        """All of it, for a person who has a failure to explain."""
        return [f"{field.name} = {_shown(getattr(self, field.name))}" for field in fields(self)]


def _shown(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {number:.3g}" for name, number in value.items()) or "none"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def draw(seed: int, *, strong: bool = STRONG_SERVED) -> SwarmOptions:
    """The options of a seed.

    Args:
        seed: decides everything.
        strong: whether strong keys are worked on; which seeds do is drawn.
    """
    world = World(seed)

    def rng(name: str) -> Random:
        return world.rng(f"swarm:{name}")

    replicas, write_quorum, read_quorum = rng("quorums").choice(QUORUMS)
    control = rng("control")
    rates = _rates(rng("rates"), rng("share").choice((0.2, 0.4, 0.6)))
    # A flush empties strong keys as well; no register is a model of that.
    works_on_strong = strong and "flush" not in rates and rng("strong").random() < 0.7
    strong_alone = works_on_strong and rng("alone").random() < 0.5
    changes = [name for name in ("join", "leave") if name in rates]
    if works_on_strong and changes and rng("split").random() < 0.5:
        rates["split-change"] = rng("split-rate").uniform(0.5, 1.0)
    sites = _sites(rng)
    if strong_alone:
        # What an acceptor forgets does harm only to rounds that are under way when it dies.
        rates["crash"] = rng("crash").uniform(0.5, 3.0)
        rates["slow"] = rng("slow").uniform(0.5, 2.0)
        if rng("promises").random() < 0.5:
            rates["kill-promiser"] = rng("promiser").uniform(1.0, 3.0)
        sites[CRASH_AMONG_EFFECTS] = rng("among").uniform(0.001, 0.004)
    rivals = works_on_strong and rng("rivals").random() < 0.5
    members = rng("members").choice((3, 3, 4, 4, 5))
    ambushed = rivals and rng("ambush").random() < 0.75
    if ambushed:
        # It takes a calm cluster to get into one: of the other faults few remain.
        kept = rng("ambush-beside").sample(list(rates), min(len(rates), 2))
        rates = {name: 0.5 * rates[name] for name in kept} | {"ambush": 6.0}
        members = max(members, 4)
        sites.pop(CRASH_AMONG_EFFECTS, None)
    return SwarmOptions(
        members=members,
        replicas=replicas,
        write_quorum=write_quorum,
        read_quorum=read_quorum,
        placement=rng("placement").choice(("ring", "ring", "even")),
        keys=rng("keys").randint(1, 20),
        clients=rng("clients").randint(3, 5),
        interval_s=rng("interval").uniform(0.03, 0.08) * (2.0 if ambushed else 1.0),
        writes=rng("writes").uniform(0.1, 0.6),
        deletes=rng("deletes").choice((0.0, 0.1, 0.3)),
        filler_bytes=rng("filler").choice((1, 40, 40, 500, 5000)),
        strong=works_on_strong,
        strong_alone=strong_alone,
        rivals=rivals,
        leases=works_on_strong
        and rng("leases").random() < 0.4
        and not {"jump", "age"} & set(rates),
        strong_registers=rng("registers").choice((2, 6)),
        rates=rates,
        sites=sites,
        delay_s_mean=rng("delay").choice((0.0005, 0.02 if strong_alone else 0.0005, 0.02)),
        restart_s_max=rng("restart").choice((0.02, 0.8)) if strong_alone else 3.0,
        control_loss=control.choice((0.0, 0.0, control.uniform(0.0, 0.05))),
        control_duplication=control.choice((0.0, 0.0, 0.05)),
        control_reordering=control.choice((0.0, 0.0, 0.1)),
        skew_ms=rng("skew").choice((5.0, 20.0, 125.0, 250.0)),
        drift=rng("drift").choice((0.0, 0.0002, 0.001)),
        down_grace_s=rng("grace").choice((1.5, 3.0, 15.0)),
        safety_s=rng("safety").uniform(3.0, 5.0) + (5.0 if ambushed else 0.0),
        liveness_s=3.5,
    )


def _sites(rng: Callable[[str], Random]) -> dict[str, float]:
    return {
        name: probability * rng(f"site:{name}").uniform(0.5, 2.0)
        for name, probability in SITES.items()
        if rng(f"enable:{name}").random() < 0.3
    }


def _rates(rng: Random, share: float) -> dict[str, float]:
    """Each fault with the same chance; no fault at all is a configuration, too."""
    found: dict[str, float] = {}
    for name, (low, high) in RATES.items():
        chosen, rate = rng.random() < share, rng.uniform(low, high)
        if chosen:
            found[name] = rate
    return found
