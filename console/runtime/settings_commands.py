"""What ``ringdeck cluster config`` and ``policies`` do: ask every node at once, report node by node."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from console.errors import ClusterUnreachable, ConsoleError, UsageError
from console.exit_codes import ExitCode
from console.runtime.admin_client import call_each
from console.runtime.cluster_commands import reachable, running_cluster
from nodecore.statistics import NodeStatistics

NAMES: Final = ("eviction", "maxmemory")


@dataclass(frozen=True, slots=True)
class Answer:
    """What one node has in force, or why it did not answer."""

    node: str
    eviction: str = ""
    maxmemory: int = 0
    ruling: str = ""
    """The same as ``eviction``, or what ``adaptive`` has chosen."""
    changing: bool = False
    overrides: tuple[str, ...] = ()
    """Settings that stand above the node's configuration."""
    error: str = ""


def addresses(name: str, node: str) -> dict[str, str]:
    """Of all running nodes of a cluster, or of one.

    Raises:
        ClusterUnreachable: nothing runs.
        UsageError: there is no such node, or it does not run.
    """
    running = reachable(running_cluster(name).record)
    if not node:
        return running
    if node not in running:
        raise UsageError(f"no running node {node!r}: there are {', '.join(running)}")
    return {node: running[node]}


def check_name(setting: str) -> None:
    """Refuse settings that no node knows.

    Raises:
        UsageError: it is none of ``NAMES``.
    """
    if setting not in NAMES:
        raise UsageError(f"no setting {setting!r}: there are {', '.join(NAMES)}")


async def settings(
    name: str, node: str, changes: Mapping[str, str] | None = None
) -> tuple[list[Answer], ExitCode]:
    """What the nodes have in force, after ``changes`` if there are any; and how to end.

    Raises:
        ConsoleError: no node did what it was asked.
    """
    if changes is None:
        results = await call_each(addresses(name, node), "config.get")
    else:
        arguments = {"settings": dict(changes)}
        results = await call_each(addresses(name, node), "config.set", arguments)
    answers, errors = [], []
    for node_id, result in sorted(results.items()):
        if isinstance(result, ConsoleError):
            errors.append(result)
            answers.append(Answer(node_id, error=result.text))
        else:
            answers.append(_answer(node_id, result))
    return answers, _ending(errors, len(answers))


def _ending(errors: list[ConsoleError], asked: int) -> ExitCode:
    """Raises the first error when nobody answered otherwise; else the gravest of the codes."""
    if not asked:
        raise ClusterUnreachable("the cluster has no running node")
    if len(errors) == asked:
        raise errors[0]
    codes = {error.exit_code for error in errors}
    if ExitCode.UNKNOWN in codes:
        return ExitCode.UNKNOWN
    return ExitCode.FAILED if codes else ExitCode.OK


def _answer(node_id: str, result: object) -> Answer:
    plain = result if isinstance(result, dict) else {}
    overrides = plain.get("overrides")
    return Answer(
        node_id,
        str(plain.get("eviction", "")),
        int(plain.get("maxmemory", 0)),
        str(plain.get("ruling", "")),
        bool(plain.get("changing", False)),
        tuple(sorted(map(str, overrides))) if isinstance(overrides, dict) else (),
    )


async def statistics(name: str, node: str) -> list[NodeStatistics]:
    """Of the nodes that answer, in order of their ids.

    Raises:
        ConsoleError: none answers.
    """
    results = await call_each(addresses(name, node), "statistics")
    errors = [result for result in results.values() if isinstance(result, ConsoleError)]
    _ending(errors, len(results))
    return [
        NodeStatistics.from_plain(result)
        for _node, result in sorted(results.items())
        if not isinstance(result, ConsoleError)
    ]
