"""Every message that travels between processes, one frozen dataclass each.

A message is ``[type, *fields]`` in msgpack. Fields of type ``object`` are plain data (None, bool,
int, float, str, bytes, lists, dicts with str keys) whose shape the receiving room checks; all other
field types are checked by the codec. Requests and replies of one exchange share the stream number
of the frame header.

WARNING: numeric values are part of the protocol. Only append; never reuse a number; a field may
only be added at the end with a default.
"""

from __future__ import annotations

from transport.messages.base import Lane, Message, Role
from transport.messages.client import (
    ClientExecute,
    ClientGet,
    ClientOutcome,
    ClientRoutes,
    ClientRouteTable,
    ClientSet,
    ClientValues,
    ClientWritten,
)
from transport.messages.control import (
    Accept,
    Accepted,
    Ack,
    Admin,
    AdminReply,
    ChangeStep,
    EventReport,
    Gossip,
    Join,
    JoinReply,
    Nack,
    Prepare,
    Probe,
    ProbeRequest,
    Promise,
    StatisticsReport,
    Subscribe,
    TopologyDocument,
    TopologyFetch,
)
from transport.messages.data import (
    Drop,
    Forward,
    Forwarded,
    PeerApply,
    PeerRead,
    PeerValues,
    PeerWrite,
    PeerWritten,
    StrongAsk,
    StrongTold,
)
from transport.messages.link import (
    Challenge,
    ErrorReply,
    Goodbye,
    Hello,
    Ping,
    Pong,
    Proof,
    Refuse,
    Welcome,
)

__all__ = [
    "Accept",
    "Accepted",
    "Ack",
    "Admin",
    "AdminReply",
    "Challenge",
    "ChangeStep",
    "ClientExecute",
    "ClientGet",
    "ClientOutcome",
    "ClientRouteTable",
    "ClientRoutes",
    "ClientSet",
    "ClientValues",
    "ClientWritten",
    "Drop",
    "ErrorReply",
    "EventReport",
    "Forward",
    "Forwarded",
    "Goodbye",
    "Gossip",
    "Hello",
    "Join",
    "JoinReply",
    "Lane",
    "Message",
    "Nack",
    "PeerApply",
    "PeerRead",
    "PeerValues",
    "PeerWrite",
    "PeerWritten",
    "Ping",
    "Pong",
    "Prepare",
    "Probe",
    "ProbeRequest",
    "Promise",
    "Proof",
    "Refuse",
    "Role",
    "StatisticsReport",
    "StrongAsk",
    "StrongTold",
    "Subscribe",
    "TopologyDocument",
    "TopologyFetch",
    "Welcome",
]
