"""Frames: where one message ends and the next begins, and whether its bytes arrived unharmed.

Header, big-endian: ``u32 length | u32 crc32 | u8 version | u8 flags | u32 stream``, then ``length``
bytes of payload. The crc covers the rest of the header and the payload. A message larger than a
chunk travels as several frames of one stream, all flagged CHUNK and the last one LAST; frames of
other streams may come in between. A message may be compressed as a whole (zlib) when both sides
agreed to it; then all of its frames are flagged.

Nothing is allocated from a declared length: the decoder keeps the bytes that have arrived and
refuses a header above its limit at once. After an error a decoder stays broken, because where the
next frame begins is no longer known; frames that came before the error are still delivered.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from enum import Enum
from struct import Struct
from typing import Final, NamedTuple, TypeAlias, final
from zlib import crc32

from transport import limits
from transport.errors import BadChecksum, FrameTooLarge, LocalProtocolError, RemoteProtocolError

CHUNK: Final = 1
LAST: Final = 2
COMPRESSED: Final = 4
_FLAGS: Final = CHUNK | LAST | COMPRESSED

_HEADER: Final = Struct(">IIBBI")
_COVERED: Final = Struct(">IBBI")
"""The header without its crc, in the order in which the crc reads it."""
_CRC: Final = Struct(">I")
HEADER_BYTES: Final = _HEADER.size
STREAM_MAX: Final = 0xFFFFFFFF


class NeedData(Enum):
    """No complete frame yet."""

    NEED_DATA = "need data"


NEED_DATA: Final = NeedData.NEED_DATA


class Frame(NamedTuple):
    """One frame as it travelled."""

    stream: int
    flags: int
    payload: bytes


FrameResult: TypeAlias = Frame | NeedData


def encode_frame(payload: bytes, stream: int, flags: int = 0) -> bytes:
    """One frame; ``payload`` must fit into a chunk of the link."""
    covered = _COVERED.pack(len(payload), limits.FRAME_VERSION, flags, stream)
    checksum = _CRC.pack(crc32(payload, crc32(covered)))
    return b"".join((covered[:4], checksum, covered[4:], payload))


def encode_message(
    payload: bytes,
    stream: int,
    *,
    chunk_bytes_max: int = limits.CHUNK_BYTES_MAX,
    message_bytes_max: int = limits.MESSAGE_BYTES_MAX,
    compress: bool = False,
) -> list[bytes]:
    """The frames of one message, in order; frames of other streams may be sent in between.

    Raises:
        LocalProtocolError: the payload is above the limit.
    """
    size = len(payload)
    if size > message_bytes_max:
        raise LocalProtocolError(
            f"message of {size} bytes exceeds the limit of {message_bytes_max}"
        )
    flags = 0
    if compress and size > limits.COMPRESS_BYTES_MIN:
        packed = zlib.compress(payload, 1)
        if len(packed) <= size * (1 - limits.COMPRESS_GAIN_MIN):
            payload, flags = packed, COMPRESSED
    if len(payload) <= chunk_bytes_max:
        return [encode_frame(payload, stream, flags)]
    frames = []
    for start in range(0, len(payload), chunk_bytes_max):
        last = LAST if start + chunk_bytes_max >= len(payload) else 0
        chunk = payload[start : start + chunk_bytes_max]
        frames.append(encode_frame(chunk, stream, flags | CHUNK | last))
    return frames


@final
class FrameDecoder:
    """Bytes in, frames out. ``payload_bytes_max`` may be raised when the handshake is done."""

    def __init__(self, payload_bytes_max: int) -> None:
        self.payload_bytes_max = payload_bytes_max
        self._buffer = b""
        self._offset = 0
        self._pieces: list[bytes] = []
        """Arrived behind ``_buffer`` and not joined yet."""
        self._pieces_bytes = 0
        self._missing = 0
        """Bytes without which looking again is in vain."""
        self._error: RemoteProtocolError | None = None

    def receive_data(self, data: bytes) -> None:
        """Take bytes as they came."""
        if self._error is not None:
            return
        if not self._pieces and self._offset == len(self._buffer):
            self._buffer = data
            self._offset = 0
            self._missing = 0
            return
        self._pieces.append(data)
        self._pieces_bytes += len(data)

    @property
    def partial_bytes(self) -> int:
        """Bytes of a frame that is not complete; 0 between frames."""
        return len(self._buffer) - self._offset + self._pieces_bytes

    @property
    def missing_bytes(self) -> int:
        """How many bytes, at least, the frame that has begun still needs."""
        return max(0, self._missing - self._pieces_bytes)

    def _join(self) -> bool:
        """Bring the pieces behind the buffer; False while they can't complete anything."""
        if not self._pieces or self._pieces_bytes < self._missing:
            return False
        self._buffer = b"".join((self._buffer[self._offset :], *self._pieces))
        self._offset = 0
        self._pieces.clear()
        self._pieces_bytes = 0
        return True

    def next_frame(self) -> FrameResult:
        """The next complete frame.

        Raises:
            FrameTooLarge: the header declares more than this link allows.
            BadChecksum: header or payload changed on the way.
            RemoteProtocolError: another header version, or flags that are not defined.
        """
        if self._error is not None:
            raise self._error
        start = self._offset
        buffer = self._buffer
        body = start + HEADER_BYTES
        if body > len(buffer):
            self._missing = body - len(buffer)
            return self.next_frame() if self._join() else NEED_DATA
        length, checksum, version, flags, stream = _HEADER.unpack_from(buffer, start)
        if length > self.payload_bytes_max or version != limits.FRAME_VERSION or flags > _FLAGS:
            raise self._fail(_header_problem(length, version, flags, self.payload_bytes_max))
        end = body + length
        if end > len(buffer):
            self._missing = end - len(buffer)
            return self.next_frame() if self._join() else NEED_DATA
        payload = buffer[body:end]
        covered = buffer[start : start + 4] + buffer[start + 8 : body]
        if crc32(payload, crc32(covered)) != checksum:
            raise self._fail(BadChecksum(f"checksum of a frame of {length} bytes does not match"))
        self._offset = end
        return Frame(stream, flags, payload)

    def _fail(self, error: RemoteProtocolError) -> RemoteProtocolError:
        self._error = error
        self._buffer = b""
        self._offset = 0
        self._pieces.clear()
        self._pieces_bytes = 0
        return error

    def frames(self) -> Iterator[Frame]:
        """Every complete frame; raises like :meth:`next_frame`, after the good ones."""
        while True:
            frame = self.next_frame()
            if frame is NEED_DATA:
                return
            assert isinstance(frame, Frame)
            yield frame


def _header_problem(
    length: int, version: int, flags: int, payload_bytes_max: int
) -> RemoteProtocolError:
    if version != limits.FRAME_VERSION:
        return RemoteProtocolError(f"frame version {version} is unknown")
    if length > payload_bytes_max:
        return FrameTooLarge(f"frame of {length} bytes exceeds the limit of {payload_bytes_max}")
    return RemoteProtocolError(f"frame flags {flags} are unknown")


@final
class Assembler:
    """Frames in, payloads of whole messages out; keeps a bounded number of unfinished ones."""

    def __init__(self, message_bytes_max: int, *, decompress: bool = False) -> None:
        self._message_bytes_max = message_bytes_max
        self._decompress = decompress
        self._parts: dict[int, list[bytes]] = {}
        self._sizes: dict[int, int] = {}
        self._held_bytes = 0

    @property
    def held_bytes(self) -> int:
        """Chunks of unfinished messages."""
        return self._held_bytes

    def add(self, frame: Frame) -> bytes | None:
        """The payload when this frame completes a message, else None.

        Raises:
            RemoteProtocolError: chunks that do not fit together, or more than the limits.
        """
        stream, flags, payload = frame
        if flags & CHUNK:
            return self._add_chunk(stream, flags, payload)
        if flags & LAST:
            raise RemoteProtocolError("a last chunk that is no chunk")
        if self._parts and stream in self._parts:
            raise RemoteProtocolError(f"stream {stream} mixes chunks and whole frames")
        return self._inflate(payload) if flags & COMPRESSED else payload

    def _add_chunk(self, stream: int, flags: int, payload: bytes) -> bytes | None:
        parts = self._parts.get(stream)
        if parts is None:
            if len(self._parts) >= limits.ASSEMBLIES_MAX:
                raise RemoteProtocolError(f"more than {limits.ASSEMBLIES_MAX} unfinished messages")
            parts = self._parts[stream] = []
            self._sizes[stream] = 0
        if not payload:
            raise RemoteProtocolError("an empty chunk")
        parts.append(payload)
        size = self._sizes[stream] = self._sizes[stream] + len(payload)
        self._held_bytes += len(payload)
        if size > self._message_bytes_max:
            raise FrameTooLarge(
                f"message of at least {size} bytes exceeds the limit of {self._message_bytes_max}"
            )
        if self._held_bytes > limits.ASSEMBLY_BYTES_MAX:
            raise FrameTooLarge(f"{self._held_bytes} bytes of unfinished messages")
        if not flags & LAST:
            return None
        del self._parts[stream]
        self._held_bytes -= self._sizes.pop(stream)
        whole = b"".join(parts)
        return self._inflate(whole) if flags & COMPRESSED else whole

    def _inflate(self, payload: bytes) -> bytes:
        if not self._decompress:
            raise RemoteProtocolError("a compressed frame on a link that did not agree to it")
        inflater = zlib.decompressobj()
        try:
            whole = inflater.decompress(payload, self._message_bytes_max)
        except zlib.error as error:
            raise RemoteProtocolError(f"compressed payload: {error}") from error
        if inflater.unconsumed_tail:
            raise FrameTooLarge(
                f"compressed message exceeds the limit of {self._message_bytes_max} bytes"
            )
        if not inflater.eof or inflater.unused_data:
            raise RemoteProtocolError("compressed payload is cut short or has a tail")
        return whole
