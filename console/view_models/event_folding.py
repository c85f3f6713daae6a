"""Which events of the nodes belong on one line of the log, and how that line reads.

Five kinds fold: what several nodes say in the same words; what they call a member, whoever says so;
links that come up or go down together; the parts of one fault; and breakers towards one node that
change alike, those that only try again for long. Everything else stands alone.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from console.fault_targets import joined_target, whole_id
from console.formatting import escape_text
from nodecore.statistics import EventRecord
from nodecore.status import natural_order

NAMES_MAX: Final = 3
"""More nodes than this are counted instead of named."""
LINKED_NAMES_MAX: Final = 8
LINK: Final = re.compile(r"^data link to (\S+) is (?:up|down)(.*)$", re.DOTALL)
MEMBER: Final = re.compile(r"^(.*?)(?: \(says [^)]*\))?$", re.DOTALL)
FAULT: Final = re.compile(r"^(.*) on (\S+) \(\S+, by ([^)]*)\)$", re.DOTALL)


BREAKER: Final = re.compile(r"^breaker to (\S+) (\S+) -> (\S+?)(?::.*)?$", re.DOTALL)
WINDOW_MS: Final = 5_000
"""What belongs to one of the last lines joins it within this time."""
TRYING_MS: Final = 60_000
"""The same for a breaker that opens again after a failed probe: a dead node causes many."""


class Part(NamedTuple):
    """What one event contributes to a line."""

    shared: str
    """Events of one kind with this in common share a line."""
    text: str
    """The line while this is all of it."""
    target: str = ""
    """Peer of a link, or link of a fault: what may differ from event to event."""
    window_ms: int = WINDOW_MS


def part_of(event: EventRecord) -> Part:
    """How an event folds."""
    text = escape_text(event.text)
    if event.kind.startswith("link."):
        match = LINK.match(text)
        if match is not None:
            # Reasons differ from end to end of one link; the first one stands for all.
            return Part("", text, match[1])
    if event.kind.startswith("member."):
        match = MEMBER.match(text)
        if match is not None:
            return Part(match[1], match[1])
    fault_id = event.fields.get("id")
    if event.kind.startswith("fault.") and isinstance(fault_id, str):
        match = FAULT.match(text)
        if match is not None:
            return Part(whole_id(fault_id), f"{match[1]} on {match[2]}", match[2])
    if event.kind.startswith("breaker."):
        match = BREAKER.match(text)
        if match is not None:
            window_ms = TRYING_MS if "closed" not in match.groups() else WINDOW_MS
            return Part(" ".join(match.groups()), text, window_ms=window_ms)
    return Part(text, text)


def folded(kind: str, first_text: str, pairs: list[tuple[str, str]]) -> tuple[str, str]:
    """(who says it, what is said) of a line with these (node, target) pairs."""
    nodes = list(dict.fromkeys(node for node, _ in pairs))
    targets = list(dict.fromkeys(target for _, target in pairs if target))
    source = named(nodes, NAMES_MAX)
    if len(targets) < 2:
        return source, first_text
    if kind.startswith("fault."):
        words = first_text.rpartition(" on ")[0]
        return source, f"{words} on {joined_target(targets)}"
    word = kind.partition(".")[2]
    if len(nodes) == 1:
        return source, f"data links to {named(targets, LINKED_NAMES_MAX)} are {word}"
    linked = list(dict.fromkeys([*nodes, *targets]))
    return "", f"data links are {word}: {named(linked, LINKED_NAMES_MAX)}"


def named(names: list[str], names_max: int) -> str:
    """``n1 n2 n3``, or how many there are."""
    if len(names) > names_max:
        return f"{len(names)} nodes"
    return " ".join(sorted(names, key=natural_order))
