"""Addresses in text."""

from __future__ import annotations

import pytest

from transport.addresses import format_address, parse_address
from transport.errors import LocalProtocolError


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("127.0.0.1:7101", "127.0.0.1", 7101),
        ("[::1]:1", "::1", 1),
        ("db.local:65535", "db.local", 65535),
    ],
)
def test_addresses_survive(text: str, host: str, port: int) -> None:
    assert parse_address(text) == (host, port)
    assert format_address(host, port) == text


@pytest.mark.parametrize(
    "text",
    ["", "host", ":1", "host:", "host:0", "host:65536", "host:-1", "host:١", "::1:5", "a:1 "],
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(LocalProtocolError, match="address"):
        parse_address(text)
