"""The registry: every command of the RESP door by name, and COMMAND, which reads it out.

Documentation, key positions for clients, arity checks and dispatch come from this one table.
"""

from __future__ import annotations

from typing import Final

from nodecore.doors.commands import cluster, connection, keys, server, strings, transactions
from nodecore.doors.commands.connection import by_subcommand
from nodecore.doors.commands.spec import Arguments, Command, CommandError
from nodecore.doors.resp_connection import Connection
from nodecore.doors.resp_writer import Encoded, Plain, array, bulk, integer, simple
from nodecore.ids import Now


def _describe(command: Command) -> bytes:
    flags = [simple(flag) for flag in command.flags if flag != "noauth"]
    category = {"readonly": "@read", "write": "@write"}
    categories = [simple(category[flag]) for flag in command.flags if flag in category]
    return array(
        [
            bulk(command.name.encode()),
            integer(command.arity),
            array(flags),
            integer(command.first_key),
            integer(command.last_key),
            integer(command.key_step),
            array(categories),
            array([]),
            array([]),
            array([_describe(entry) for entry in command.subcommands.values()]),
        ]
    )


def _command(connection: Connection, arguments: Arguments, now: Now) -> bytes:
    if len(arguments) > 1:
        raise CommandError(unknown_subcommand(arguments))
    return array([_describe(command) for command in ALL])


def _command_count(connection: Connection, arguments: Arguments, now: Now) -> bytes:
    return integer(len(ALL))


def _command_info(connection: Connection, arguments: Arguments, now: Now) -> bytes:
    if len(arguments) == 2:
        return array([_describe(command) for command in ALL])
    found = [BY_NAME.get(name.lower()) for name in arguments[2:]]
    return array(
        [connection.encoder.nil_array if entry is None else _describe(entry) for entry in found]
    )


def _documentation(command: Command) -> dict[str, Plain]:
    fields: dict[str, Plain] = {
        "summary": command.summary,
        "since": command.since,
        "group": command.group,
    }
    if command.subcommands:
        fields["subcommands"] = {
            entry.name: _documentation(entry) for entry in command.subcommands.values()
        }
    return fields


def _command_docs(connection: Connection, arguments: Arguments, now: Now) -> bytes:
    wanted = {name.lower() for name in arguments[2:]}
    chosen = [entry for entry in ALL if not wanted or entry.name.encode() in wanted]
    return connection.encoder.plain({entry.name: _documentation(entry) for entry in chosen})


def _command_list(connection: Connection, arguments: Arguments, now: Now) -> bytes:
    return array([bulk(command.name.encode()) for command in ALL])


def _command_getkeys(connection: Connection, arguments: Arguments, now: Now) -> bytes:
    command = BY_NAME.get(arguments[2].lower())
    if command is None:
        raise CommandError("ERR Invalid command specified")
    if not command.fits(len(arguments) - 2):
        raise CommandError("ERR Invalid number of arguments specified for command")
    found = command.keys(arguments[2:])
    if not found:
        raise CommandError("ERR The command has no key arguments")
    return connection.encoder.plain([Encoded(bulk(key)) for key in found])


def unknown_command(arguments: Arguments) -> str:
    """Redis's words for a name that is in no table."""
    name = arguments[0][:128].decode("utf-8", "backslashreplace")
    shown = ""
    for argument in arguments[1:]:
        if len(shown) >= 128:
            break
        shown += f"'{argument[: 128 - len(shown)].decode('utf-8', 'backslashreplace')}' "
    return f"ERR unknown command '{name}', with args beginning with: {shown}"


def unknown_subcommand(arguments: Arguments) -> str:
    """Redis's words for an unknown second word."""
    word = arguments[1][:128].decode("utf-8", "backslashreplace")
    container = arguments[0].decode("utf-8", "backslashreplace").upper()
    return f"ERR unknown subcommand '{word}'. Try {container} HELP."


def wrong_arity(command: Command) -> str:
    """Redis's words for too few or too many arguments."""
    return f"ERR wrong number of arguments for '{command.name}' command"


_SUBCOMMANDS: Final = (
    Command("command|count", 2, _command_count, (), "How many commands there are.", "server", since="2.8.13"),
    Command("command|info", -2, _command_info, (), "Arity, flags and key positions of commands.", "server", since="2.8.13"),
    Command("command|docs", -2, _command_docs, (), "What commands do.", "server", since="7.0.0"),
    Command("command|list", 2, _command_list, (), "The names of all commands.", "server", since="7.0.0"),
    Command("command|getkeys", -3, _command_getkeys, (), "The keys among a command's arguments.", "server", since="2.8.13"),
)  # fmt: skip

ALL: Final[tuple[Command, ...]] = tuple(
    sorted(
        (
            *strings.COMMANDS,
            *keys.COMMANDS,
            *connection.COMMANDS,
            *server.COMMANDS,
            *cluster.COMMANDS,
            *transactions.COMMANDS,
            Command("command", -1, _command, (), "This table.", "server", since="2.8.13", subcommands=by_subcommand(_SUBCOMMANDS)),
        ),
        key=lambda command: command.name,
    )
)  # fmt: skip
BY_NAME: Final[dict[bytes, Command]] = {command.name.encode(): command for command in ALL}
SPELLED: Final[dict[bytes, Command]] = {
    spelling: command
    for name, command in BY_NAME.items()
    for spelling in (name, name.upper(), name.capitalize())
}
"""The usual spellings, so that dispatch seldom needs to fold case."""
