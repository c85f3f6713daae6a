"""Who is alive, as this node sees it: probes, suspicions, gossip and the majority's verdict.

A member that does not answer is *suspect* at once (requests are routed around it). The suspicion
runs out, later when fewer others share it; then this node makes sure with one more probe and, if
that fails as well, claims so to everybody. When a majority of the voters claims it, the member is
*failed*. The member itself refutes by raising its incarnation. Only members of the topology are
judged; nothing here changes who is one.

A process that was paused must not take its own silence for the others': when a timer fires late,
outstanding probes are forgotten and running suspicions begin anew.

Sources: "SWIM" (2002); "Lifeguard" (arXiv 1707.00788); HashiCorp memberlist for the vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Final, final

from nodecore.effects import Emit, Severity
from nodecore.ids import Incarnation, NodeId, Now
from nodecore.membership.awareness import Awareness
from nodecore.membership.clock_offsets import ClockOffsets
from nodecore.membership.detector import Detector, DetectorPorts
from nodecore.membership.gossip import CLAIMS_PER_MESSAGE, CLAIMS_RECEIVED_MAX, GossipQueue
from nodecore.membership.members import (
    Claim,
    MemberState,
    Merged,
    Status,
    condemned,
    merge,
    parse_claims,
    plain_claims,
    refutation,
)
from nodecore.membership.ports import MembershipPorts
from nodecore.membership.settings import MembershipSettings
from nodecore.membership.suspicion import Suspicions
from nodecore.timers import Timer, Timers
from transport.messages import Ack, Gossip, Lane, Message, Nack, Probe, ProbeRequest

_SEVERITY: Final = {
    Status.ALIVE: Severity.NOTICE,
    Status.SUSPECT: Severity.WARNING,
    Status.FAILED: Severity.ERROR,
    Status.LEFT: Severity.NOTICE,
}


@final
class Membership:
    """See the module."""

    def __init__(
        self,
        node_id: NodeId,
        incarnation: Incarnation,
        ports: MembershipPorts,
        timers: Timers,
        rng: Random,
        settings: MembershipSettings | None = None,
    ) -> None:
        self.node_id = node_id
        self.incarnation = incarnation
        """This node's own; rises when it refutes."""
        self.refutations = 0
        self.refused = 0
        """Messages with malformed claims."""
        self.pauses = 0
        """Times that this process found itself late."""
        self.awareness = Awareness()
        self._ports = ports
        self._timers = timers
        self._rng = rng
        self._settings = settings or MembershipSettings()
        self._queue = GossipQueue()
        self._states: dict[NodeId, MemberState] = {}
        self._voters: tuple[tuple[NodeId, ...], ...] = ()
        self._suspicions = Suspicions(timers, self._settings, self._on_suspicion_over)
        self._gossip_timer: Timer | None = None
        self._repeat_timer: Timer | None = None
        self._left = False
        self._clocks = ClockOffsets()
        self.detector = Detector(
            DetectorPorts(
                self._send,
                self._updates_for,
                ports.epoch,
                self._helpers,
                self._on_success,
                self._on_failure,
                self.on_loop_lag,
            ),
            timers,
            rng,
            self._settings,
            self.awareness,
        )

    def set_members(
        self,
        members: Sequence[NodeId],
        now: Now,
        voter_sets: Sequence[Sequence[NodeId]] = (),
    ) -> None:
        """The topology changed. New members are taken to be alive until a probe fails.

        ``voter_sets``: of which each must give a majority to call a member failed; empty: one set
        of all members.
        """
        others = [node for node in dict.fromkeys(members) if node != self.node_id]
        for node in [node for node in self._states if node not in others]:
            del self._states[node]
            self._suspicions.end(node)
            self._queue.forget(node)
            self._clocks.forget(node)
        for node in others:
            self._states.setdefault(node, MemberState())
        self._voters = tuple(tuple(voters) for voters in voter_sets) or (tuple(members),)
        self.detector.set_targets([] if self._left else others, now)
        if self._repeat_timer is None and others:
            self._repeat(now)
        for node in others:
            self._judge(node, now)

    def status(self, node: NodeId) -> Status | None:
        """What is believed about a member; None for strangers."""
        if node == self.node_id:
            return Status.LEFT if self._left else Status.ALIVE
        state = self._states.get(node)
        return None if state is None else state.status

    def incarnation_of(self, node: NodeId) -> Incarnation:
        """Newest incarnation known of a member; 0 when none is."""
        if node == self.node_id:
            return self.incarnation
        state = self._states.get(node)
        return Incarnation(0) if state is None else state.incarnation

    def is_live(self, node: NodeId) -> bool:
        """Whether requests are routed to the member: it is this node, or alive and not suspect."""
        state = self._states.get(node)
        return node == self.node_id if state is None else state.status is Status.ALIVE

    def live_nodes(self) -> list[NodeId]:
        """Members that requests are routed to, this node included, in order of their ids."""
        live = [node for node, state in self._states.items() if state.status is Status.ALIVE]
        return sorted([*live, self.node_id])

    def suspected_by(self, node: NodeId) -> tuple[NodeId, ...]:
        """Who claims the member to be suspect or failed, as far as is known here."""
        state = self._states.get(node)
        return () if state is None else tuple(sorted(state.suspected_by))

    def clock_offset_ms(self) -> float:
        """Median offset of the peers' wall clocks against ours; positive: they are ahead."""
        return self._clocks.median_ms()

    def hint_unreachable(self, node: NodeId, now: Now, *, refused: bool = False) -> None:
        """A link to the member died: probe it now. ``refused``: nobody listens there any more, so it
        is suspect at once.
        """
        if node not in self._states or self._left:
            return
        if refused:
            self._claim(node, Status.SUSPECT, now)
        self.detector.probe(node, now)

    def on_loop_lag(self, lag_s: float, now: Now) -> None:
        """This process ran late by so much: doubt ourselves before others."""
        if lag_s < self._settings.late_s:
            return
        self.pauses += 1
        self.awareness.worsen()
        self.detector.forget_outstanding()
        for node in self._suspicions.nodes():
            self._begin_suspicion(node, now)

    def leave(self, now: Now) -> None:
        """Say goodbye to everybody; this node probes no more."""
        self._left = True
        self.detector.set_targets([], now)
        for node in self._suspicions.nodes():
            self._suspicions.end(node)
        goodbye = plain_claims([Claim(self.node_id, Status.LEFT, self.incarnation, self.node_id)])
        for node in self._states:
            self._send(node, Gossip(self._ports.epoch(), goodbye))

    def on_message(self, peer: NodeId, message: Message, now: Now) -> bool:
        """Handle a message of membership; False when it is none."""
        match message:
            case Probe():
                self._hear(peer, message.epoch, message.updates, now)
                self._send(
                    peer,
                    Ack(
                        message.sequence,
                        self._ports.epoch(),
                        self._updates_for(peer),
                        now.wall_ms,
                    ),
                )
            case Ack():
                self._hear(peer, message.epoch, message.updates, now)
                direct = self.detector.on_ack(peer, message, now)
                if direct is not None and message.wall_ms and peer in self._states:
                    self._clocks.sample(peer, direct[1], now, message.wall_ms)
            case ProbeRequest():
                self._hear(peer, None, message.updates, now)
                self.detector.on_probe_request(peer, message, now)
            case Nack():
                self.detector.on_nack(message)
            case Gossip():
                self._hear(peer, message.epoch, message.updates, now)
            case _:
                return False
        return True

    def _hear(self, peer: NodeId, epoch: int | None, updates: object, now: Now) -> None:
        claims = parse_claims(updates, CLAIMS_RECEIVED_MAX)
        if claims is None:
            self.refused += 1
            return
        for claim in claims:
            self._apply(claim, now)
        if epoch is not None and epoch != self._ports.epoch():
            self._ports.on_epoch(peer, epoch, now)

    def _apply(self, claim: Claim, now: Now) -> None:
        if claim.node_id == self.node_id:
            self._refute(claim, now)
            return
        state = self._states.get(claim.node_id)
        own_word = claim.status in (Status.ALIVE, Status.LEFT)
        if state is None or (own_word and claim.claimed_by != claim.node_id):
            return
        if claim.claimed_by not in self._states and claim.claimed_by != self.node_id:
            return
        before = state.status
        merged = merge(state, claim)
        if merged is Merged.STALE:
            return
        self._tell(claim, now)
        if merged is Merged.CHANGED:
            self._suspicions.end(claim.node_id)
            if state.status is Status.SUSPECT:
                self._begin_suspicion(claim.node_id, now)
                self.detector.probe(claim.node_id, now)
            if state.status is not before or state.status is Status.ALIVE:
                self._announce(claim.node_id, before, now)
        elif claim.node_id in self._suspicions:
            suspectors = len(state.suspected_by)
            self._suspicions.set_time(claim.node_id, suspectors, self._count, now)
        self._judge(claim.node_id, now)

    def _refute(self, claim: Claim, now: Now) -> None:
        answer = refutation(self.incarnation, claim)
        if answer is None or self._left:
            return
        self.incarnation = answer
        self.refutations += 1
        if claim.status is not Status.ALIVE:
            self.awareness.worsen()
        self._tell(Claim(self.node_id, Status.ALIVE, answer, self.node_id), now)
        self._ports.on_incarnation(answer, now)

    def _tell(self, claim: Claim, now: Now) -> None:
        self._queue.put(claim)
        if self._gossip_timer is None or not self._gossip_timer.active:
            at_s = now.mono_s + self._settings.gossip_interval_s
            self._gossip_timer = self._timers.schedule(at_s, self._gossip)

    def _gossip(self, now: Now) -> None:
        if self._left or not self._states:
            return
        peers = list(self._states)
        for peer in self._rng.sample(peers, min(len(peers), self._settings.gossip_fanout)):
            if not len(self._queue):
                return
            self._send(peer, Gossip(self._ports.epoch(), self._updates_for(peer)))
        if len(self._queue):
            at_s = now.mono_s + self._settings.gossip_interval_s
            self._gossip_timer = self._timers.schedule(at_s, self._gossip)

    def _updates_for(self, peer: NodeId) -> object:
        """Our own incarnation, our doubts about the receiver (so that it can refute), then news."""
        claims = []
        if not self._left:
            claims.append(Claim(self.node_id, Status.ALIVE, self.incarnation, self.node_id))
        state = self._states.get(peer)
        if state is not None and state.status is not Status.ALIVE:
            told = Status.LEFT if state.status is Status.LEFT else Status.SUSPECT
            claims.append(Claim(peer, told, state.incarnation, self.node_id))
        sent_max = self._settings.transmissions(self._count)
        claims += self._queue.take(CLAIMS_PER_MESSAGE - len(claims), sent_max)
        return plain_claims(claims)

    @property
    def _count(self) -> int:
        return len(self._states) + 1

    def _claim(self, node: NodeId, status: Status, now: Now) -> None:
        """Speak for ourselves about a member at its present incarnation."""
        incarnation = self._states[node].incarnation
        self._apply(Claim(node, status, incarnation, self.node_id), now)

    def _begin_suspicion(self, node: NodeId, now: Now) -> None:
        suspectors = len(self._states[node].suspected_by)
        self._suspicions.begin(node, suspectors, self._count, now)

    def _helpers(self, target: NodeId) -> list[NodeId]:
        return [
            node
            for node, state in self._states.items()
            if node != target and state.status is Status.ALIVE
        ]

    def _on_success(self, node: NodeId, now: Now) -> None:
        suspicion = self._suspicions.get(node)
        if suspicion is not None and suspicion.last_chance:
            # It answers, but its refutation has not come: wait for that, not for a verdict.
            self._begin_suspicion(node, now)

    def _on_failure(self, node: NodeId, now: Now) -> None:
        state = self._states.get(node)
        if state is None or state.status in (Status.FAILED, Status.LEFT):
            return
        suspicion = self._suspicions.get(node)
        if suspicion is not None and suspicion.last_chance:
            self._suspicions.end(node)
            self._claim(node, Status.FAILED, now)
            self._call_vote(node)
        else:
            self._claim(node, Status.SUSPECT, now)

    def _call_vote(self, node: NodeId) -> None:
        """Tell the voters directly what gossip would bring them a little later."""
        state = self._states[node]
        claim = Claim(node, Status.FAILED, state.incarnation, self.node_id)
        for voter in dict.fromkeys(voter for voters in self._voters for voter in voters):
            if voter not in (self.node_id, node):
                self._send(voter, Gossip(self._ports.epoch(), plain_claims([claim])))

    def _on_suspicion_over(self, node: NodeId, due_s: float, now: Now) -> None:
        late_s = now.mono_s - due_s
        if late_s >= self._settings.late_s:
            self.on_loop_lag(late_s, now)
            return
        suspicion = self._suspicions.get(node)
        if suspicion is not None:
            suspicion.last_chance = True
            self.detector.probe(node, now)

    def _judge(self, node: NodeId, now: Now) -> None:
        state = self._states[node]
        if state.status is Status.SUSPECT and condemned(state, self._voters):
            state.status = Status.FAILED
            self._suspicions.end(node)
            self._announce(node, Status.SUSPECT, now)

    def _announce(self, node: NodeId, before: Status, now: Now) -> None:
        state = self._states[node]
        if state.status is not before:
            by = ", ".join(self.suspected_by(node))
            text = f"{node} is {state.status}" + (f" (says {by})" if by else "")
            self._ports.emit(
                Emit(
                    f"member.{state.status}",
                    text,
                    _SEVERITY[state.status],
                    (("node", node), ("incarnation", state.incarnation)),
                )
            )
        self._ports.on_status_change(node, before, state.status, now)

    def _repeat(self, now: Now) -> None:
        """Tell our open claims again: a member that restarted or was cut off has not heard them."""
        if not self._states or self._left:
            self._repeat_timer = None
            return
        for node, state in self._states.items():
            if self.node_id in state.suspected_by:
                mine = Status.FAILED if self.node_id in state.condemned_by else Status.SUSPECT
                self._tell(Claim(node, mine, state.incarnation, self.node_id), now)
        self._repeat_timer = self._timers.schedule(
            now.mono_s + self._settings.repeat_s, self._repeat
        )

    def _send(self, peer: NodeId, message: Message) -> None:
        self._ports.send(peer, Lane.CONTROL, 0, message)
