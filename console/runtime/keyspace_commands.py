"""``ringdeck keyspace``: policies asked for, changed, and followed until every live member has them.

A change is one proposal at one node; afterwards every member that lives is asked how far it is, until
all have adopted the epoch and moved the copies that follow from it. Members that don't answer are
named; they adopt it when they return.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

import msgspec
import trio

from console.errors import ConsoleError, NodeRefused, UsageError
from console.runtime.admin_client import call_each, call_first
from console.runtime.cluster_commands import reachable, running_cluster
from nodecore.errors import Code
from nodecore.status import ClusterStatus

Tell: TypeAlias = Callable[[str], None]

POLL_S: Final = 0.25
ASK_TIMEOUT_S: Final = 3.0
PROPOSE_TIMEOUT_S: Final = 12.0
"""A proposal ends by itself before."""
LIVE: Final = ("alive", "joining", "leaving")


@dataclass(frozen=True, slots=True)
class Followed:
    """How far the members are with a change."""

    adopted: tuple[str, ...]
    """Members that have adopted it."""
    absent: tuple[str, ...]
    """Members that do not live, or did not answer."""
    settled: bool
    """All copies are where the policy wants them."""


class Progress(msgspec.Struct):
    """What a node answers to ``keyspace.progress``."""

    epoch: int
    slots_left: int
    surplus_left: int


async def list_keyspaces(name: str, address: str) -> dict[str, object]:
    """``{"epoch", "keyspaces"}`` of a cluster, by local name or by any member's address."""
    return _table(
        await call_first(_targets(name, address), "keyspace.list", timeout_s=ASK_TIMEOUT_S)
    )


async def preview(
    name: str, address: str, verb: str, arguments: Mapping[str, object]
) -> dict[str, object]:
    """What a change would do.

    Raises:
        UsageError: it can't be: every mistake at once.
    """
    asked = {**arguments, "preview": True}
    targets = _targets(name, address)
    try:
        return _table(await call_first(targets, verb, asked, timeout_s=ASK_TIMEOUT_S))
    except NodeRefused as refused:
        if refused.code != Code.BAD_REQUEST:
            raise
        raise UsageError(refused.text) from None


async def change(
    name: str,
    address: str,
    verb: str,
    arguments: Mapping[str, object],
    timeout_s: float,
    tell: Tell,
) -> tuple[dict[str, object], Followed]:
    """Make a change and wait until every live member has followed.

    Raises:
        NodeRefused: the edit is wrong, or the cluster can't decide.
        OutcomeUnknown: it may have been decided.
        ConsoleError: decided, and not adopted by every live member within ``timeout_s``; or taken
            back, because an owner that must copy has failed.
    """
    targets = _targets(name, address)
    done: dict[str, object] = {}
    followed = Followed((), (), settled=False)
    with trio.move_on_after(timeout_s) as scope:
        done = await _propose(targets, verb, arguments, tell)
        if not done["applied"]:
            return done, followed
        tell(f"decided: epoch {done['epoch']}")
        epoch = done["epoch"]
        assert isinstance(epoch, int)
        told = ""
        while not followed.settled:
            followed, text = await _look(targets, epoch)
            if text and text != told:
                tell(text)
                told = text
            if not followed.settled:
                await trio.sleep(POLL_S)
        await _check_kept(targets, done)
    if scope.cancelled_caught:
        hint = f"ringdeck keyspace list --name {name}"
        if not done:
            raise ConsoleError(f"not decided within {timeout_s:g} s", hint=hint)
        raise ConsoleError(
            f"epoch {done['epoch']} is decided, but not every member has followed within "
            f"{timeout_s:g} s; it goes on",
            hint=hint,
        )
    return done, followed


async def _check_kept(targets: Sequence[str], done: Mapping[str, object]) -> None:
    """Copies of strong keys become fewer in a change of the owners, and that may be cancelled."""
    wanted = done.get("after")
    if not isinstance(wanted, dict):
        return
    found = _table(await call_first(targets, "keyspace.list", timeout_s=ASK_TIMEOUT_S))
    listed = found["keyspaces"]
    assert isinstance(listed, list)
    for entry in listed:
        if entry["pattern"] == wanted["pattern"] and entry["n"] != wanted["n"]:
            text = f"{wanted['pattern']} keeps n {entry['n']}: the change has been taken back"
            raise ConsoleError(text, hint="ringdeck cluster history says why")


async def _propose(
    targets: Sequence[str], verb: str, arguments: Mapping[str, object], tell: Tell
) -> dict[str, object]:
    told = False
    while True:
        try:
            found = await call_first(targets, verb, arguments, timeout_s=PROPOSE_TIMEOUT_S)
            return _table(found)
        except NodeRefused as refused:
            if refused.code not in (Code.CHANGE_RUNNING, Code.STALE_EPOCH):
                raise
        if not told:
            tell("waiting for the change that is under way")
            told = True
        await trio.sleep(POLL_S)


async def _look(targets: Sequence[str], epoch: int) -> tuple[Followed, str]:
    """Ask every member; returns what they say, and what is still awaited in words."""
    plain = await call_first(targets, "cluster.status", timeout_s=ASK_TIMEOUT_S)
    try:
        status = msgspec.convert(plain, ClusterStatus)
    except msgspec.ValidationError as error:
        raise ConsoleError(f"the status makes no sense: {error}") from None
    live = {member.id: member.native for member in status.members if member.status in LIVE}
    absent = [member.id for member in status.members if member.id not in live]
    answers = await call_each(live, "keyspace.progress", timeout_s=ASK_TIMEOUT_S)
    adopted: list[str] = []
    waits: list[str] = []
    slots = 0
    for node_id in sorted(answers):
        answer = answers[node_id]
        if isinstance(answer, ConsoleError):
            waits.append(node_id)
            continue
        progress = msgspec.convert(answer, Progress)
        if progress.epoch < epoch:
            waits.append(node_id)
        else:
            adopted.append(node_id)
            slots += progress.slots_left + progress.surplus_left
    text = ""
    if waits:
        text = f"waiting for {', '.join(waits)} to adopt epoch {epoch}"
    elif slots:
        text = f"{slots} copies of slots are still to be moved"
    settled = not waits and not slots
    return Followed(tuple(adopted), tuple(absent), settled), text


def _targets(name: str, address: str) -> list[str]:
    return [address] if address else list(reachable(running_cluster(name).record).values())


def _table(plain: object) -> dict[str, object]:
    if not isinstance(plain, dict):
        raise ConsoleError(f"a node answered with {type(plain).__name__} instead of a table")
    return plain
