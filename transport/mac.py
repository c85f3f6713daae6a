"""Proof of a shared secret in the handshake: keyed blake3 over everything that both sides said.

Each side proves that it knows the secret by a MAC over one *transcript*: both nonces, the cluster,
both node ids and incarnations, the role, the offered and the chosen version. The key is derived from
the secret with a context string per direction, so a proof can't be reflected to its maker, and each
nonce is fresh, so it can't be replayed. What follows the handshake is neither encrypted nor
authenticated: on networks that are not trusted, use TLS.

Reference: blake3, https://github.com/BLAKE3-team/BLAKE3-specs (derive_key and keyed modes).
"""

from __future__ import annotations

from hmac import compare_digest
from typing import Final

from blake3 import blake3

from transport.limits import PROOF_BYTES
from transport.messages import Challenge, Hello

LISTENER_CONTEXT: Final = "ringdeck link v1 proof of the listening side"
DIALLER_CONTEXT: Final = "ringdeck link v1 proof of the dialling side"


def _transcript(hello: Hello, challenge: Challenge) -> bytes:
    """All fields in a fixed order, each behind its length, so that no two readings are equal."""
    parts = (
        hello.nonce,
        challenge.nonce,
        hello.cluster_id.encode(),
        challenge.cluster_id.encode(),
        hello.node_id.encode(),
        challenge.node_id.encode(),
        hello.role.encode(),
        b"%d" % hello.version_min,
        b"%d" % hello.version_max,
        b"%d" % challenge.version,
        b"%d" % hello.feature_level,
        b"%d" % challenge.feature_level,
        b"%d" % hello.options,
        b"%d" % challenge.options,
        b"%d" % hello.incarnation,
        b"%d" % challenge.incarnation,
    )
    return b"".join(len(part).to_bytes(4, "big") + part for part in parts)


def _proof(context: str, secret: bytes, hello: Hello, challenge: Challenge) -> bytes:
    key = blake3(secret, derive_key_context=context).digest()
    return blake3(_transcript(hello, challenge), key=key).digest(length=PROOF_BYTES)


def listener_proof(secret: bytes, hello: Hello, challenge: Challenge) -> bytes:
    """What the listening side puts into its Challenge (whose own ``proof`` is not covered)."""
    return _proof(LISTENER_CONTEXT, secret, hello, challenge)


def dialler_proof(secret: bytes, hello: Hello, challenge: Challenge) -> bytes:
    """What the dialling side answers."""
    return _proof(DIALLER_CONTEXT, secret, hello, challenge)


def proofs_equal(ours: bytes, theirs: bytes) -> bool:
    """Compare in constant time."""
    return compare_digest(ours, theirs)
