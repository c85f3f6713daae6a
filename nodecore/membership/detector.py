"""Probing: one member per interval, directly, then through others.

Members are probed round-robin in an order that is shuffled for every round, so each is probed once
a round by everybody and the time to the first probe of a dead one is bounded. A member that does
not ack in time is probed through up to three others before the probe counts as failed. Helpers say
"nack" when they heard nothing either: then our own link to the world is fine, and so is our health.

It reports successes and failures; what they mean for a member's status is ``membership``'s.

Sources: Das, Gupta and Motivala, "SWIM" (2002), 3.1 and 4.3; "Lifeguard" for nacks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from typing import Final, NamedTuple, final

from nodecore.ids import NodeId, Now
from nodecore.membership.awareness import Awareness
from nodecore.membership.settings import MembershipSettings
from nodecore.timers import Timer, Timers
from transport.messages import Ack, Message, Nack, Probe, ProbeRequest

RELAYS_MAX: Final = 1024
"""Probes on behalf of others in flight; more are not answered (and counted)."""


class DetectorPorts(NamedTuple):
    """How the detector reaches its composer."""

    send: Callable[[NodeId, Message], None]
    updates_for: Callable[[NodeId], object]
    """Claims to ride on a message to that member."""
    epoch: Callable[[], int]
    helpers: Callable[[NodeId], Sequence[NodeId]]
    """Members that may probe this one for us."""
    on_success: Callable[[NodeId, Now], None]
    on_failure: Callable[[NodeId, Now], None]
    on_late: Callable[[float, Now], None]
    """This process ran a timer so many seconds late."""


@final
class _Outstanding:
    """A probe of our own."""

    __slots__ = ("helpers", "nacks", "sent", "target", "timer")

    def __init__(self, target: NodeId, sent: Now) -> None:
        self.target = target
        self.sent = sent
        self.helpers = 0
        self.nacks = 0
        self.timer: Timer | None = None


class _Relay(NamedTuple):
    """A probe on behalf of another."""

    origin: NodeId
    sequence: int
    timer: Timer


@final
class Detector:
    """See the module."""

    def __init__(
        self,
        ports: DetectorPorts,
        timers: Timers,
        rng: Random,
        settings: MembershipSettings,
        awareness: Awareness,
    ) -> None:
        self.probes = 0
        self.indirect_probes = 0
        self.failures = 0
        """Probes that failed directly and indirectly."""
        self._ports = ports
        self._timers = timers
        self._rng = rng
        self._settings = settings
        self._awareness = awareness
        self._sequence = 0
        self._targets: tuple[NodeId, ...] = ()
        self._round: list[NodeId] = []
        self._outstanding: dict[int, _Outstanding] = {}
        self._relays: dict[int, _Relay] = {}
        self._tick: Timer | None = None

    def set_targets(self, targets: Sequence[NodeId], now: Now) -> None:
        """Whom to probe; probing runs while there is anybody."""
        self._targets = tuple(targets)
        self._round = [node for node in self._round if node in self._targets]
        for sequence, probe in list(self._outstanding.items()):
            if probe.target not in self._targets:
                self._drop(sequence)
        if not self._targets:
            self._timers.cancel(self._tick)
            self._tick = None
        elif self._tick is None:
            # Nodes that start together must not probe in step.
            delay_s = self._settings.probe_interval_s * self._rng.random()
            self._schedule_tick(now.mono_s + delay_s)

    def probe(self, target: NodeId, now: Now) -> None:
        """Probe a member at once, unless a probe of it is under way."""
        if any(probe.target == target for probe in self._outstanding.values()):
            return
        self.probes += 1
        self._sequence += 1
        sequence = self._sequence
        probe = self._outstanding[sequence] = _Outstanding(target, now)
        at_s = now.mono_s + self._awareness.scale(self._settings.probe_timeout_s)
        probe.timer = self._timers.schedule(
            at_s, lambda now: self._ask_helpers(sequence, at_s, now)
        )
        self._send_probe(target, sequence)

    def forget_outstanding(self) -> None:
        """Give up all probes without a verdict: what was not heard while we slept proves nothing."""
        for sequence in list(self._outstanding):
            self._drop(sequence)

    def on_ack(self, peer: NodeId, message: Ack, now: Now) -> tuple[NodeId, Now] | None:
        """A probe was answered. Gives (target, when it was sent) for a direct ack of our own probe."""
        relay = self._relays.pop(message.sequence, None)
        if relay is not None:
            self._timers.cancel(relay.timer)
            self._ports.send(relay.origin, Ack(relay.sequence, message.epoch, message.updates))
            return None
        probe = self._outstanding.get(message.sequence)
        if probe is None:
            return None
        self._drop(message.sequence)
        self._awareness.improve()
        self._ports.on_success(probe.target, now)
        return (probe.target, probe.sent) if peer == probe.target else None

    def on_nack(self, message: Nack) -> None:
        """A helper heard nothing from the target either."""
        probe = self._outstanding.get(message.sequence)
        if probe is not None:
            probe.nacks += 1

    def on_probe_request(self, peer: NodeId, message: ProbeRequest, now: Now) -> None:
        """Probe for another member."""
        target = NodeId(message.target)
        if target not in self._targets or len(self._relays) >= RELAYS_MAX:
            self._ports.send(peer, Nack(message.sequence))
            return
        self._sequence += 1
        sequence = self._sequence
        at_s = now.mono_s + self._settings.probe_timeout_s
        timer = self._timers.schedule(at_s, lambda _: self._nack(sequence))
        self._relays[sequence] = _Relay(peer, message.sequence, timer)
        self._send_probe(target, sequence)

    def _nack(self, sequence: int) -> None:
        relay = self._relays.pop(sequence, None)
        if relay is not None:
            self._ports.send(relay.origin, Nack(relay.sequence))

    def _schedule_tick(self, at_s: float) -> None:
        self._tick = self._timers.schedule(at_s, lambda now: self._on_tick(at_s, now))

    def _on_tick(self, at_s: float, now: Now) -> None:
        if not self._targets:
            return
        interval_s = self._awareness.scale(self._settings.probe_interval_s)
        self._schedule_tick(now.mono_s + interval_s)
        if not self._check_late(at_s, now):
            self.probe(self._next_target(), now)

    def _next_target(self) -> NodeId:
        if not self._round:
            self._round = list(self._targets)
            self._rng.shuffle(self._round)
        return self._round.pop()

    def _send_probe(self, target: NodeId, sequence: int) -> None:
        updates = self._ports.updates_for(target)
        self._ports.send(target, Probe(sequence, self._ports.epoch(), updates))

    def _ask_helpers(self, sequence: int, due_s: float, now: Now) -> None:
        probe = self._outstanding.get(sequence)
        if probe is None or self._check_late(due_s, now):
            return
        candidates = list(self._ports.helpers(probe.target))
        helpers = self._rng.sample(candidates, min(len(candidates), self._settings.indirect_probes))
        probe.helpers = len(helpers)
        self.indirect_probes += len(helpers)
        for helper in helpers:
            updates = self._ports.updates_for(helper)
            self._ports.send(helper, ProbeRequest(sequence, probe.target, updates))
        # Time for a helper's own probe and its way here; the direct ack may still come too.
        factor = 1.5 if helpers else 1.0
        at_s = now.mono_s + self._awareness.scale(factor * self._settings.probe_timeout_s)
        probe.timer = self._timers.schedule(at_s, lambda now: self._give_up(sequence, at_s, now))

    def _give_up(self, sequence: int, due_s: float, now: Now) -> None:
        probe = self._outstanding.get(sequence)
        if probe is None or self._check_late(due_s, now):
            return
        self._drop(sequence)
        self.failures += 1
        if probe.helpers and probe.nacks == 0:
            self._awareness.worsen()
        self._ports.on_failure(probe.target, now)

    def _check_late(self, due_s: float, now: Now) -> bool:
        late_s = now.mono_s - due_s
        if late_s < self._settings.late_s:
            return False
        self._ports.on_late(late_s, now)
        return True

    def _drop(self, sequence: int) -> None:
        probe = self._outstanding.pop(sequence)
        self._timers.cancel(probe.timer)
