"""``host:port`` in text, and back. Names are not resolved here."""

from __future__ import annotations

from typing import Final

from transport.errors import LocalProtocolError

_HOST_CHARACTERS_MAX: Final = 255


def parse_address(text: str) -> tuple[str, int]:
    """Host and port of ``host:port`` or ``[v6]:port``.

    Raises:
        LocalProtocolError: it is not of this form, or the port is not 1..65535.
    """
    host, colon, digits = text.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise LocalProtocolError(f"address {text[:80]!r}: a v6 host is written in brackets")
    port = int(digits) if digits.isascii() and digits.isdigit() and len(digits) <= 5 else 0
    if not colon or not host or len(host) > _HOST_CHARACTERS_MAX or not 0 < port < 65536:
        raise LocalProtocolError(f"address {text[:80]!r} is not HOST:PORT")
    return host, port


def format_address(host: str, port: int) -> str:
    """The reverse of :func:`parse_address`."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
