"""Every maximum of the node, with its reason. Wire maxima live in ``transport.limits``."""

from __future__ import annotations

from typing import Final

KEY_BYTES_MAX: Final = 64 * 1024
"""Longer keys are refused: a key is repeated in indexes, hints and touch buffers."""
VALUE_BYTES_MAX: Final = 8 * 1024 * 1024
"""Half of a frame, so that a value always travels in one message."""
CONNECTIONS_MAX: Final = 1024
"""Client connections of a node's RESP and HTTP doors together, and links at its native door; more
are refused with a message."""
CONNECTIONS_RESERVED: Final = 32
"""The HTTP door takes so many more: who asks for health and metrics must get through a flood."""
OUTSTANDING_REQUESTS_MAX: Final = 1024
"""Per connection; reading stops above it until half is answered."""
UNSENT_BYTES_MAX: Final = 1024 * 1024
"""Per connection; reading, and running what was read, stops above it until half is sent."""
CLIENTS_UNSENT_BYTES_MAX: Final = 256 * 1024 * 1024
"""All client connections together; above it the one that holds most is cut off and counted."""
READ_BYTES_MAX: Final = 128 * 1024 * 1024
"""Values of one request together: an answer that can't be held is refused, not attempted."""
REQUEST_TIMEOUT_S: Final = 10.0
"""A client that begins a request must finish it in this time, or keep REQUEST_BYTES_PER_S_MIN."""
REQUEST_BYTES_PER_S_MIN: Final = 16 * 1024
READ_BYTES_PER_TURN: Final = 64 * 1024
EVENTS_PER_TURN: Final = 256
TOUCHES_MAX: Final = 200_000
"""Touched keys kept between two ticks; beyond it touches are sampled and scaled."""
TICK_S: Final = 0.25
"""Heat, expiry sweep and eviction bookkeeping run once per tick."""
OPERATION_TIMEOUT_S: Final = 2.0
"""No request waits longer for its peers."""
RESP_ARGUMENTS_MAX: Final = 1024 * 1024
RESP_INLINE_BYTES_MAX: Final = 64 * 1024
HTTP_HEAD_BYTES_MAX: Final = 16 * 1024
HTTP_HEADERS_MAX: Final = 100
BATCH_KEYS_MAX: Final = 10_000
"""Keys of one MGET, MSET, HTTP or native batch."""
MEMBERS_MAX: Final = 256
FAULTS_MAX: Final = 256
HINTS_BYTES_MAX: Final = 32 * 1024 * 1024
"""All hints of a node together; older ones are dropped and counted."""
HINT_WINDOW_S: Final = 300.0
TOMBSTONE_S: Final = 600.0
EVENTS_KEPT: Final = 1000
HOT_KEYS_REPORTED: Final = 50

assert READ_BYTES_MAX >= VALUE_BYTES_MAX, "a single value can always be read"
assert TOMBSTONE_S > HINT_WINDOW_S, "a hint must never outlive the tombstone that it contradicts"
RESP_COMMAND_BYTES_MAX: Final = 64 * 1024 * 1024
"""One command with all its arguments; only what its client has really sent is ever held."""
