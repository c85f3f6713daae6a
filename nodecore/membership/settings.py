"""Times and numbers of failure detection, with what turning them costs."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class MembershipSettings:
    """Defaults suit nodes on one machine or one network."""

    probe_interval_s: float = 0.5
    """One member is probed per interval. Shorter: failures are seen sooner, more messages."""
    probe_timeout_s: float = 0.25
    """Wait for a direct ack before others are asked to probe. Shorter than a pause of the
    collector or the scheduler: needless indirect probes."""
    suspicion_multiplier: float = 3.0
    """Least suspicion = multiplier * log10(members + 9) * probe interval. Greater: fewer living
    nodes are called failed, dead ones are called so later."""
    suspicion_max_factor: float = 2.0
    """Suspicion that nobody confirms lasts so many times longer."""
    confirmations: int = 3
    """Independent suspectors that bring suspicion down to its least."""
    indirect_probes: int = 3
    """Members asked to probe for us."""
    gossip_interval_s: float = 0.1
    """News waits at most so long for a message to ride on."""
    gossip_fanout: int = 3
    retransmit_multiplier: int = 4
    """A claim is sent multiplier * ceil(log10(members + 1)) times."""
    repeat_s: float = 5.0
    """Open claims of our own are told again so often: some may have missed them."""
    late_s: float = 0.3
    """A timer that fires so late says that this process was paused or starved: what it did not
    hear meanwhile proves nothing."""

    def suspicion_s_min(self, members: int) -> float:
        """Duration of a suspicion that enough others confirm."""
        return self.suspicion_multiplier * math.log10(members + 9) * self.probe_interval_s

    def transmissions(self, members: int) -> int:
        """How often one claim is sent by one node."""
        return self.retransmit_multiplier * math.ceil(math.log10(members + 1))
