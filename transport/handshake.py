"""The handshake of a link, as one small state machine per side; messages in, messages out.

Theory of operation, D dials L::

    D -> L  Hello      versions, role, cluster, node, incarnation, nonce, offered options
    L -> D  Challenge  version, cluster, node, incarnation, nonce, proof of L, used options
    D -> L  Proof      only with a secret
    L -> D  Welcome    the link is established

Either side may answer Refuse instead. With a secret each side checks the other's proof (see
:mod:`transport.mac`) before it takes the link as established; a side without a secret does not talk
to one that has it, so that a lost secret file is noticed and not silently ignored. Wrong and missing
proofs get the same words.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, NamedTuple, TypeAlias, final

from transport import limits
from transport.errors import ErrorCode, LinkRefused, LocalProtocolError, RemoteProtocolError
from transport.identity import (
    Identity,
    Option,
    PeerInfo,
    cluster_id_problem,
    node_id_problem,
)
from transport.mac import dialler_proof, listener_proof, proofs_equal
from transport.messages import Challenge, Hello, Message, Proof, Role, Welcome

_PROOF_TEXT: Final = "the other side did not prove that it knows the cluster secret"
_PEERS: Final = frozenset({Role.PEER_CONTROL, Role.PEER_DATA})


class Step(NamedTuple):
    """What follows from one message of the handshake."""

    replies: tuple[Message, ...]
    peer: PeerInfo | None
    """Set when the link is established on this side."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """What this side brings into the handshake."""

    identity: Identity
    nonce: bytes
    """Fresh random bytes, NONCE_BYTES of them, never used before."""
    secret: bytes | None = None
    options: Option = Option.NONE
    """What this side is willing to use."""

    def check(self) -> None:
        """Raise LocalProtocolError when these can't be used."""
        if len(self.nonce) != limits.NONCE_BYTES:
            raise LocalProtocolError(f"nonce of {len(self.nonce)} bytes")
        if self.secret is not None and len(self.secret) < limits.SECRET_BYTES_MIN:
            raise LocalProtocolError(
                f"secret of {len(self.secret)} bytes is shorter than {limits.SECRET_BYTES_MIN}"
            )
        for text, problem in (
            (self.identity.node_id, node_id_problem),
            (self.identity.cluster_id, cluster_id_problem),
        ):
            found = problem(text) if text else ""
            if found:
                raise LocalProtocolError(found)


def _refuse(code: ErrorCode, text: str) -> LinkRefused:
    return LinkRefused(code, text)


def _check_common(message: Hello | Challenge) -> None:
    """What holds for both first messages, whoever sends them."""
    if len(message.nonce) != limits.NONCE_BYTES:
        raise RemoteProtocolError(f"nonce of {len(message.nonce)} bytes")
    if message.incarnation < 0 or message.feature_level < 0:
        raise RemoteProtocolError("negative incarnation or feature level")
    problem = (message.node_id and node_id_problem(message.node_id)) or (
        message.cluster_id and cluster_id_problem(message.cluster_id)
    )
    if problem:
        raise RemoteProtocolError(problem)


def _unexpected(message: Message, waiting_for: str) -> RemoteProtocolError:
    return RemoteProtocolError(
        f"{type(message).__name__} where {waiting_for} belongs", ErrorCode.UNEXPECTED_MESSAGE
    )


@final
class DiallerHandshake:
    """The side that opened the connection."""

    def __init__(self, credentials: Credentials, role: Role, expected_node_id: str = "") -> None:
        credentials.check()
        identity = credentials.identity
        if role in _PEERS and not (identity.node_id and identity.cluster_id):
            raise LocalProtocolError("a peer needs a node id and a cluster id")
        self._credentials = credentials
        self._role = role
        self._expected_node_id = expected_node_id
        self._peer: PeerInfo | None = None
        self.hello = Hello(
            version_min=limits.PROTOCOL_VERSION_MIN,
            version_max=limits.PROTOCOL_VERSION_MAX,
            feature_level=identity.feature_level,
            role=role.value,
            cluster_id=identity.cluster_id,
            node_id=identity.node_id,
            incarnation=identity.incarnation,
            nonce=credentials.nonce,
            options=int(credentials.options),
        )

    def on_message(self, message: Message) -> Step:
        """Go on.

        Raises:
            LinkRefused: this side does not want the link.
            RemoteProtocolError: not the message that belongs here.
        """
        if self._peer is None:
            if not isinstance(message, Challenge):
                raise _unexpected(message, "Challenge")
            return self._on_challenge(message)
        if not isinstance(message, Welcome):
            raise _unexpected(message, "Welcome")
        return Step((), self._peer)

    def _on_challenge(self, challenge: Challenge) -> Step:
        _check_common(challenge)
        hello = self.hello
        if not hello.version_min <= challenge.version <= hello.version_max:
            raise _refuse(
                ErrorCode.VERSION_MISMATCH, f"version {challenge.version} was not offered"
            )
        if challenge.options & ~hello.options:
            raise RemoteProtocolError(f"options {challenge.options} were not offered")
        secret = self._credentials.secret
        authentic = secret is not None and proofs_equal(
            listener_proof(secret, hello, challenge), challenge.proof
        )
        if not authentic and (secret is not None or challenge.proof):
            raise _refuse(ErrorCode.BAD_PROOF, _PROOF_TEXT)
        self._check_node(challenge)
        self._peer = PeerInfo(
            role=self._role,
            node_id=challenge.node_id,
            cluster_id=challenge.cluster_id,
            incarnation=challenge.incarnation,
            feature_level=challenge.feature_level,
            version=challenge.version,
            options=Option(challenge.options),
            authenticated=authentic,
        )
        if secret is None:
            return Step((), None)
        return Step((Proof(dialler_proof(secret, hello, challenge)),), None)

    def _check_node(self, challenge: Challenge) -> None:
        own = self._credentials.identity
        if not challenge.node_id or not challenge.cluster_id:
            raise RemoteProtocolError("a listening node says its node id and cluster id")
        if own.cluster_id and challenge.cluster_id != own.cluster_id:
            raise _refuse(
                ErrorCode.WRONG_CLUSTER,
                f"this is cluster {challenge.cluster_id!r}, not {own.cluster_id!r}",
            )
        if self._role in _PEERS and challenge.node_id == own.node_id:
            raise _refuse(ErrorCode.TAKEN_ID, f"node id {own.node_id!r} is taken")
        if self._expected_node_id and challenge.node_id != self._expected_node_id:
            raise _refuse(
                ErrorCode.UNEXPECTED_NODE,
                f"this is node {challenge.node_id!r}, not {self._expected_node_id!r}",
            )


@final
class ListenerHandshake:
    """The side that accepted the connection: always a node."""

    def __init__(self, credentials: Credentials) -> None:
        credentials.check()
        if not credentials.identity.node_id:
            raise LocalProtocolError("a listening node needs a node id")
        self._credentials = credentials
        self._hello: Hello | None = None
        self._challenge: Challenge | None = None
        self._peer: PeerInfo | None = None

    def on_message(self, message: Message) -> Step:
        """Go on; raises as :meth:`DiallerHandshake.on_message`."""
        if self._hello is None:
            if not isinstance(message, Hello):
                raise _unexpected(message, "Hello")
            return self._on_hello(message)
        if not isinstance(message, Proof):
            raise _unexpected(message, "Proof")
        return self._on_proof(message)

    def _on_hello(self, hello: Hello) -> Step:
        _check_common(hello)
        version = min(hello.version_max, limits.PROTOCOL_VERSION_MAX)
        if version < max(hello.version_min, limits.PROTOCOL_VERSION_MIN):
            raise _refuse(
                ErrorCode.VERSION_MISMATCH,
                f"versions {hello.version_min}..{hello.version_max} are offered, "
                f"{limits.PROTOCOL_VERSION_MIN}..{limits.PROTOCOL_VERSION_MAX} are spoken here",
            )
        role = self._check_claims(hello)
        credentials = self._credentials
        identity = credentials.identity
        options = Option(hello.options & int(credentials.options))
        challenge = Challenge(
            version=version,
            feature_level=identity.feature_level,
            cluster_id=identity.cluster_id,
            node_id=identity.node_id,
            incarnation=identity.incarnation,
            nonce=credentials.nonce,
            proof=b"",
            options=int(options),
        )
        self._hello, self._challenge = hello, challenge
        self._peer = PeerInfo(
            role=role,
            node_id=hello.node_id,
            cluster_id=hello.cluster_id,
            incarnation=hello.incarnation,
            feature_level=hello.feature_level,
            version=version,
            options=options,
        )
        if credentials.secret is None:
            return Step((challenge, Welcome()), self._peer)
        proof = listener_proof(credentials.secret, hello, challenge)
        return Step((replace(challenge, proof=proof),), None)

    def _check_claims(self, hello: Hello) -> Role:
        own = self._credentials.identity
        try:
            role = Role(hello.role)
        except ValueError:
            raise RemoteProtocolError(f"role {hello.role[:40]!r} is unknown") from None
        if not own.cluster_id:
            raise _refuse(ErrorCode.NOT_READY, f"node {own.node_id!r} is in no cluster yet")
        if role in _PEERS and not hello.node_id:
            raise RemoteProtocolError("a peer says its node id")
        if hello.cluster_id != own.cluster_id and (hello.cluster_id or role in _PEERS):
            raise _refuse(
                ErrorCode.WRONG_CLUSTER,
                f"this is cluster {own.cluster_id!r}, not {hello.cluster_id!r}",
            )
        if role in _PEERS and hello.node_id == own.node_id:
            raise _refuse(ErrorCode.TAKEN_ID, f"node id {own.node_id!r} is taken")
        return role

    def _on_proof(self, proof: Proof) -> Step:
        secret = self._credentials.secret
        assert secret is not None, "without a secret the link is established by Hello"
        assert self._hello is not None
        assert self._challenge is not None
        assert self._peer is not None
        if not proofs_equal(dialler_proof(secret, self._hello, self._challenge), proof.proof):
            raise _refuse(ErrorCode.BAD_PROOF, _PROOF_TEXT)
        return Step((Welcome(),), replace(self._peer, authenticated=True))


Handshake: TypeAlias = DiallerHandshake | ListenerHandshake
