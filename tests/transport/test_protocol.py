"""Both ends of a link against each other, with virtual time."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.transport.test_codec import kinds, sample
from transport import limits
from transport.codec import encode
from transport.errors import (
    BadChecksum,
    ConnectionLost,
    ErrorCode,
    FrameTooLarge,
    LinkRefused,
    LocalProtocolError,
    RemoteProtocolError,
)
from transport.framing import CHUNK, HEADER_BYTES, encode_frame, encode_message
from transport.handshake import Credentials
from transport.identity import LINK_TYPES, Identity, Option, limits_of, may_carry
from transport.messages import (
    Challenge,
    ClientValues,
    Goodbye,
    Hello,
    Message,
    PeerRead,
    Ping,
    Pong,
    Probe,
    Proof,
    Refuse,
    Role,
    TopologyDocument,
    Welcome,
)
from transport.protocol import (
    Ended,
    EndReason,
    Established,
    Event,
    LinkProtocol,
    LinkTimes,
    Received,
    StreamCounter,
)

SECRET = b"a secret of enough bytes"
NODE = Identity(cluster_id="demo", node_id="n1", incarnation=4, feature_level=2)
OTHER = Identity(cluster_id="demo", node_id="n2", incarnation=9, feature_level=3)
_nonces = itertools.count(1)


def credentials(
    identity: Identity, secret: bytes | None = None, options: Option = Option.NONE
) -> Credentials:
    return Credentials(identity, next(_nonces).to_bytes(32, "big"), secret, options)


class Pair:
    """A dialler and a listener with a wire between them that tests can touch."""

    def __init__(
        self,
        role: Role = Role.PEER_DATA,
        *,
        dialler: Credentials | None = None,
        listener: Credentials | None = None,
        expected_node_id: str = "",
    ) -> None:
        self.dialler = LinkProtocol.dialler(
            dialler or credentials(OTHER), role, 0.0, expected_node_id=expected_node_id
        )
        self.listener = LinkProtocol.listener(listener or credentials(NODE), 0.0)
        self.dialler_events: list[Event] = []
        self.listener_events: list[Event] = []

    def exchange(self, now_s: float = 0.0) -> Pair:
        """Carry everything across until nobody has anything to say."""
        while True:
            there = self.dialler.take_output()
            back = self.listener.take_output()
            if not there and not back:
                return self
            self.listener_events += self.listener.receive_data(there, now_s)
            self.dialler_events += self.dialler.receive_data(back, now_s)


def ended(events: list[Event]) -> Ended:
    (event,) = [event for event in events if isinstance(event, Ended)]
    return event


def refused_code(events: list[Event]) -> ErrorCode:
    error = ended(events).error
    assert isinstance(error, LinkRefused | RemoteProtocolError)
    return error.code


@pytest.mark.parametrize("secret", [None, SECRET])
@pytest.mark.parametrize("role", list(Role))
def test_handshake_tells_each_side_who_the_other_is(role: Role, secret: bytes | None) -> None:
    pair = Pair(
        role, dialler=credentials(OTHER, secret), listener=credentials(NODE, secret)
    ).exchange()
    for events, other in ((pair.dialler_events, NODE), (pair.listener_events, OTHER)):
        (event,) = events
        assert isinstance(event, Established)
        peer = event.peer
        assert (peer.node_id, peer.cluster_id) == (other.node_id, "demo")
        assert (peer.incarnation, peer.feature_level) == (other.incarnation, other.feature_level)
        assert (peer.role, peer.version) == (role, limits.PROTOCOL_VERSION_MAX)
        assert peer.authenticated == (secret is not None)


@pytest.mark.parametrize("kind", kinds(), ids=lambda kind: kind.__name__)
def test_every_message_crosses_both_ways(kind: type[Message]) -> None:
    pair = Pair().exchange()
    message = sample(kind)
    if kind.TYPE in LINK_TYPES:
        with pytest.raises(LocalProtocolError):
            pair.dialler.send(message, 3)
        return
    there = pair.dialler.send(message, 3)
    assert pair.listener.receive_data(there, 1.0) == [Received(3, message)]
    back = pair.listener.send(message, 3)
    assert pair.dialler.receive_data(back, 1.0) == [Received(3, message)]


def test_clients_need_no_identity() -> None:
    pair = Pair(Role.CLIENT, dialler=credentials(Identity())).exchange()
    assert pair.dialler.established
    assert pair.listener.established


NAMELESS = Identity()
UNREADY = Identity(node_id="n1")
STRANGER = replace(OTHER, cluster_id="prod")

REFUSALS = {
    "other cluster": (Role.PEER_DATA, STRANGER, NODE, "", ErrorCode.WRONG_CLUSTER),
    "client of another cluster": (Role.CLIENT, STRANGER, NODE, "", ErrorCode.WRONG_CLUSTER),
    "own id as peer": (Role.PEER_CONTROL, NODE, NODE, "", ErrorCode.TAKEN_ID),
    "listener without cluster": (Role.CLIENT, NAMELESS, UNREADY, "", ErrorCode.NOT_READY),
    "another node lives here": (Role.PEER_DATA, OTHER, NODE, "n7", ErrorCode.UNEXPECTED_NODE),
}


@pytest.mark.parametrize("name", sorted(REFUSALS))
def test_both_sides_learn_why_a_link_is_refused(name: str) -> None:
    role, dialler, listener, expected, code = REFUSALS[name]
    pair = Pair(
        role,
        dialler=credentials(dialler),
        listener=credentials(listener),
        expected_node_id=expected,
    ).exchange()
    for events in (pair.dialler_events, pair.listener_events):
        assert ended(events).reason is EndReason.REFUSED
        assert refused_code(events) is code
    assert pair.dialler.ended
    assert pair.listener.ended


@pytest.mark.parametrize(
    ("ours", "theirs"), [(SECRET, None), (None, SECRET), (SECRET, b"another secret, long too")]
)
def test_without_the_same_secret_there_is_no_link(ours: bytes | None, theirs: bytes | None) -> None:
    pair = Pair(dialler=credentials(OTHER, ours), listener=credentials(NODE, theirs)).exchange()
    texts = set()
    for events in (pair.dialler_events, pair.listener_events):
        assert refused_code([event for event in events if isinstance(event, Ended)]) is (
            ErrorCode.BAD_PROOF
        )
        texts.add(ended(events).text)
    assert len(texts) == 1, "wrong and missing proofs look the same"


def frame(message: Message) -> bytes:
    return encode_frame(encode(message), 0)


def parse(data: bytes) -> list[Message]:
    """Messages of the handshake, read as an outsider would."""
    from transport.codec import decode
    from transport.framing import FrameDecoder

    decoder = FrameDecoder(4096)
    decoder.receive_data(data)
    return [decode(found.payload) for found in decoder.frames()]


def test_a_listener_takes_no_reflected_or_replayed_proof() -> None:
    honest = Pair(dialler=credentials(OTHER, SECRET), listener=credentials(NODE, SECRET))
    hello_bytes = honest.dialler.initial_bytes()
    honest.listener.receive_data(hello_bytes, 0.0)
    challenge_bytes = honest.listener.take_output()
    (challenge,) = parse(challenge_bytes)
    assert isinstance(challenge, Challenge)
    honest.dialler.receive_data(challenge_bytes, 0.0)
    proof_bytes = honest.dialler.take_output()
    for stolen in (proof_bytes, frame(Proof(challenge.proof)), frame(Proof(b"")), None):
        victim = LinkProtocol.listener(credentials(NODE, SECRET), 0.0)
        victim.receive_data(hello_bytes, 0.0)
        (own,) = parse(victim.take_output())
        assert isinstance(own, Challenge)
        reply = stolen or frame(Proof(own.proof))
        assert refused_code(victim.receive_data(reply, 0.0)) is ErrorCode.BAD_PROOF


@pytest.mark.parametrize("field", ["cluster_id", "node_id", "incarnation", "feature_level"])
def test_a_changed_field_breaks_the_proof(field: str) -> None:
    pair = Pair(dialler=credentials(OTHER, SECRET), listener=credentials(NODE, SECRET))
    (hello,) = parse(pair.dialler.initial_bytes())
    assert isinstance(hello, Hello)
    changes: dict[str, Hello] = {
        "cluster_id": replace(hello, role=Role.CONSOLE.value),
        "node_id": replace(hello, node_id="n3"),
        "incarnation": replace(hello, incarnation=99),
        "feature_level": replace(hello, feature_level=1),
    }
    pair.listener.receive_data(frame(changes[field]), 0.0)
    events = pair.dialler.receive_data(pair.listener.take_output(), 0.0)
    assert refused_code(events) is ErrorCode.BAD_PROOF


def raw_hello(**changes: object) -> Hello:
    fields: dict[str, object] = {
        "version_min": 1,
        "version_max": 1,
        "feature_level": 1,
        "role": Role.PEER_DATA.value,
        "cluster_id": "demo",
        "node_id": "n2",
        "incarnation": 1,
        "nonce": bytes(32),
    }
    return Hello(**{**fields, **changes})  # type: ignore[arg-type]


BAD_HELLOS = {
    "future version": (raw_hello(version_min=7, version_max=9), ErrorCode.VERSION_MISMATCH),
    "past version": (raw_hello(version_min=0, version_max=0), ErrorCode.VERSION_MISMATCH),
    "unknown role": (raw_hello(role="king"), ErrorCode.MALFORMED),
    "short nonce": (raw_hello(nonce=b"x"), ErrorCode.MALFORMED),
    "node id with a blank": (raw_hello(node_id="n 2"), ErrorCode.MALFORMED),
    "endless node id": (raw_hello(node_id="n" * 65), ErrorCode.MALFORMED),
    "peer without id": (raw_hello(node_id=""), ErrorCode.MALFORMED),
    "peer without cluster": (raw_hello(cluster_id=""), ErrorCode.WRONG_CLUSTER),
    "escape in cluster id": (raw_hello(cluster_id="\x1b[2J"), ErrorCode.MALFORMED),
    "negative incarnation": (raw_hello(incarnation=-1), ErrorCode.MALFORMED),
    "not a hello": (Ping(), ErrorCode.UNEXPECTED_MESSAGE),
    "a request": (PeerRead(1, []), ErrorCode.UNEXPECTED_MESSAGE),
}


@pytest.mark.parametrize("name", sorted(BAD_HELLOS))
def test_bad_hellos_are_refused_with_a_code(name: str) -> None:
    hello, code = BAD_HELLOS[name]
    listener = LinkProtocol.listener(credentials(NODE), 0.0)
    assert refused_code(listener.receive_data(frame(hello), 0.0)) is code
    (refusal,) = parse(listener.take_output())
    assert isinstance(refusal, Refuse)
    assert refusal.code == code
    assert listener.receive_data(frame(raw_hello()), 0.0) == [], "nothing is taken after the end"


def answer(**changes: object) -> Challenge:
    fields: dict[str, object] = {
        "version": 1,
        "feature_level": 1,
        "cluster_id": "demo",
        "node_id": "n1",
        "incarnation": 1,
        "nonce": bytes(32),
        "proof": b"",
    }
    return Challenge(**{**fields, **changes})  # type: ignore[arg-type]


BAD_ANSWERS = {
    "version that was not offered": (answer(version=2), ErrorCode.VERSION_MISMATCH),
    "options that were not offered": (answer(options=1), ErrorCode.MALFORMED),
    "nameless node": (answer(node_id=""), ErrorCode.MALFORMED),
    "no cluster": (answer(cluster_id=""), ErrorCode.MALFORMED),
    "a mirror": (answer(node_id="n2"), ErrorCode.TAKEN_ID),
    "welcome without challenge": (Welcome(), ErrorCode.UNEXPECTED_MESSAGE),
}


@pytest.mark.parametrize("name", sorted(BAD_ANSWERS))
def test_bad_answers_are_refused_with_a_code(name: str) -> None:
    challenge, code = BAD_ANSWERS[name]
    dialler = LinkProtocol.dialler(credentials(OTHER), Role.PEER_DATA, 0.0)
    assert refused_code(dialler.receive_data(frame(challenge), 0.0)) is code


def test_unknown_refusal_codes_of_newer_versions_are_survived() -> None:
    dialler = LinkProtocol.dialler(credentials(OTHER), Role.PEER_DATA, 0.0)
    events = dialler.receive_data(frame(Refuse(999, "moon phase")), 0.0)
    assert refused_code(events) is ErrorCode.INTERNAL
    assert ended(events).text == "moon phase"


def test_credentials_are_checked_when_a_link_is_made() -> None:
    for identity, secret, nonce in (
        (NODE, None, b"short"),
        (NODE, b"guess", bytes(32)),
        (replace(NODE, node_id="N 1"), None, bytes(32)),
        (replace(NODE, cluster_id="a b"), None, bytes(32)),
        (Identity(), None, bytes(32)),
    ):
        with pytest.raises(LocalProtocolError):
            LinkProtocol.listener(Credentials(identity, nonce, secret), 0.0)
    with pytest.raises(LocalProtocolError, match="needs a cluster secret"):
        LinkProtocol.listener(credentials(NODE), 0.0, secret_required=True)
    with pytest.raises(LocalProtocolError, match="a peer needs"):
        LinkProtocol.dialler(credentials(Identity(node_id="n1")), Role.PEER_DATA, 0.0)


def test_nothing_is_sent_before_the_handshake_or_after_the_end() -> None:
    pair = Pair()
    with pytest.raises(LocalProtocolError, match="handshake"):
        pair.dialler.send(PeerRead(1, []))
    pair.exchange()
    assert pair.dialler.close("done")
    with pytest.raises(LocalProtocolError, match="ended"):
        pair.dialler.send(PeerRead(1, []))
    assert pair.dialler.close("again") == b""


def test_goodbye_is_no_failure() -> None:
    pair = Pair().exchange()
    last = pair.dialler.send(PeerRead(1, [b"k"]), 1) + pair.dialler.close("leaving")
    received, end = pair.listener.receive_data(last, 1.0)
    assert received == Received(1, PeerRead(1, [b"k"]))
    assert end == Ended(EndReason.GOODBYE, None, "leaving")
    assert pair.listener.deadline_s() is None


def test_frames_are_small_before_the_handshake() -> None:
    listener = LinkProtocol.listener(credentials(NODE), 0.0)
    start = encode_frame(bytes(limits.HANDSHAKE_BYTES_MAX + 1), 0)[:HEADER_BYTES]
    assert isinstance(ended(listener.receive_data(start, 0.0)).error, FrameTooLarge)
    listener = LinkProtocol.listener(credentials(NODE), 0.0)
    half = encode_frame(bytes(3000), 0, CHUNK)
    listener.receive_data(half, 0.0)
    assert isinstance(ended(listener.receive_data(half, 0.0)).error, FrameTooLarge)


def test_control_links_carry_small_frames_and_bounded_messages() -> None:
    pair = Pair(Role.PEER_CONTROL).exchange()
    document = TopologyDocument(1, bytes(300_000))
    frames = pair.dialler.send_frames(document, 1)
    assert max(map(len, frames)) <= limits.CONTROL_CHUNK_BYTES_MAX + HEADER_BYTES
    assert pair.listener.receive_data(b"".join(frames), 0.0) == [Received(1, document)]
    with pytest.raises(LocalProtocolError, match="exceeds the limit"):
        pair.dialler.send(TopologyDocument(1, bytes(limits.CONTROL_MESSAGE_BYTES_MAX)))
    (large, *_) = encode_message(bytes(100_000), 1)
    assert isinstance(ended(pair.listener.receive_data(large, 0.0)).error, FrameTooLarge)


def test_a_large_value_lets_others_through() -> None:
    pair = Pair().exchange()
    value, small = ClientValues(1, 0, [bytes(700_000)]), PeerRead(1, [b"k"])
    first, *rest = pair.dialler.send_frames(value, 1)
    assert len(rest) == 2
    data = b"".join((first, pair.dialler.send(small, 3), *rest))
    assert pair.listener.receive_data(data, 0.0) == [Received(3, small), Received(1, value)]


def test_compression_is_used_when_both_offer_it() -> None:
    for theirs, used in ((Option.COMPRESSION, True), (Option.NONE, False)):
        pair = Pair(
            dialler=credentials(OTHER, None, Option.COMPRESSION),
            listener=credentials(NODE, None, theirs),
        ).exchange()
        message = ClientValues(1, 0, [b"a" * 100_000])
        data = pair.dialler.send(message, 1)
        assert (len(data) < 10_000) == used
        assert pair.listener.receive_data(data, 0.0) == [Received(1, message)]


def test_clients_can_not_speak_as_peers() -> None:
    for role in (Role.CLIENT, Role.CONSOLE):
        pair = Pair(role, dialler=credentials(Identity())).exchange()
        with pytest.raises(LocalProtocolError, match=f"on a {role} link"):
            pair.dialler.send(Probe(1, 1, []))
        events = pair.listener.receive_data(encode_frame(encode(PeerRead(1, [])), 1), 0.0)
        assert refused_code(events) is ErrorCode.UNEXPECTED_MESSAGE
    assert may_carry(Role.CONSOLE, 31)
    assert not may_carry(Role.CLIENT, 31)
    assert limits_of(Role.CLIENT).message_bytes_max == limits.MESSAGE_BYTES_MAX


def test_handshake_messages_after_the_handshake_end_the_link() -> None:
    for message in (raw_hello(), Welcome(), Proof(b"")):
        pair = Pair().exchange()
        code = refused_code(pair.listener.receive_data(frame(message), 0.0))
        assert code is ErrorCode.UNEXPECTED_MESSAGE


def test_good_messages_before_a_broken_frame_are_delivered() -> None:
    pair = Pair().exchange()
    good = pair.dialler.send(PeerRead(1, []), 1)
    broken = bytearray(good)
    broken[-1] ^= 1
    received, end = pair.listener.receive_data(good + bytes(broken) + good, 0.0)
    assert received == Received(1, PeerRead(1, []))
    assert isinstance(end, Ended)
    assert isinstance(end.error, BadChecksum)
    assert end.reason is EndReason.PROTOCOL


def test_a_handshake_that_takes_too_long_is_ended() -> None:
    listener = LinkProtocol.listener(credentials(NODE), 100.0)
    assert listener.deadline_s() == 105.0
    for second in range(5):
        byte = LinkProtocol.dialler(credentials(OTHER), Role.CLIENT, 0.0).initial_bytes()[:1]
        listener.receive_data(byte, 100.0 + second)
        assert listener.on_deadline(100.0 + second) == []
    assert listener.deadline_s() == 105.0, "bytes that trickle in buy no time"
    end = ended(listener.on_deadline(105.0))
    assert end.reason is EndReason.TIMED_OUT
    assert refused_code([end]) is ErrorCode.HANDSHAKE_TIMEOUT


def test_a_quiet_but_living_peer_stays() -> None:
    pair = Pair().exchange()
    now_s = 0.0
    for _ in range(100):
        due_s = pair.dialler.deadline_s()
        assert due_s is not None
        now_s = due_s
        assert pair.dialler.on_deadline(now_s) == []
        pair.exchange(now_s)
    assert now_s == pytest.approx(100 * limits.PING_INTERVAL_S)
    assert pair.dialler.established
    assert pair.dialler_events[1:] == []


def test_pings_are_answered_on_their_stream() -> None:
    pair = Pair().exchange()
    assert pair.listener.receive_data(encode_frame(encode(Ping()), 9), 0.0) == []
    assert pair.listener.take_output() == encode_frame(encode(Pong()), 9)


def test_a_dead_peer_is_given_up() -> None:
    pair = Pair().exchange()
    assert pair.dialler.on_deadline(limits.PING_INTERVAL_S) == []
    assert pair.dialler.take_output() == encode_frame(encode(Ping()), 0)
    due_s = pair.dialler.deadline_s()
    assert due_s == limits.PING_INTERVAL_S + limits.PONG_TIMEOUT_S
    end = ended(pair.dialler.on_deadline(due_s))
    assert end.reason is EndReason.TIMED_OUT
    assert isinstance(end.error, ConnectionLost)


def test_without_pings_silence_ends_the_link_later() -> None:
    listener = LinkProtocol.listener(credentials(NODE), 0.0, times=LinkTimes(ping_interval_s=None))
    dialler = LinkProtocol.dialler(credentials(OTHER), Role.PEER_DATA, 0.0)
    listener.receive_data(dialler.initial_bytes(), 1.0)
    assert listener.established
    assert listener.deadline_s() == 1.0 + limits.IDLE_TIMEOUT_S
    assert ended(listener.on_deadline(301.0)).reason is EndReason.TIMED_OUT


def test_a_started_frame_must_end_in_time() -> None:
    pair = Pair().exchange()
    data = pair.dialler.send(ClientValues(1, 0, [bytes(1000)]), 1)
    for second in range(5):
        pair.listener.receive_data(data[second : second + 1], 10.0 + second)
        assert pair.listener.on_deadline(10.0 + second) == []
    assert pair.listener.deadline_s() == 15.0
    assert "not finished" in ended(pair.listener.on_deadline(15.0)).text


def test_large_frames_get_time_by_their_size_and_complete_ones_reset_it() -> None:
    times = LinkTimes(frame_timeout_s=1.0)
    listener = LinkProtocol.listener(credentials(NODE), 0.0, times=times)
    dialler = LinkProtocol.dialler(credentials(OTHER), Role.PEER_DATA, 0.0)
    listener.receive_data(dialler.initial_bytes(), 0.0)
    dialler.receive_data(listener.take_output(), 0.0)
    frames = dialler.send_frames(ClientValues(1, 0, [bytes(500_000)]), 1)
    listener.receive_data(frames[0][:100], 2.0)
    due_s = listener.deadline_s()
    assert due_s == pytest.approx(2.0 + len(frames[0]) / limits.FRAME_BYTES_PER_S_MIN)
    listener.receive_data(frames[0][100:] + frames[1][:10], 3.0)
    assert listener.deadline_s() == pytest.approx(4.0)
    listener.receive_data(frames[1][10:], 3.5)
    assert listener.deadline_s() == pytest.approx(3.5 + limits.PING_INTERVAL_S)


def test_a_lost_connection_ends_the_link_once() -> None:
    pair = Pair().exchange()
    (end,) = pair.dialler.on_connection_lost("connection reset by peer")
    assert isinstance(end, Ended)
    assert isinstance(end.error, ConnectionLost)
    assert pair.dialler.on_connection_lost("again") == []
    assert pair.dialler.on_deadline(1e9) == []


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_bytes_in_pieces_give_the_same_events(data: st.DataObject) -> None:
    whole, pieces = Pair(), Pair()
    whole.exchange()
    hello = pieces.dialler.initial_bytes()
    stream = hello + b"".join(
        whole.dialler.send(message, stream)
        for stream, message in enumerate((PeerRead(1, [b"k"]), PeerRead(2, []), Probe(1, 1, [])))
    )
    reference = LinkProtocol.listener(credentials(NODE), 0.0)
    expected = reference.receive_data(stream, 0.0)
    got: list[Event] = []
    position = 0
    while position < len(stream):
        size = data.draw(st.integers(1, 60))
        got += pieces.listener.receive_data(stream[position : position + size], 0.0)
        position += size
    assert got == expected
    assert len(got) == 4


@given(st.binary(min_size=1, max_size=200), st.booleans())
@settings(max_examples=200, deadline=None)
def test_garbage_ends_the_link_and_raises_nothing(data: bytes, established: bool) -> None:
    pair = Pair()
    if established:
        pair.exchange()
    pair.listener.receive_data(data, 0.0)
    pair.dialler.receive_data(data, 0.0)


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_wild_but_well_framed_messages_raise_nothing(data: st.DataObject) -> None:
    pair = Pair()
    for _ in range(data.draw(st.integers(1, 4))):
        kind = data.draw(st.sampled_from(kinds()))
        wild = encode_frame(encode(sample(kind)), 1)
        events = pair.listener.receive_data(wild, 0.0)
        events += pair.dialler.receive_data(wild, 0.0)
        assert sum(isinstance(event, Ended) for event in events) <= 2
    assert isinstance(pair.listener.take_output(), bytes)


def test_streams_are_odd_for_the_dialler_and_even_for_the_listener() -> None:
    odd, even = StreamCounter(dialler=True), StreamCounter(dialler=False)
    assert [odd.next() for _ in range(3)] == [1, 3, 5]
    assert [even.next() for _ in range(3)] == [2, 4, 6]
    odd._next = 2**32 - 1
    assert [odd.next(), odd.next()] == [2**32 - 1, 1]


def test_goodbye_and_refusals_are_cut_to_a_bounded_text() -> None:
    pair = Pair().exchange()
    (end,) = pair.listener.receive_data(encode_frame(encode(Goodbye("x" * 3000)), 0), 0.0)
    assert isinstance(end, Ended)
    assert len(end.text) == limits.REASON_CHARACTERS_MAX
