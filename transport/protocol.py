"""A link as a state machine without I/O: bytes and time in, events and bytes out.

Both sides are the same object with another handshake. It decides when a link is established, when it
is alive, and when it must end; frames, limits per role, keep-alive and farewell are handled inside.
It does not match replies to requests, does not queue and does not reconnect: see
:mod:`transport.runtime.link` and the node's data plane.

Use: send ``initial_bytes()``; feed ``receive_data``; after each call send ``take_output()``; call
``on_deadline`` when ``deadline_s`` has passed. Once an :class:`Ended` event is out, send what is left
and close the connection. Nothing but the declared errors is ever raised, whatever arrives.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import Final, final

from transport import limits
from transport.codec import decode, encode
from transport.errors import (
    ConnectionLost,
    ErrorCode,
    LinkRefused,
    LocalProtocolError,
    RemoteProtocolError,
    TransportError,
)
from transport.events import Ended, EndReason, Established, Event, Received
from transport.framing import STREAM_MAX, Assembler, FrameDecoder, encode_message
from transport.handshake import Credentials, DiallerHandshake, Handshake, ListenerHandshake
from transport.identity import LINK_TYPES, LinkLimits, Option, PeerInfo, limits_of, may_carry
from transport.messages import Goodbye, Message, Ping, Pong, Refuse, Role

__all__ = [
    "DEFAULT_TIMES",
    "EndReason",
    "Ended",
    "Established",
    "Event",
    "LinkProtocol",
    "LinkTimes",
    "Received",
    "StreamCounter",
]


@dataclass(frozen=True, slots=True)
class LinkTimes:
    """Patience of one side, in seconds."""

    handshake_timeout_s: float = limits.HANDSHAKE_TIMEOUT_S
    frame_timeout_s: float = limits.FRAME_TIMEOUT_S
    ping_interval_s: float | None = limits.PING_INTERVAL_S
    """None: never ask for a sign of life."""
    pong_timeout_s: float = limits.PONG_TIMEOUT_S
    idle_timeout_s: float = limits.IDLE_TIMEOUT_S


DEFAULT_TIMES: Final = LinkTimes()


class _State(Enum):
    HANDSHAKE = auto()
    ESTABLISHED = auto()
    ENDED = auto()


@final
class StreamCounter:
    """Numbers of new streams: odd for the side that dialled, even for the other; never 0."""

    def __init__(self, *, dialler: bool) -> None:
        self._first = 1 if dialler else 2
        self._next = self._first

    def next(self) -> int:
        """The next number; starts over after 2**31 of them."""
        stream = self._next
        self._next = stream + 2 if stream + 2 <= STREAM_MAX else self._first
        return stream


@final
class LinkProtocol:
    """One end of one link."""

    def __init__(self, handshake: Handshake, now_s: float, times: LinkTimes) -> None:
        self._handshake = handshake
        self._times = times
        self._state = _State.HANDSHAKE
        self._decoder = FrameDecoder(limits.HANDSHAKE_BYTES_MAX)
        self._assembler = Assembler(limits.HANDSHAKE_BYTES_MAX)
        self._limits = LinkLimits(limits.HANDSHAKE_BYTES_MAX, limits.HANDSHAKE_BYTES_MAX)
        self._output = bytearray()
        self._started_s = now_s
        self._last_received_s = now_s
        self._ping_sent_s: float | None = None
        self._frame_deadline_s: float | None = None
        self._frame_started_s = now_s
        self._compress = False
        self.peer: PeerInfo | None = None
        """Set once established."""
        self.streams = StreamCounter(dialler=isinstance(handshake, DiallerHandshake))
        """Numbers for requests of this side."""

    @classmethod
    def dialler(
        cls,
        credentials: Credentials,
        role: Role,
        now_s: float,
        *,
        expected_node_id: str = "",
        times: LinkTimes = DEFAULT_TIMES,
    ) -> LinkProtocol:
        """The side that opened the connection.

        Args:
            credentials: identity, a fresh nonce, the secret if the cluster has one.
            role: what this link is for; peers must know their node and cluster id.
            now_s: when the connection came about, monotonic.
            expected_node_id: refuse any other node; empty: take whoever answers.
            times: patience.

        Raises:
            LocalProtocolError: the credentials can't be used.
        """
        handshake = DiallerHandshake(credentials, role, expected_node_id)
        protocol = cls(handshake, now_s, times)
        protocol._output += protocol._encode(handshake.hello, 0)
        return protocol

    @classmethod
    def listener(
        cls,
        credentials: Credentials,
        now_s: float,
        *,
        secret_required: bool = False,
        times: LinkTimes = DEFAULT_TIMES,
    ) -> LinkProtocol:
        """The side that accepted the connection.

        Raises:
            LocalProtocolError: the credentials can't be used, or a secret is required and missing.
        """
        if secret_required and credentials.secret is None:
            raise LocalProtocolError("this listener needs a cluster secret")
        return cls(ListenerHandshake(credentials), now_s, times)

    @property
    def established(self) -> bool:
        """Whether messages may be sent."""
        return self._state is _State.ESTABLISHED

    @property
    def ended(self) -> bool:
        """Whether the connection should be closed once the output is sent."""
        return self._state is _State.ENDED

    def initial_bytes(self) -> bytes:
        """What to send as soon as the connection stands; empty on the listening side."""
        return self.take_output()

    def take_output(self) -> bytes:
        """What the link itself has to send: handshake, pongs, refusals. Send it in this order."""
        output = bytes(self._output)
        self._output.clear()
        return output

    def send(self, message: Message, stream: int = 0) -> bytes:
        """The bytes of a message; raises like :meth:`send_frames`."""
        frames = self.send_frames(message, stream)
        return frames[0] if len(frames) == 1 else b"".join(frames)

    def send_frames(self, message: Message, stream: int = 0) -> list[bytes]:
        """The frames of a message; others may be sent between them.

        Raises:
            LocalProtocolError: not established, ended, a message of the link itself, one that this
                role may not carry, above the limit, or fields that can't be encoded.
        """
        if self._state is not _State.ESTABLISHED:
            raise LocalProtocolError(f"can't send on a link in state {self._state.name.lower()}")
        assert self.peer is not None
        if message.TYPE in LINK_TYPES or not may_carry(self.peer.role, message.TYPE):
            raise LocalProtocolError(
                f"{type(message).__name__} may not be sent on a {self.peer.role} link"
            )
        return encode_message(
            encode(message),
            stream,
            chunk_bytes_max=self._limits.frame_bytes_max,
            message_bytes_max=self._limits.message_bytes_max,
            compress=self._compress,
        )

    def _encode(self, message: Message, stream: int) -> bytes:
        """A message of the link itself: always one small frame."""
        return encode_message(encode(message), stream)[0]

    def receive_data(self, data: bytes, now_s: float) -> list[Event]:
        """Take bytes; returns what follows from them, in order. Ignored once ended."""
        events: list[Event] = []
        if self.ended or not data:
            return events
        self._last_received_s = now_s
        self._ping_sent_s = None
        completed = 0
        try:
            self._decoder.receive_data(data)
            for frame in self._decoder.frames():
                completed += 1
                payload = self._assembler.add(frame)
                if payload is None:
                    continue
                self._on_message(decode(payload), frame.stream, events)
                if events and isinstance(events[-1], Ended):
                    return events
        except RemoteProtocolError as error:
            self._refuse(LinkRefused(error.code, error.text))
            events.append(self._end(EndReason.PROTOCOL, error))
            return events
        except LinkRefused as error:
            self._refuse(error)
            events.append(self._end(EndReason.REFUSED, error))
            return events
        self._watch_frame(completed, now_s)
        return events

    def _watch_frame(self, completed: int, now_s: float) -> None:
        """A frame that has begun must end in time, however slowly its bytes trickle in."""
        if not self._decoder.partial_bytes:
            self._frame_deadline_s = None
        elif completed or self._frame_deadline_s is None:
            # Until its header is here the frame is taken for the smallest; a later call with more of
            # the same frame only extends the deadline to what its declared size deserves.
            self._frame_deadline_s = now_s + self._frame_patience_s()
            self._frame_started_s = now_s
        else:
            self._frame_deadline_s = max(
                self._frame_deadline_s, self._frame_started_s + self._frame_patience_s()
            )

    def _frame_patience_s(self) -> float:
        frame_bytes = self._decoder.partial_bytes + self._decoder.missing_bytes
        return max(self._times.frame_timeout_s, frame_bytes / limits.FRAME_BYTES_PER_S_MIN)

    def _on_message(self, message: Message, stream: int, events: list[Event]) -> None:
        if message.TYPE not in LINK_TYPES:
            if self.peer is None:
                raise RemoteProtocolError(
                    f"{type(message).__name__} before the handshake", ErrorCode.UNEXPECTED_MESSAGE
                )
            if not may_carry(self.peer.role, message.TYPE):
                raise RemoteProtocolError(
                    f"{type(message).__name__} on a {self.peer.role} link",
                    ErrorCode.UNEXPECTED_MESSAGE,
                )
            events.append(Received(stream, message))
        elif isinstance(message, Refuse):
            events.append(self._on_refused(message))
        elif isinstance(message, Goodbye):
            text = message.reason[: limits.REASON_CHARACTERS_MAX]
            events.append(self._end(EndReason.GOODBYE, None, text))
        elif self.peer is None:
            self._step(message, events)
        elif isinstance(message, Ping):
            self._output += self._encode(Pong(), stream)
        elif not isinstance(message, Pong):
            raise RemoteProtocolError(
                f"{type(message).__name__} after the handshake", ErrorCode.UNEXPECTED_MESSAGE
            )

    def _step(self, message: Message, events: list[Event]) -> None:
        """One step of the handshake."""
        replies, peer = self._handshake.on_message(message)
        for reply in replies:
            self._output += self._encode(reply, 0)
        if peer is None:
            return
        self.peer = peer
        self._state = _State.ESTABLISHED
        self._limits = limits_of(peer.role)
        self._decoder.payload_bytes_max = self._limits.frame_bytes_max
        self._compress = bool(peer.options & Option.COMPRESSION)
        self._assembler = Assembler(self._limits.message_bytes_max, decompress=self._compress)
        events.append(Established(peer))

    def _on_refused(self, message: Refuse) -> Ended:
        try:
            code = ErrorCode(message.code)
        except ValueError:
            # A newer version may know more reasons than this one.
            code = ErrorCode.INTERNAL
        error = LinkRefused(code, message.text[: limits.REASON_CHARACTERS_MAX])
        return self._end(EndReason.REFUSED, error)

    def _refuse(self, error: LinkRefused) -> None:
        text = error.text[: limits.REASON_CHARACTERS_MAX]
        self._output += self._encode(Refuse(int(error.code), text), 0)

    def _end(self, reason: EndReason, error: TransportError | None, text: str = "") -> Ended:
        self._state = _State.ENDED
        return Ended(reason, error, text or (error.text if error is not None else ""))

    def deadline_s(self) -> float | None:
        """When :meth:`on_deadline` is due; None once ended."""
        if self._state is _State.ENDED:
            return None
        times = self._times
        if self._state is _State.HANDSHAKE:
            return self._started_s + times.handshake_timeout_s
        due_s = self._last_received_s + times.idle_timeout_s
        if self._ping_sent_s is not None:
            due_s = min(due_s, self._ping_sent_s + times.pong_timeout_s)
        elif times.ping_interval_s is not None:
            due_s = min(due_s, self._last_received_s + times.ping_interval_s)
        if self._frame_deadline_s is not None:
            due_s = min(due_s, self._frame_deadline_s)
        return due_s

    def on_deadline(self, now_s: float) -> list[Event]:
        """Ask for a sign of life, or end the link; harmless when called early."""
        due_s = self.deadline_s()
        if due_s is None or now_s < due_s:
            return []
        times = self._times
        if not self.established:
            text = f"no handshake within {times.handshake_timeout_s:g} s"
            return [self._time_out(ErrorCode.HANDSHAKE_TIMEOUT, text)]
        if self._frame_deadline_s is not None and now_s >= self._frame_deadline_s:
            return [self._time_out(ErrorCode.TIMEOUT, "a frame was begun and not finished in time")]
        silent_s = now_s - self._last_received_s
        unanswered = (
            self._ping_sent_s is not None and now_s >= self._ping_sent_s + times.pong_timeout_s
        )
        if unanswered or silent_s >= times.idle_timeout_s:
            return [self._time_out(ErrorCode.TIMEOUT, f"no sign of life for {silent_s:.0f} s")]
        self._ping_sent_s = now_s
        self._output += self._encode(Ping(), 0)
        return []

    def _time_out(self, code: ErrorCode, text: str) -> Ended:
        self._refuse(LinkRefused(code, text))
        if code is ErrorCode.HANDSHAKE_TIMEOUT:
            return self._end(EndReason.TIMED_OUT, LinkRefused(code, text))
        return self._end(EndReason.TIMED_OUT, ConnectionLost(text))

    def on_connection_lost(self, text: str) -> list[Event]:
        """The connection ended underneath; nothing can be sent any more."""
        if self._state is _State.ENDED:
            return []
        return [self._end(EndReason.LOST, ConnectionLost(text))]

    def close(self, reason: str = "") -> bytes:
        """Say goodbye; send the returned bytes after everything else and close the connection."""
        if self._state is _State.ENDED:
            return b""
        self._end(EndReason.CLOSED, None)
        self._output += self._encode(Goodbye(reason[: limits.REASON_CHARACTERS_MAX]), 0)
        return self.take_output()
