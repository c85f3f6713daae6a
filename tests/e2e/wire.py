"""Raw connections for tests: bytes out, bytes in, each wait with a deadline."""

from __future__ import annotations

import contextlib
import socket
import time
from types import TracebackType
from typing import Self

READ_BYTES = 65536


def port_of(address: str) -> int:
    """The port of ``host:port``."""
    return int(address.rpartition(":")[2])


class Wire:
    """One TCP connection to a door."""

    def __init__(self, address: str) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port_of(address)), timeout=10)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.socket.close()

    def send(self, data: bytes) -> None:
        """Send everything; a door that has closed already is no error here."""
        with contextlib.suppress(ConnectionError):
            self.socket.sendall(data)

    def push(self, data: bytes, seconds: float) -> int:
        """Send over and over until the door takes no more for this long; how much it took."""
        self.socket.settimeout(seconds)
        taken = 0
        try:
            while taken < 64 * 1024 * 1024:
                taken += self.socket.send(data)
        except (TimeoutError, ConnectionError):
            pass
        return taken

    def read_to_end(self, deadline_s: float = 10.0) -> bytes:
        """Everything until the door closes; fails when it does not."""
        end = time.monotonic() + deadline_s
        found = bytearray()
        while True:
            left_s = end - time.monotonic()
            assert left_s > 0, f"not closed within {deadline_s:g} s; so far {bytes(found[:200])!r}"
            self.socket.settimeout(left_s)
            try:
                data = self.socket.recv(READ_BYTES)
            except TimeoutError:
                continue
            except ConnectionResetError:
                return bytes(found)
            if not data:
                return bytes(found)
            found += data

    def read_until(self, ending: bytes, deadline_s: float = 10.0) -> bytes:
        """Everything up to and including ``ending``."""
        end = time.monotonic() + deadline_s
        found = bytearray()
        while not found.endswith(ending):
            left_s = end - time.monotonic()
            assert left_s > 0, f"no {ending!r} within {deadline_s:g} s: {bytes(found[:200])!r}"
            self.socket.settimeout(left_s)
            with contextlib.suppress(TimeoutError):
                data = self.socket.recv(READ_BYTES)
                assert data, f"closed before {ending!r}: {bytes(found[:200])!r}"
                found += data
        return bytes(found)


def exchange(address: str, data: bytes, deadline_s: float = 10.0) -> bytes:
    """Send, and read until the door closes."""
    with Wire(address) as wire:
        wire.send(data)
        return wire.read_to_end(deadline_s)
