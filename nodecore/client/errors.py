"""How a client call can fail: it did not happen, it may have happened, or it never will.

A miss is a result, not an error.
"""

from __future__ import annotations

from typing import Final

from nodecore.errors import Code

_FINAL: Final = frozenset(
    {
        Code.BAD_REQUEST,
        Code.WRONG_TYPE,
        Code.NOT_AN_INTEGER,
        Code.NOT_A_FLOAT,
        Code.OVERFLOW,
        Code.KEY_TOO_LARGE,
        Code.VALUE_TOO_LARGE,
        Code.ANSWER_TOO_LARGE,
        Code.REFUSED,
        Code.READ_ONLY,
        Code.WRONG_CLUSTER,
        Code.CHAOS_DISABLED,
    }
)
"""Asking again, unchanged, gives the same answer."""


class ClientError(Exception):
    """Root of what the client raises."""

    def __init__(self, code: Code, text: str) -> None:
        super().__init__(text or code.name.lower().replace("_", " "))
        self.code = code


class Failed(ClientError):  # noqa: N818 - the outcome's name
    """It did not happen; the same call may succeed later."""


class Refused(Failed):
    """It did not happen, and the same call will be refused again."""


class Unknown(ClientError):  # noqa: N818 - the outcome's name
    """It may have happened: look before repeating anything that is not idempotent."""


def error_of(code: int, text: str, *, unknown: bool = False) -> ClientError:
    """The exception of an error that a node answered; numbers of newer nodes count as INTERNAL."""
    try:
        known = Code(code)
    except ValueError:
        known = Code.INTERNAL
    if unknown:
        return Unknown(known, text)
    return (Refused if known in _FINAL else Failed)(known, text)
