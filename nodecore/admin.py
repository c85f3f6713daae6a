"""The operator's verbs: one table of names, checked arguments, plain results.

Verbs arrive from consoles, the command line and the HTTP door. Each answers with plain data, or
with a code and a text that says what to do. What a verb sets in motion (a change of the topology, a
flush) may end later; the callback then carries the outcome. Faults need ``enable_chaos``.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final, TypeAlias

from nodecore.cluster_figures import PARTS, lean_figures
from nodecore.doors.session import OnOutcome
from nodecore.effects import Stop
from nodecore.errors import Code
from nodecore.ids import NodeId, Now
from nodecore.limits import EVENTS_KEPT
from nodecore.node_backup import backup_entries
from nodecore.node_faults import fault_add, fault_heal, fault_list, fault_remove, fault_renew
from nodecore.node_keyspaces import (
    keyspace_delete,
    keyspace_list,
    keyspace_progress,
    keyspace_set,
)
from nodecore.node_merging import list_merges
from nodecore.node_recovery import recover
from nodecore.node_restore import restore_entries
from nodecore.node_settings import config_get, config_set
from nodecore.node_steering import STEERING_VERBS
from nodecore.requests import Done, Failed, Flush, Outcome
from nodecore.verb_arguments import (
    Arguments,
    BadArgument,
    key_argument,
    number_argument,
    text_argument,
)

if TYPE_CHECKING:
    from nodecore.node import Node

Verb: TypeAlias = Callable[["Node", Arguments, OnOutcome, Now], Outcome | None]


OPERATOR_VERBS: Final = frozenset(
    {
        "backup.entries",
        "change.recover",
        "config.set",
        "keyspace.delete",
        "keyspace.set",
        "restore.entries",
    }
)
"""Verbs that a person must mean: peers can't pass them on."""


def run_verb(
    node: Node, verb: str, arguments: Arguments, on_outcome: OnOutcome, now: Now
) -> Outcome | None:
    """Run a verb, see ``Backend.admin``."""
    function = VERBS.get(verb)
    if function is None:
        return Failed(Code.BAD_REQUEST, f"no verb {verb!r}: there are {', '.join(sorted(VERBS))}")
    try:
        return function(node, arguments, on_outcome, now)
    except BadArgument as error:
        return Failed(Code.BAD_REQUEST, f"{verb}: {error}")


def _statistics(node: Node, _arguments: Arguments, _on: OnOutcome, now: Now) -> Outcome:
    return Done(node.statistics(now).to_plain())


def _figures(node: Node, arguments: Arguments, _on: OnOutcome, now: Now) -> Outcome:
    """A part of the statistics: what nodes ask of each other to answer for the cluster."""
    part = text_argument(arguments, "of")
    if part not in PARTS:
        raise BadArgument(f"of must be one of {', '.join(sorted(PARTS))}")
    return Done(lean_figures(node.statistics(now), part))


def _cluster_status(
    node: Node, _arguments: Arguments, on_outcome: OnOutcome, now: Now
) -> Outcome | None:
    return node.cluster_figures.status(on_outcome, now)


def _cluster_hot_keys(
    node: Node, _arguments: Arguments, on_outcome: OnOutcome, now: Now
) -> Outcome | None:
    return node.cluster_figures.hot_keys(on_outcome, now)


def _cluster_breakers(
    node: Node, _arguments: Arguments, on_outcome: OnOutcome, now: Now
) -> Outcome | None:
    return node.cluster_figures.breakers(on_outcome, now)


def _topology(node: Node, _arguments: Arguments, _on: OnOutcome, _now: Now) -> Outcome:
    if node.chain.document is None:
        return Failed(Code.NOT_READY, "this node knows no topology yet", 0.5)
    return Done(node.chain.document.to_plain())


def _events(node: Node, arguments: Arguments, _on: OnOutcome, _now: Now) -> Outcome:
    after = int(number_argument(arguments, "after", 0, -1, 2**53))
    count = int(number_argument(arguments, "count", 100, 1, EVENTS_KEPT))
    records = node.event_ring.after(max(0, after), count)
    return Done({"events": [record.to_plain() for record in records]})


def _locate(node: Node, arguments: Arguments, _on: OnOutcome, _now: Now) -> Outcome:
    key = key_argument(arguments)
    slot = node.table.slot_of(key)
    owners = node.owners(slot)
    return Done(
        {
            "key": base64.b64encode(key).decode(),
            "slot": slot,
            "owners": [str(owner) for owner in owners],
            "live": [node.is_live(owner) for owner in owners],
            "epoch": int(node.epoch()),
        }
    )


def _flush(node: Node, _arguments: Arguments, on_outcome: OnOutcome, now: Now) -> Outcome | None:
    return node.submit(Flush(), on_outcome, now)


def _breaker_force(node: Node, arguments: Arguments, _on: OnOutcome, now: Now) -> Outcome:
    peer = NodeId(text_argument(arguments, "peer"))
    complaint = node.breakers.force(peer, text_argument(arguments, "state"), now)
    if complaint:
        return Failed(Code.BAD_REQUEST, f"breaker.force: {complaint}")
    return Done({"peer": str(peer), "state": str(node.breakers.state(peer))})


def _shutdown(node: Node, arguments: Arguments, _on: OnOutcome, _now: Now) -> Outcome:
    reason = text_argument(arguments, "reason", "an operator asked for it")
    node.clock.close()
    node.add_effect(Stop(reason))
    return Done({"stopping": True})


VERBS: Final[Mapping[str, Verb]] = {
    **STEERING_VERBS,
    "backup.entries": backup_entries,
    "breaker.force": _breaker_force,
    "change.recover": recover,
    "cluster.breakers": _cluster_breakers,
    "cluster.hot-keys": _cluster_hot_keys,
    "cluster.status": _cluster_status,
    "config.get": config_get,
    "config.set": config_set,
    "events": _events,
    "fault.add": fault_add,
    "fault.heal": fault_heal,
    "fault.list": fault_list,
    "fault.remove": fault_remove,
    "fault.renew": fault_renew,
    "figures": _figures,
    "flush": _flush,
    "keyspace.delete": keyspace_delete,
    "keyspace.list": keyspace_list,
    "keyspace.progress": keyspace_progress,
    "keyspace.set": keyspace_set,
    "locate": _locate,
    "merges": list_merges,
    "restore.entries": restore_entries,
    "shutdown": _shutdown,
    "statistics": _statistics,
    "topology": _topology,
}
