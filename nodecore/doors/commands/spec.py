"""What a command is: its entry in the registry, what its handler may return, how it says no.

A handler takes (connection, arguments with the command's name first, now) and returns either the
encoded reply or an :class:`Ask`: requests for the node and the function that renders their outcomes.
Handlers decide syntax and semantics of one command; the session decides order, transactions,
authentication and redirects.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, TypeAlias, final

from nodecore import limits
from nodecore.doors.resp_exact import parse_integer
from nodecore.doors.resp_writer import error
from nodecore.errors import Code
from nodecore.ids import Now
from nodecore.requests import Done, Failed, Outcome, Request, Unknown, Value

if TYPE_CHECKING:
    from nodecore.doors.resp_connection import Connection

Arguments: TypeAlias = list[bytes]


class CommandError(Exception):
    """A command is refused; the text is the error reply, code word included."""


SYNTAX: Final = "ERR syntax error"
NOT_AN_INTEGER: Final = "ERR value is not an integer or out of range"
NOT_A_FLOAT: Final = "ERR value is not a valid float"
TOO_LONG: Final = "ERR string exceeds maximum allowed size (proto-max-bulk-len)"
WRONG_TYPE: Final = "WRONGTYPE Operation against a key holding the wrong kind of value"

_CODE_TEXTS: Final[Mapping[Code, str]] = {
    Code.WRONG_TYPE: WRONG_TYPE,
    Code.NOT_AN_INTEGER: NOT_AN_INTEGER,
    Code.NOT_A_FLOAT: NOT_A_FLOAT,
    Code.OVERFLOW: "ERR increment or decrement would overflow",
    Code.VALUE_TOO_LARGE: TOO_LONG,
    Code.OUT_OF_MEMORY: "OOM command not allowed when used memory > 'maxmemory'.",
}
_CODE_WORDS: Final[Mapping[Code, str]] = {
    Code.NOT_READY: "LOADING",
    Code.NOT_ENOUGH_COPIES: "NOREPLICAS",
    Code.NO_QUORUM: "CLUSTERDOWN",
    Code.READ_ONLY: "READONLY",
    Code.UNREACHABLE: "CLUSTERDOWN",
    Code.STALE_EPOCH: "TRYAGAIN",
    Code.NOT_OWNER: "TRYAGAIN",
    Code.OVERLOADED: "TRYAGAIN",
    Code.BREAKER_OPEN: "TRYAGAIN",
    Code.CHANGE_RUNNING: "TRYAGAIN",
    Code.TIMED_OUT: "TRYAGAIN",
    Code.REFUSED: "NOPERM",
}
"""Code words that Redis clients know: they retry LOADING, TRYAGAIN and CLUSTERDOWN by themselves,
so these words stand only for definite failures."""


def failure_text(failed: Failed | Unknown) -> str:
    """The error reply of a failure. Unknown outcomes have a code word that no client retries."""
    if isinstance(failed, Unknown):
        return f"UNKNOWN {failed.text or 'the outcome is not known: it may have happened'}"
    text = _CODE_TEXTS.get(failed.code)
    if text is not None:
        return text
    return f"{_CODE_WORDS.get(failed.code, 'ERR')} {failed.text or failed.code.name.lower()}"


def failure(failed: Failed | Unknown) -> bytes:
    """The encoded error reply of a failure."""
    return error(failure_text(failed))


Render: TypeAlias = "Callable[[Connection, Sequence[Outcome], object, Now], bytes]"
"""(connection, outcomes in order of the requests, extra, now) -> reply."""


@final
@dataclass(slots=True)
class Ask:
    """Requests to the node, and how their outcomes become one reply."""

    requests: tuple[Request, ...]
    render: Render
    extra: object = None


Handler: TypeAlias = "Callable[[Connection, Arguments, Now], bytes | Ask]"


@final
@dataclass(frozen=True, slots=True)
class Command:
    """One entry of the registry."""

    name: str
    """Lower case; of a subcommand ``client|id``."""
    arity: int
    """Arguments, the name included; negative: at least that many."""
    handler: Handler
    flags: tuple[str, ...]
    """Redis's flags: ``readonly``, ``write``, ``fast``, ``denyoom``, ``admin``..."""
    summary: str
    group: str
    first_key: int = 0
    """Position of the first key; 0 = no keys."""
    last_key: int = 0
    """Position of the last key; negative counts from the end."""
    key_step: int = 0
    barrier: bool = False
    """Runs alone on its connection: after everything before it, before everything after it."""
    since: str = "1.0.0"
    subcommands: Mapping[bytes, Command] = field(default_factory=dict)
    """By lower-case name; a command with subcommands has no use for its own handler."""

    @property
    def writes(self) -> bool:
        """Whether it may change keys."""
        return "write" in self.flags

    def fits(self, count: int) -> bool:
        """Whether this many arguments (the name included) agree with the arity."""
        return count == self.arity if self.arity >= 0 else count >= -self.arity

    def keys(self, arguments: Arguments) -> list[bytes]:
        """The keys among the arguments."""
        if self.first_key == 0:
            return []
        if self.last_key == self.first_key:
            return [arguments[self.first_key]]
        end = len(arguments) if self.last_key == -1 else self.last_key + 1
        return arguments[self.first_key : end : self.key_step]


def integer_of(text: bytes, problem: str = NOT_AN_INTEGER) -> int:
    """A signed 64-bit integer.

    Raises:
        CommandError: it is none.
    """
    number = parse_integer(text)
    if number is None:
        raise CommandError(problem)
    return number


def check_keys(keys: Sequence[bytes]) -> None:
    """Refuse keys that the node would refuse, and too many of them.

    Raises:
        CommandError: with the limit in its text.
    """
    if len(keys) > limits.BATCH_KEYS_MAX:
        raise CommandError(f"ERR more than {limits.BATCH_KEYS_MAX} keys in one command")
    for key in keys:
        if len(key) > limits.KEY_BYTES_MAX:
            raise CommandError(f"ERR key exceeds {limits.KEY_BYTES_MAX} bytes")


def first_failure(outcomes: Sequence[Outcome]) -> Failed | Unknown | None:
    """The outcome that decides the reply of several: an unknown one before a failed one."""
    found: Failed | Unknown | None = None
    for outcome in outcomes:
        if isinstance(outcome, Unknown):
            return outcome
        if isinstance(outcome, Failed) and found is None:
            found = outcome
    return found


def listed(outcome: Outcome) -> list[object] | Failed | Unknown:
    """The result list of a Read or Write, or the first failure in it."""
    if not isinstance(outcome, Done):
        return outcome
    result = outcome.result
    assert isinstance(result, list)
    for entry in result:
        if isinstance(entry, Failed | Unknown):
            return entry
    return result


def single_value(outcome: Outcome) -> Value | Failed | Unknown | None:
    """The one entry of a Read of one key; a value that is no string counts as a failure."""
    found = listed(outcome)
    if not isinstance(found, list):
        return found
    value = found[0]
    assert value is None or isinstance(value, Value)
    if value is not None and value.kind:
        return Failed(Code.WRONG_TYPE, WRONG_TYPE)
    return value
