"""``ringdeck get|set|del|mget``: single keys through the ordinary client.

In JSON a value is a string, or ``{"base64": ...}`` when it is not UTF-8, as at the HTTP door.
"""

from __future__ import annotations

import base64
import sys
from typing import Annotated, Final

import typer

from console.cli_cluster import Json, Name, SecretFile
from console.cli_output import print_json
from console.errors import ConsoleError, UsageError

app = typer.Typer()

CONSISTENCIES: Final = ("default", "one", "quorum", "all")
TIMEOUT_S: Final = 5.0
"""More than the two seconds after which a node gives up: what it says then is worth waiting for."""

Key = Annotated[str, typer.Argument(help="The key, as UTF-8 text.", metavar="KEY")]
Address = Annotated[
    str, typer.Option("--connect", help="Native address of any member, instead of a local name.")
]
Timeout = Annotated[float, typer.Option(help="Seconds.", min=0.01, max=60)]


def _consistency(text: str) -> str:
    if text.lower() not in CONSISTENCIES:
        raise UsageError(f"--consistency {text!r}: one of {', '.join(CONSISTENCIES)}")
    return text.lower()


Consistency = Annotated[
    str,
    typer.Option(
        "--consistency",
        callback=_consistency,
        metavar="|".join(CONSISTENCIES),
        help="A named one is strict: with fewer copies it fails.",
    ),
]


@app.command()
def get(
    key: Key,
    name: Name = "default",
    connect: Address = "",
    timeout: Timeout = TIMEOUT_S,
    consistency: Consistency = "default",
    _secret_file: SecretFile = "",
    json_: Json = False,
) -> None:
    """Print a value; exit status 1 when there is none."""
    from console.runtime.data_commands import with_client

    found = with_client(
        name,
        connect,
        lambda c: c.get(key.encode(), consistency=consistency, timeout_s=timeout),
        timeout,
    )
    if json_:
        print_json({"key": key, "value": _shown(found)})
    if found is None:
        raise ConsoleError(f"no key {key!r}")
    if not json_:
        _write(found)


@app.command("set")
def set_(
    key: Key,
    value: Annotated[str, typer.Argument(metavar="VALUE", help="The value, as UTF-8 text.")],
    ttl: Annotated[float, typer.Option(help="Seconds until it expires; 0 = never.", min=0)] = 0,
    name: Name = "default",
    connect: Address = "",
    timeout: Timeout = TIMEOUT_S,
    consistency: Consistency = "default",
    _secret_file: SecretFile = "",
    json_: Json = False,
) -> None:
    """Write a value."""
    from console.runtime.data_commands import with_client

    with_client(
        name,
        connect,
        lambda c: c.set(
            key.encode(),
            value.encode(),
            ttl_s=ttl or None,
            consistency=consistency,
            timeout_s=timeout,
        ),
        timeout,
    )
    if json_:
        print_json({"key": key, "ttl": ttl or None})


@app.command("del")
def delete(
    key: Key,
    name: Name = "default",
    connect: Address = "",
    timeout: Timeout = TIMEOUT_S,
    consistency: Consistency = "default",
    _secret_file: SecretFile = "",
    json_: Json = False,
) -> None:
    """Delete a key; exit status 1 when there was none."""
    from console.runtime.data_commands import with_client

    deleted = with_client(
        name,
        connect,
        lambda c: c.delete(key.encode(), consistency=consistency, timeout_s=timeout),
        timeout,
    )
    if json_:
        print_json({"key": key, "deleted": deleted > 0})
    if not deleted:
        raise ConsoleError(f"no key {key!r}")


@app.command()
def mget(
    keys: Annotated[list[str], typer.Argument(metavar="KEY...")],
    name: Name = "default",
    connect: Address = "",
    timeout: Timeout = TIMEOUT_S,
    consistency: Consistency = "default",
    _secret_file: SecretFile = "",
    _json: Json = False,
) -> None:
    """Print several values as one JSON object; null for those that are not there."""
    from console.runtime.data_commands import with_client

    names = [key.encode() for key in keys]
    found = with_client(
        name,
        connect,
        lambda c: c.mget(names, consistency=consistency, timeout_s=timeout),
        timeout,
    )
    print_json(dict(zip(keys, map(_shown, found), strict=True)))


def _shown(value: bytes | None) -> object:
    """A value in JSON; null when there is none."""
    if value is None:
        return None
    try:
        return value.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(value).decode()}


def _write(value: bytes) -> None:
    sys.stdout.buffer.write(value)
    if sys.stdout.isatty():
        sys.stdout.buffer.write(b"\n")
    sys.stdout.buffer.flush()
