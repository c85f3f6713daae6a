"""Proofs of the secret: frozen, bound to every field, one per direction."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import pytest

from transport.mac import dialler_proof, listener_proof, proofs_equal
from transport.messages import Challenge, Hello

SECRET = b"a secret of enough bytes"
HELLO = Hello(1, 1, 2, "peer-data", "demo", "n2", 9, bytes(range(32)))
CHALLENGE = Challenge(1, 3, "demo", "n1", 4, bytes(range(32, 64)), b"")
LISTENER = "d1ac01cfb48b586ffb75ee1c5793221401c292e234da1d160fb0fccedea788a3"
DIALLER = "b5eb41291faee67f4c88f85163e2ded519ab0042b78edaee08d36fb79d344366"


def test_proofs_are_frozen() -> None:
    """A changed transcript is a changed protocol."""
    assert listener_proof(SECRET, HELLO, CHALLENGE).hex() == LISTENER
    assert dialler_proof(SECRET, HELLO, CHALLENGE).hex() == DIALLER


def changed(value: Any) -> Any:
    if isinstance(value, int):
        return value + 1
    return value + "x" if isinstance(value, str) else value[:-1] + b"\xff"


@pytest.mark.parametrize("name", [entry.name for entry in fields(HELLO)])
def test_every_field_of_hello_is_covered(name: str) -> None:
    other = replace(HELLO, **{name: changed(getattr(HELLO, name))})
    for proof in (listener_proof, dialler_proof):
        assert proof(SECRET, other, CHALLENGE) != proof(SECRET, HELLO, CHALLENGE)


@pytest.mark.parametrize("name", [entry.name for entry in fields(CHALLENGE)])
def test_every_field_of_challenge_is_covered_but_the_proof(name: str) -> None:
    other = replace(CHALLENGE, **{name: changed(getattr(CHALLENGE, name))})
    for proof in (listener_proof, dialler_proof):
        same = proof(SECRET, HELLO, other) == proof(SECRET, HELLO, CHALLENGE)
        assert same == (name == "proof")


def test_moving_bytes_between_fields_changes_the_proof() -> None:
    one = replace(HELLO, cluster_id="ab", node_id="c")
    two = replace(HELLO, cluster_id="a", node_id="bc")
    assert dialler_proof(SECRET, one, CHALLENGE) != dialler_proof(SECRET, two, CHALLENGE)


def test_directions_and_secrets_differ() -> None:
    ours = dialler_proof(SECRET, HELLO, CHALLENGE)
    assert not proofs_equal(ours, listener_proof(SECRET, HELLO, CHALLENGE))
    assert not proofs_equal(ours, dialler_proof(SECRET + b"x", HELLO, CHALLENGE))
    assert not proofs_equal(ours, b"")
    assert proofs_equal(ours, dialler_proof(SECRET, HELLO, CHALLENGE))
