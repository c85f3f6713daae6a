"""Every maximum of the wire, with its reason. Maxima of the node live in ``nodecore.limits``.

A *frame* is what travels in one piece behind one header; a *message* is one frame or, when larger,
a run of chunk frames of one stream. Nothing is allocated from a length that a header declares:
bytes are kept as they arrive and refused as soon as a bound is passed.
"""

from __future__ import annotations

from typing import Final

PROTOCOL_VERSION_MIN: Final = 1
"""Oldest link protocol that is spoken."""
PROTOCOL_VERSION_MAX: Final = 1
"""Newest link protocol that is spoken; both ends use the highest that they share."""
FRAME_VERSION: Final = 1
"""Layout of the frame header; fixed before anything is negotiated."""

MESSAGE_BYTES_MAX: Final = 16 * 1024 * 1024
"""Twice the largest value, so that a value with its key and version always fits."""
HANDSHAKE_BYTES_MAX: Final = 4 * 1024
"""Before the other side has proved anything it can make us hold only this much."""
CHUNK_BYTES_MAX: Final = 256 * 1024
"""Payload of one frame. Larger messages are split, so that others get their turn in between."""
CONTROL_CHUNK_BYTES_MAX: Final = 64 * 1024
"""The same on a control link: a probe never waits for more than this."""
CONTROL_MESSAGE_BYTES_MAX: Final = 1024 * 1024
"""A topology document of 256 members is about 100 KiB; this leaves room."""
ASSEMBLIES_MAX: Final = 64
"""Chunked messages in the making on one link."""
ASSEMBLY_BYTES_MAX: Final = 4 * MESSAGE_BYTES_MAX
"""All of them together."""
DECODE_DEPTH_MAX: Final = 16
"""Nesting of plain data. The deepest document of ours (topology) needs 6."""
COMPRESS_BYTES_MIN: Final = 4 * 1024
"""Smaller payloads are never compressed: the saving is below one network packet."""
COMPRESS_GAIN_MIN: Final = 0.125
"""A payload is sent compressed only when it shrinks by at least this share."""

SEND_QUEUE_BYTES_MAX: Final = 8 * 1024 * 1024
"""Unsent bytes of one connection. A reader slower than that is cut off and counted."""
STREAM_BACKLOG_MAX: Final = 256
"""Unread messages of one subscription; the oldest are dropped and counted."""
REQUESTS_IN_FLIGHT_MAX: Final = 4096
"""Unanswered requests of one client link; more are refused at once."""

HANDSHAKE_TIMEOUT_S: Final = 5.0
"""From the connection to the end of the handshake."""
FRAME_TIMEOUT_S: Final = 5.0
"""A started frame must be complete after this, or after its size at FRAME_BYTES_PER_S_MIN."""
FRAME_BYTES_PER_S_MIN: Final = 64 * 1024
PING_INTERVAL_S: Final = 15.0
"""Silence after which an established side asks for a sign of life."""
PONG_TIMEOUT_S: Final = 30.0
"""Anything that arrives counts as the answer; nothing in this time ends the link."""
IDLE_TIMEOUT_S: Final = 300.0
"""Silence that ends a link even where pings are off."""
CONNECT_TIMEOUT_S: Final = 5.0
CLOSE_LINGER_S: Final = 1.0
"""How long a closed connection may take to deliver what was written before the close."""
CLOSE_LINGER_BYTES_MAX: Final = 1024 * 1024
"""Input discarded while lingering; a peer that sends more is reset."""

READ_BYTES_PER_TURN: Final = 64 * 1024
"""From one socket in one turn, so that no connection starves the others."""
EVENTS_PER_TURN: Final = 256
ACCEPTS_PER_TURN: Final = 64
ACCEPT_BACKLOG: Final = 511
"""As Redis; the kernel caps it at ``somaxconn``."""
ACCEPT_PAUSE_S: Final = 0.1
"""How long accepting rests when the process is out of descriptors or memory."""
KEEPALIVE_IDLE_S: Final = 60
KEEPALIVE_INTERVAL_S: Final = 15
KEEPALIVE_PROBES: Final = 4

FAULTS_MAX: Final = 256
"""Active faults of one node."""
FAULT_LEASE_S: Final = 5.0
"""A leased fault ends this long after its owner was last heard of."""
FAULT_HELD_BYTES_MAX: Final = 32 * 1024 * 1024
"""Data that the faults of one direction of one connection may hold back; then reading stops."""
FAULT_DELAY_MAX_MS: Final = 600_000
"""Ten minutes: any delay in a fault."""

NODE_ID_CHARACTERS_MAX: Final = 64
CLUSTER_ID_CHARACTERS_MAX: Final = 128
NONCE_BYTES: Final = 32
PROOF_BYTES: Final = 32
SECRET_BYTES_MIN: Final = 16
"""Shorter secrets can be guessed; generated ones have 32 bytes."""
REASON_CHARACTERS_MAX: Final = 500
"""Text of refusals and goodbyes, before it is cut."""

assert CONTROL_CHUNK_BYTES_MAX <= CHUNK_BYTES_MAX <= MESSAGE_BYTES_MAX
assert HANDSHAKE_BYTES_MAX < CONTROL_CHUNK_BYTES_MAX
assert PING_INTERVAL_S + PONG_TIMEOUT_S < IDLE_TIMEOUT_S, (
    "a live but quiet peer must be able to answer"
)
assert FAULT_HELD_BYTES_MAX > MESSAGE_BYTES_MAX, "a delayed message must fit"
