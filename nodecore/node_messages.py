"""Which room gets which message.

Data requests pass the fence of epochs first; replies go to the calls that wait for them. Control
messages are offered to the chain, membership and topology changes in turn.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from nodecore.admin import OPERATOR_VERBS
from nodecore.errors import Code
from nodecore.ids import NodeId, Now
from nodecore.requests import Done, Failed, Outcome
from nodecore.strong.room import COPY_CAUSE
from transport.messages import (
    Admin,
    AdminReply,
    ChangeStep,
    Drop,
    ErrorReply,
    Forward,
    Lane,
    Message,
    PeerApply,
    PeerRead,
    PeerWrite,
    StrongAsk,
)

if TYPE_CHECKING:
    from nodecore.node import Node


def on_data(node: Node, peer: NodeId, stream: int, message: Message, now: Now) -> None:
    """A message of the data lane."""
    coordinator = node.coordinator
    if not isinstance(message, PeerRead | PeerWrite | PeerApply | Forward | Drop | StrongAsk):
        coordinator.calls.on_reply(peer, stream, message, now)
        return
    epochs = coordinator.epochs
    if not epochs.admit(peer, stream, message.epoch, message, now):
        if message.epoch < epochs.epoch:
            node.chain.hear_epoch(peer, message.epoch, now)
        return
    replica = coordinator.replica
    match message:
        case PeerWrite():
            _acknowledge(node, peer, stream, partial(replica.on_write, message, now), now)
        case PeerRead():
            node.send(peer, Lane.DATA, stream, replica.on_read(message, now))
        case StrongAsk():
            node.strong.on_ask(peer, stream, message, now)
        case PeerApply(cause=cause) if cause == COPY_CAUSE:
            _acknowledge(node, peer, stream, partial(node.strong.on_copies, message, now), now)
        case PeerApply():
            _acknowledge(node, peer, stream, partial(replica.on_apply, message, now), now)
        case Drop():
            replica.on_drop(message)
        case Forward():
            coordinator.on_forward(peer, stream, message, now)


def _acknowledge(
    node: Node, peer: NodeId, stream: int, apply: Callable[[], Message], now: Now
) -> None:
    """Apply copies and say so: at once, or when those that must be are on the medium."""
    before = node.disk.synced_puts
    reply = apply()
    if node.disk.synced_puts == before:
        node.send(peer, Lane.DATA, stream, reply)
    else:
        node.disk.when_synced(lambda _now: node.send(peer, Lane.DATA, stream, reply), now)


def on_control(node: Node, peer: NodeId, stream: int, message: Message, now: Now) -> None:
    """A message of the control lane."""
    if isinstance(message, Admin):
        _on_admin(node, peer, stream, message, now)
        return
    if node.cluster_figures.on_reply(peer, stream, message, now):
        return
    if node.peer_questions.on_reply(peer, stream, message, now):
        return
    if node.membership.on_message(peer, message, now):
        return
    if node.chain.on_message(peer, stream, message, now):
        return
    if isinstance(message, ChangeStep) and node.change_history.on_step(
        peer, message.step, message.fields
    ):
        return
    if isinstance(message, ChangeStep) and node.strong.on_step(peer, message, now):
        return
    node.topology_changes.on_message(peer, stream, message, now)


def _on_admin(node: Node, peer: NodeId, stream: int, message: Admin, now: Now) -> None:
    answer = partial(_answer_admin, node, peer, stream)
    arguments = message.arguments
    if message.verb in OPERATOR_VERBS:
        answer(Failed(Code.REFUSED, f"{message.verb} is taken from operators alone"), now)
        return
    if not isinstance(arguments, dict):
        answer(Failed(Code.BAD_REQUEST, "arguments must be a table"), now)
        return
    outcome = node.admin(message.verb, arguments, answer, now)
    if outcome is not None:
        answer(outcome, now)


def _answer_admin(node: Node, peer: NodeId, stream: int, outcome: Outcome, _now: Now) -> None:
    reply: Message
    if isinstance(outcome, Done):
        reply = AdminReply(result=outcome.result)
    else:
        reply = ErrorReply(
            code=int(outcome.code),
            text=outcome.text,
            unknown=not isinstance(outcome, Failed),
            reason=outcome.reason if isinstance(outcome, Failed) else "",
        )
    node.send(peer, Lane.CONTROL, stream, reply)
