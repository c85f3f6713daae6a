"""What the exceptions say about blame, certainty and retrying."""

from __future__ import annotations

import pytest

from transport import errors


def test_abstract_errors_are_not_raised() -> None:
    for kind in (errors.TransportError, errors.ProtocolError):
        with pytest.raises(TypeError, match="abstract"):
            kind("text")


@pytest.mark.parametrize(
    ("error", "definite", "retryable"),
    [
        (errors.LocalProtocolError("x"), True, False),
        (errors.RemoteProtocolError("x"), False, False),
        (errors.ConnectFailed("x"), True, True),
        (errors.ConnectionClosed("x"), True, False),
        (errors.ConnectionLost("x"), False, True),
        (errors.RequestTimedOut("x"), False, True),
        (errors.LinkOverloaded("x"), True, True),
        (errors.NotConnected("x"), True, True),
        (errors.LinkRefused(errors.ErrorCode.NOT_READY, "x"), True, True),
        (errors.LinkRefused(errors.ErrorCode.BAD_PROOF, "x"), True, False),
    ],
)
def test_certainty_and_retry(error: errors.TransportError, definite: bool, retryable: bool) -> None:
    assert (error.definite, error.retryable) == (definite, retryable)
    assert error.text == str(error) == "x"


def test_codes_are_frozen() -> None:
    assert [code.value for code in errors.ErrorCode] == list(range(1, 16))
