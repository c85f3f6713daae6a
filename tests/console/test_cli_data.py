"""Single keys on the command line: what is printed, for a person and for a script."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any, ClassVar

import pytest
import trio

from console.cli import run
from console.runtime import data_commands


class FakeClient:
    """Holds one text and one value that is no text."""

    held: ClassVar = {b"text": "grüezi".encode(), b"bytes": b"\xff\x00"}

    async def get(self, key: bytes, **_: Any) -> bytes | None:
        return self.held.get(key)

    async def set(self, key: bytes, value: bytes, **_: Any) -> None:
        assert (key, value) == (b"text", b"new")

    async def delete(self, key: bytes, **_: Any) -> int:
        return int(key in self.held)

    async def mget(self, keys: list[bytes], **_: Any) -> list[bytes | None]:
        return [self.held.get(key) for key in keys]


@pytest.fixture(autouse=True)
def _client(monkeypatch: pytest.MonkeyPatch) -> None:
    def with_client(
        _name: str, _address: str, operation: Callable[[Any], Awaitable[Any]], _timeout_s: float
    ) -> Any:
        return trio.run(operation, FakeClient())

    monkeypatch.setattr(data_commands, "with_client", with_client)


@pytest.mark.parametrize(
    ("arguments", "code", "printed"),
    [
        (["get", "text"], 0, {"key": "text", "value": "grüezi"}),
        (["get", "bytes"], 0, {"key": "bytes", "value": {"base64": "/wA="}}),
        (["get", "absent"], 1, {"key": "absent", "value": None}),
        (["set", "text", "new", "--ttl", "60"], 0, {"key": "text", "ttl": 60.0}),
        (["set", "text", "new"], 0, {"key": "text", "ttl": None}),
        (["del", "text"], 0, {"key": "text", "deleted": True}),
        (["del", "absent"], 1, {"key": "absent", "deleted": False}),
        (
            ["mget", "text", "absent", "bytes"],
            0,
            {"text": "grüezi", "absent": None, "bytes": {"base64": "/wA="}},
        ),
    ],
)
def test_json_is_one_object_and_the_status_says_the_rest(
    arguments: list[str], code: int, printed: object, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([*arguments, "--json"]) == code
    out, err = capsys.readouterr()
    assert json.loads(out) == printed
    assert bool(err) == (code == 1)


def test_without_json_a_value_is_its_own_bytes(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    assert run(["get", "bytes"]) == 0
    assert capfdbinary.readouterr().out == b"\xff\x00"


def test_nobody_at_the_address_is_3(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.undo()
    assert run(["get", "text", "--connect", "127.0.0.1:1"]) == 3
    out, err = capsys.readouterr()
    assert out == ""
    assert "can't connect to 127.0.0.1:1: connection refused" in err
    assert "native address" in err
    assert run(["get", "text", "--connect", "elsewhere"]) == 2
    assert "'elsewhere' is not host:port" in capsys.readouterr().err
