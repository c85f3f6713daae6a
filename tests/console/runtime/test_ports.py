"""Ports: the documented ones first, never a reserved or busy one."""

from __future__ import annotations

import socket

import pytest

from console.errors import UsageError
from console.runtime.ports import RESERVED, choose_ports, is_free, port_base


def test_busy_ports_are_stepped_over_and_named() -> None:
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        base = int(busy.getsockname()[1])
        assert not is_free(base)
        ports = choose_ports(1, [], base)
        assert ports.resp > base
        assert ports.moved[0] == f"resp {base} is busy, {ports.resp} instead"


def test_taken_and_reserved_ports_are_never_chosen() -> None:
    taken: list[int] = []
    for index in range(1, 16):
        ports = choose_ports(index, taken, 7001)
        chosen = [ports.resp, ports.native, ports.http]
        assert not set(chosen) & (set(taken) | RESERVED)
        taken += chosen


def test_base_from_the_environment() -> None:
    assert port_base({}) == 7001
    assert port_base({"RINGDECK_PORT_BASE": "21000"}) == 21000
    with pytest.raises(UsageError):
        port_base({"RINGDECK_PORT_BASE": "80"})


def test_a_range_without_a_free_port_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("console.runtime.ports.is_free", lambda port: False)
    with pytest.raises(UsageError, match="no free port from 20000 on"):
        choose_ports(1, (), 20_000)
