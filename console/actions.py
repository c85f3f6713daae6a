"""The one registry of actions: keys, footer, palette, help sheet and keymap checks read it.

An action is named by a stable id, by which a configuration rebinds its keys. ``method`` is the
name of the ``action_...`` method that the screen implements. What an action needs (a capability of
the source, permission to change things) is stated here, so that a key that cannot work is dimmed
with a reason instead of failing.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from console.source import Capability


@dataclass(frozen=True, slots=True)
class Action:
    """One thing that an operator can do with a key."""

    action_id: str
    keys: str
    """Default keys, comma separated, in Textual's names."""
    method: str
    title: str
    """Two or three words: palette and help."""
    help: str
    """One sentence."""
    danger: bool = False
    """Changes the cluster for the worse; never one key away from a harmless key."""
    changes: bool = False
    """Changes the cluster at all; refused in read-only mode."""
    capability: Capability = Capability.NONE
    """Any one of these must be offered by the source; NONE: always possible."""
    footer: str = ""
    """Word in the footer; empty: not shown there."""
    footer_rank: int = 0
    """Narrow screens show the smallest ranks first."""
    group: str = "View"


LINKS_OR_PROCESSES: Final = Capability.PROCESS_FAULTS | Capability.LINK_FAULTS
EVERYTHING: Final = LINKS_OR_PROCESSES | Capability.MEMBERSHIP | Capability.LOAD

ACTIONS: Final[tuple[Action, ...]] = (
    Action(
        "node.add", "a", "add_node", "Add nodes",
        "Preview what would move, then add one or more nodes.",
        changes=True, capability=Capability.MEMBERSHIP, footer="Add", footer_rank=3,
        group="Cluster",
    ),
    Action(
        "fault.menu", "x", "fault_menu", "Fault menu",
        "Choose a fault for the marked nodes or the one under the cursor; x x kills.",
        danger=True, changes=True, capability=LINKS_OR_PROCESSES, footer="Fault", footer_rank=1,
        group="Cluster",
    ),
    Action(
        "fault.latency", "i", "latency", "Inject latency",
        "Delay what a node receives and answers; i i applies 200 ±50 ms.",
        danger=True, changes=True, capability=Capability.LINK_FAULTS, footer="Latency",
        footer_rank=2, group="Cluster",
    ),
    Action(
        "node.restart", "r", "restart", "Restart node",
        "Restart a node that is down, resume one that is paused.",
        changes=True, capability=Capability.PROCESS_FAULTS, footer="Restart", footer_rank=9,
        group="Cluster",
    ),
    Action(
        "fault.undo", "u", "undo", "Undo",
        "Undo the newest active fault or change.",
        changes=True, capability=EVERYTHING, footer="Undo", footer_rank=4, group="Cluster",
    ),
    Action(
        "fault.heal", "H", "heal", "Heal all",
        "Lift every fault, resume what is paused, restart what a fault killed.",
        changes=True, capability=LINKS_OR_PROCESSES, footer="Heal all", footer_rank=0,
        group="Cluster",
    ),
    Action(
        "load.bar", "o", "load", "Load",
        "Start or stop the built-in load; set its rate, skew and share of reads.",
        changes=True, capability=Capability.LOAD, footer="Load", footer_rank=8, group="Cluster",
    ),
    Action(
        "nav.panel.1", "1", "panel(1)", "Ring panel", "Go to the ring; again: back.",
        footer="1-5 Panels", footer_rank=12, group="Move",
    ),
    Action("nav.panel.2", "2", "panel(2)", "Nodes panel", "Go to the node table.", group="Move"),
    Action("nav.panel.3", "3", "panel(3)", "Breakers panel", "Go to the breakers.", group="Move"),
    Action("nav.panel.4", "4", "panel(4)", "Heat panel", "Go to the heat map.", group="Move"),
    Action(
        "nav.panel.5", "5,E", "panel(5)", "Events panel", "Go to the event log and the faults.",
        group="Move",
    ),
    Action("nav.next", "tab", "next_panel(1)", "Next panel", "Go to the next panel.", group="Move"),
    Action(
        "nav.previous", "shift+tab", "next_panel(-1)", "Previous panel",
        "Go to the previous panel.", group="Move",
    ),
    Action("nav.up", "up,k", "move(-1)", "Up", "The node above; earlier events.", group="Move"),
    Action("nav.down", "down,j", "move(1)", "Down", "The node below; later events.", group="Move"),
    Action(
        "nav.left", "left", "walk(-1)", "Walk left", "The node before, against the ring's turn.",
        group="Move",
    ),
    Action(
        "nav.right", "right", "walk(1)", "Walk right", "The next node clockwise.", group="Move"
    ),
    Action("nav.first", "g,home", "move_to(0)", "First", "The first row.", group="Move"),
    Action("nav.last", "G,end", "move_to(-1)", "Last", "The last row.", group="Move"),
    Action("nav.page_up", "pageup", "move(-10)", "Page up", "Ten rows up.", group="Move"),
    Action("nav.page_down", "pagedown", "move(10)", "Page down", "Ten rows down.", group="Move"),
    Action(
        "nav.open", "enter", "open", "Details", "All that is known of the node under the cursor.",
        group="Move",
    ),
    Action(
        "nav.back", "escape", "back", "Back", "Close, clear the filter, return to the overview.",
        group="Move",
    ),
    Action(
        "nav.filter", "slash,f7", "filter", "Filter", "Show only what matches: n3, open, !up, key:user.",
        footer="Filter", footer_rank=6, group="Move",
    ),
    Action("nav.sort", "s", "sort", "Sort nodes", "Sort the nodes by the next column.", group="Move"),
    Action(
        "nav.mark", "m", "mark", "Mark node", "Mark a node; faults then apply to all marked ones.",
        footer="Mark", footer_rank=10, group="Move",
    ),
    Action(
        "key.locate", "f", "locate", "Find key", "Show a key's slot, its owner and its replicas.",
        group="Move",
    ),
    Action(
        "key.explain", "e", "explain", "Explain key",
        "A key's policy and owners, and what a read or a write of it would meet now.",
        group="Move",
    ),
    Action(
        "view.zoom", "z", "zoom", "Zoom panel", "Give the whole screen to the panel; again: back.",
        footer="Zoom", footer_rank=13, group="View",
    ),
    Action(
        "view.freeze", "space", "freeze", "Freeze", "Hold the drawing; data keeps being recorded.",
        footer="Freeze", footer_rank=11, group="View",
    ),
    Action(
        "view.faster", "plus,equals_sign", "interval(-1)", "Refresh faster",
        "Shorten the refresh interval by 100 ms.", group="View",
    ),
    Action(
        "view.slower", "minus", "interval(1)", "Refresh slower",
        "Lengthen the refresh interval by 100 ms.", group="View",
    ),
    Action(
        "ring.mode", "v", "ring_mode", "Ring mode", "Slices, tokens or ribbon.", group="View"
    ),
    Action(
        "heat.metric", "y", "heat_metric", "Heat metric",
        "Operations by slot; reads, writes, misses or p99 by node.", group="View",
    ),
    Action(
        "heat.darker", "left_square_bracket,f5", "brightness(-1)", "Heat darker",
        "Raise the top of the heat scale.", group="View",
    ),
    Action(
        "heat.brighter", "right_square_bracket,f6", "brightness(1)", "Heat brighter",
        "Lower the top of the heat scale.", group="View",
    ),
    Action(
        "heat.auto", "0", "brightness(0)", "Heat scale auto", "Let the heat scale follow the load.",
        group="View",
    ),
    Action(
        "node.log", "l", "node_log", "Node log", "The end of the node's own log file.",
        group="View",
    ),
    Action(
        "view.keyspaces", "K", "keyspaces", "Keyspaces",
        "Policies of keys by pattern: mode, copies, expiry, what a partition allows.", group="View",
    ),
    Action(
        "view.storage", "S", "storage", "Storage",
        "Memory and disk of each node: limits, hits, evictions, damage, policy.", group="View",
    ),
    Action(
        "view.replication", "C", "replication", "Replication",
        "Copies: slots by live owners, hints, repairs, conflicts, digests in agreement.",
        group="View",
    ),
    Action(
        "view.history", "h", "history", "Topology history",
        "The chain of topologies: which nodes came and went, when, why and by whom; what moves now.",
        group="View",
    ),
    Action(
        "view.theme", "f9", "next_theme", "Next theme", "Switch to the next theme.", group="View"
    ),
    Action(
        "view.screenshot", "w", "screenshot_files", "Screenshot",
        "Write the screen as SVG and as text, and say where.", footer="Shot", footer_rank=14,
        group="View",
    ),
    Action(
        "app.help", "question_mark,f1", "help", "Help", "All keys and what they do.",
        footer="Help", footer_rank=5, group="Program",
    ),
    Action(
        "app.palette", "colon,ctrl+p,f8", "palette", "Commands",
        "Search every command by its name.", footer="Commands", footer_rank=7, group="Program",
    ),
    Action(
        "app.quit", "q,ctrl+q", "quit_bar", "Quit", "Stop the nodes of this console and leave.",
        group="Program",
    ),
    Action(
        "app.interrupt", "ctrl+c", "interrupt", "Interrupt",
        "Like quit; twice within two seconds heals, stops and leaves at once.", group="Program",
    ),
)  # fmt: skip

BY_ID: Final = {action.action_id: action for action in ACTIONS}

GROUPS: Final = ("Cluster", "Move", "View", "Program")

KEY_WORDS: Final = {
    "question_mark": "?",
    "colon": ":",
    "slash": "/",
    "plus": "+",
    "minus": "-",
    "equals_sign": "=",
    "left_square_bracket": "[",
    "right_square_bracket": "]",
    "escape": "esc",
    "pageup": "page up",
    "pagedown": "page down",
}


def key_words(keys: str) -> str:
    """Keys as a person writes them: ``? f1``."""
    return " ".join(KEY_WORDS.get(key, key) for key in keys.split(","))


def first_key(action: Action, keymap: Mapping[str, str]) -> str:
    """The key that the footer names."""
    keys = keymap.get(action.action_id, action.keys)
    first = keys.split(",")[0]
    return KEY_WORDS.get(first, first)


def blocked_reason(action: Action, capabilities: Capability, *, read_only: bool) -> str:
    """Why an action cannot work now; empty when it can."""
    if action.changes and read_only:
        return "read-only console"
    if action.capability and not action.capability & capabilities:
        return "this cluster does not offer it"
    return ""


def check_keymap(keymap: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    """Split overrides into usable ones and problems in words.

    An unknown id is reported with the nearest known ones. A key that two actions would share is
    reported; the later one in the override keeps its default keys. Two actions may trade keys.
    """
    usable: dict[str, str] = {}
    problems: list[str] = []
    for action_id, keys in keymap.items():
        if action_id not in BY_ID:
            near = difflib.get_close_matches(action_id, list(BY_ID), n=3, cutoff=0.5)
            hint = f"; did you mean {' or '.join(near)}?" if near else ""
            problems.append(f"keymap: unknown action {action_id!r}{hint}")
            continue
        wanted = ",".join(key.strip() for key in keys.split(",") if key.strip())
        if not wanted:
            problems.append(f"keymap: no keys for {action_id!r}")
            continue
        usable[action_id] = wanted
    # What one loses goes back to its default keys, which another may have taken: look again.
    while clash := _first_clash(usable):
        action_id, text = clash
        problems.append(f"keymap: {action_id!r}: {text}")
        del usable[action_id]
    return usable, problems


def _first_clash(usable: Mapping[str, str]) -> tuple[str, str] | None:
    """The last override with a key that another action has too."""
    for action_id in reversed(list(usable)):
        keys = usable[action_id].split(",")
        for other in ACTIONS:
            if other.action_id == action_id:
                continue
            for key in usable.get(other.action_id, other.keys).split(","):
                if key in keys:
                    return action_id, f"key {key!r} belongs to {other.action_id!r}"
    return None
