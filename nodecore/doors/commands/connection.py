"""Connection commands: greeting, authentication, naming, the CLIENT family.

Client-side caching by TRACKING is not offered; turning it off is accepted, turning it on refused.
"""

from __future__ import annotations

import hmac
from typing import Final

from nodecore.doors.commands.spec import (
    SYNTAX,
    Arguments,
    Command,
    CommandError,
    integer_of,
)
from nodecore.doors.resp_connection import REDIS_VERSION, Connection
from nodecore.doors.resp_writer import OK, PONG, RESP2, RESP3, bulk, integer, simple
from nodecore.ids import Now

_WRONG_PASS: Final = "WRONGPASS invalid username-password pair or user is disabled."
_NO_PASSWORD: Final = (
    "ERR AUTH <password> called without any password configured for the default user. "
    "Are you sure your configuration is correct?"
)


def ping(connection: Connection, arguments: Arguments, now: Now) -> bytes:
    if len(arguments) > 2:
        raise CommandError("ERR wrong number of arguments for 'ping' command")
    return PONG if len(arguments) == 1 else bulk(arguments[1])


def echo(connection: Connection, arguments: Arguments, now: Now) -> bytes:
    return bulk(arguments[1])


def _authenticate(connection: Connection, user: bytes, password: bytes) -> None:
    expected = connection.door.password
    if expected and not (user == b"default" and hmac.compare_digest(password, expected)):
        raise CommandError(_WRONG_PASS)
    if not expected and user != b"default":
        raise CommandError(_WRONG_PASS)
    connection.authenticated = True


def auth(connection: Connection, arguments: Arguments, now: Now) -> bytes:
    if len(arguments) > 3:
        raise CommandError(SYNTAX)
    if len(arguments) == 2:
        if not connection.door.password:
            raise CommandError(_NO_PASSWORD)
        _authenticate(connection, b"default", arguments[1])
    else:
        _authenticate(connection, arguments[1], arguments[2])
    return OK


def _check_name(name: bytes, what: str) -> None:
    if any(not 33 <= byte <= 126 for byte in name):
        raise CommandError(f"ERR {what} cannot contain spaces, newlines or special characters.")


def hello(connection: Connection, arguments: Arguments, now: Now) -> bytes:
    encoder = connection.encoder
    if len(arguments) > 1:
        version = integer_of(arguments[1], "ERR Protocol version is not an integer or out of range")
        if version not in (2, 3):
            raise CommandError("NOPROTO unsupported protocol version")
        encoder = RESP3 if version == 3 else RESP2
    name: bytes | None = None
    credentials: tuple[bytes, bytes] | None = None
    at = 2
    while at < len(arguments):
        option = arguments[at].upper()
        if option == b"AUTH" and at + 2 < len(arguments):
            credentials = (arguments[at + 1], arguments[at + 2])
            at += 3
        elif option == b"SETNAME" and at + 1 < len(arguments):
            name = arguments[at + 1]
            _check_name(name, "Client names")
            at += 2
        else:
            text = arguments[at].decode("utf-8", "replace")
            raise CommandError(f"ERR Syntax error in HELLO option '{text}'")
    if credentials is not None:
        _authenticate(connection, *credentials)
    if not connection.authenticated:
        raise CommandError(
            "NOAUTH HELLO must be called with the client already authenticated, otherwise the "
            "HELLO <proto> AUTH <user> <pass> option can be used to authenticate the client and "
            "select the RESP protocol version at the same time"
        )
    connection.encoder = encoder
    if name is not None:
        connection.name = name
    mode = "standalone" if connection.door.resp_cluster == "proxy" else "cluster"
    return encoder.plain(
        {
            "server": "redis",
            "version": REDIS_VERSION,
            "proto": encoder.version,
            "id": connection.client_id,
            "mode": mode,
            "role": "master",
            "modules": (),
        }
    )


def select(connection: Connection, arguments: Arguments, now: Now) -> bytes:
    if integer_of(arguments[1]) != 0:
        raise CommandError("ERR DB index is out of range")
    return OK


def quit_(connection: Connection, arguments: Arguments, now: Now) -> bytes:
    connection.quitting = True
    return OK


def reset(connection: Connection, arguments: Arguments, now: Now) -> bytes:
    connection.reset()
    return simple("RESET")


def _accept(connection: Connection, arguments: Arguments, now: Now) -> bytes:
    return OK


def readonly(connection: Connection, arguments: Arguments, now: Now) -> bytes:
    connection.announce_cluster()
    connection.readonly = True
    return OK


def readwrite(connection: Connection, arguments: Arguments, now: Now) -> bytes:
    connection.readonly = False
    return OK


def asking(connection: Connection, arguments: Arguments, now: Now) -> bytes:
    connection.announce_cluster()
    return OK


def _client_id(connection: Connection, arguments: Arguments, now: Now) -> bytes:
    return integer(connection.client_id)


def _client_getname(connection: Connection, arguments: Arguments, now: Now) -> bytes:
    return connection.encoder.value(connection.name or None)


def _client_setname(connection: Connection, arguments: Arguments, now: Now) -> bytes:
    _check_name(arguments[2], "Client names")
    connection.name = arguments[2]
    return OK


def _client_setinfo(connection: Connection, arguments: Arguments, now: Now) -> bytes:
    attribute = arguments[2].upper()
    if attribute == b"LIB-NAME":
        _check_name(arguments[3], "lib-name")
        connection.library_name = arguments[3]
    elif attribute == b"LIB-VER":
        _check_name(arguments[3], "lib-ver")
        connection.library_version = arguments[3]
    else:
        text = arguments[2].decode("utf-8", "replace")
        raise CommandError(f"ERR Unrecognized option '{text}'")
    return OK


def _describe(connection: Connection, now: Now) -> str:
    age = int(now.mono_s - connection.first_mono_s)
    idle = int(now.mono_s - connection.last_mono_s)
    transaction = connection.transaction
    return (
        f"id={connection.client_id} addr={connection.peer} name={connection.name.decode()} "
        f"age={age} idle={idle} flags={'x' if transaction else 'N'} db=0 sub=0 psub=0 "
        f"multi={len(transaction.queued) if transaction else -1} watch={len(connection.watched)} "
        f"cmd={connection.last_command} user=default resp={connection.encoder.version} "
        f"lib-name={connection.library_name.decode()} "
        f"lib-ver={connection.library_version.decode()}\n"
    )


def _client_info(connection: Connection, arguments: Arguments, now: Now) -> bytes:
    return connection.encoder.verbatim(_describe(connection, now).encode())


def _client_list(connection: Connection, arguments: Arguments, now: Now) -> bytes:
    known = connection.door.connections
    if len(arguments) == 2:
        chosen = list(known.values())
    elif arguments[2].upper() == b"ID" and len(arguments) > 3:
        numbers = [integer_of(text, "ERR Invalid client ID") for text in arguments[3:]]
        chosen = [known[number] for number in numbers if number in known]
    else:
        raise CommandError(SYNTAX)
    return connection.encoder.verbatim("".join(_describe(c, now) for c in chosen).encode())


def _client_switch(connection: Connection, arguments: Arguments, now: Now) -> bytes:
    if arguments[2].upper() not in (b"ON", b"OFF"):
        raise CommandError(SYNTAX)
    return OK


def _client_tracking(connection: Connection, arguments: Arguments, now: Now) -> bytes:
    if arguments[2].upper() == b"OFF":
        return OK
    raise CommandError("ERR client-side caching is not offered by this server")


_CLIENT: Final = (
    Command("client|id", 2, _client_id, ("fast",), "This connection's number.", "connection", since="5.0.0"),
    Command("client|getname", 2, _client_getname, ("fast",), "This connection's name.", "connection", since="2.6.9"),
    Command("client|setname", 3, _client_setname, ("fast",), "Name this connection.", "connection", since="2.6.9"),
    Command("client|setinfo", 4, _client_setinfo, ("fast",), "Tell the library's name and version.", "connection", since="7.2.0"),
    Command("client|info", 2, _client_info, ("fast",), "Describe this connection.", "connection", since="6.2.0"),
    Command("client|list", -2, _client_list, ("admin",), "Describe all connections of this node's door.", "connection", since="2.4.0"),
    Command("client|no-evict", 3, _client_switch, ("fast",), "Accepted: connections are never evicted.", "connection", since="7.0.0"),
    Command("client|no-touch", 3, _client_switch, ("fast",), "Accepted without effect.", "connection", since="7.2.0"),
    Command("client|tracking", -3, _client_tracking, ("fast",), "Only OFF: tracking is not offered.", "connection", since="6.0.0"),
)  # fmt: skip


def by_subcommand(commands: tuple[Command, ...]) -> dict[bytes, Command]:
    """Subcommands by their own names."""
    return {command.name.partition("|")[2].encode(): command for command in commands}


COMMANDS: Final = (
    Command("ping", -1, ping, ("fast",), "Answer PONG, or the argument.", "connection"),
    Command("echo", 2, echo, ("fast",), "Answer the argument.", "connection"),
    Command("hello", -1, hello, ("fast", "noauth"), "Greet, choose RESP2 or RESP3, authenticate.", "connection", barrier=True, since="6.0.0"),
    Command("auth", -2, auth, ("fast", "noauth"), "Authenticate.", "connection", barrier=True),
    Command("select", 2, select, ("fast",), "Choose database 0: there is one.", "connection"),
    Command("quit", -1, quit_, ("fast", "noauth"), "Close the connection.", "connection", barrier=True),
    Command("reset", 1, reset, ("fast", "noauth"), "Put the connection back to its beginning.", "connection", barrier=True, since="6.2.0"),
    Command("client", -2, _accept, (), "Settings of connections.", "connection", since="2.4.0", subcommands=by_subcommand(_CLIENT)),
    Command("readonly", 1, readonly, ("fast",), "Let this node answer reads as a replica.", "cluster", barrier=True, since="3.0.0"),
    Command("readwrite", 1, readwrite, ("fast",), "Undo READONLY.", "cluster", barrier=True, since="3.0.0"),
    Command("asking", 1, asking, ("fast",), "Accepted: slots in motion are served by their old owners.", "cluster", barrier=True, since="3.0.0"),
)  # fmt: skip
