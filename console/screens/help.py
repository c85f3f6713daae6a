"""The help sheet, generated from the registry of actions."""

from __future__ import annotations

from collections.abc import Mapping

from console.actions import ACTIONS, GROUPS, blocked_reason, key_words
from console.source import Capability

LEGEND = (
    "Signs",
    "  ring       letter = owner of the slots; dots = no live owner, or just moved",
    "             hatched, small letter or + = goes to another owner; ? = peers suspect the owner",
    "  breakers   row = caller, column = callee; . closed  ~ half-open  x open, with its trips",
    "  heat       dark = cold, bright = hot; letter = owner; a hot line is a key, a block a node",
    "  faults     everything that you broke ends with H, with u one by one, and with the console",
)


def help_lines(
    keymap: Mapping[str, str], capabilities: Capability, *, read_only: bool
) -> list[str]:
    """All actions by group, then the signs."""
    lines: list[str] = []
    for group in GROUPS:
        lines.append(group)
        for action in ACTIONS:
            if action.group != group:
                continue
            keys = key_words(keymap.get(action.action_id, action.keys))
            reason = blocked_reason(action, capabilities, read_only=read_only)
            blocked = f"  [{reason}]" if reason else ""
            lines.append(f"  {keys:<16} {action.title:<18} {action.help}{blocked}")
        lines.append("")
    lines.append("Fault menu (x)")
    lines.append("  x kill -9   t terminate   p pause   o restart   v leave   l latency   c cut")
    lines.append("  b bandwidth   r reset peer   d drop   s slow close   z slicer   m limit")
    lines.append("  e edit active   tab packet loss, corruption, disk and clock faults")
    lines.append("")
    lines.extend(LEGEND)
    return lines
