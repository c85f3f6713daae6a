"""The console without a screen: lines of words, or one JSON object a tick and event.

``--plain`` is for screen readers and logs: every event and every change of a node, breaker or
fault as one line, and a status line every STATUS_INTERVAL_S; words, no cursor moves, no glyphs.
``--json`` is for programs. Both render snapshots and know nothing of terminals.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

from console.formatting import clock, escape_text, milliseconds, number, percent, plural
from console.source import ClusterSnapshot
from console.view_models.cluster import ClusterModel
from console.view_models.nodes import NodeRow

STATUS_INTERVAL_S: Final = 10.0


class PlainRenderer:
    """Snapshots in, lines out."""

    def __init__(self, offset_s: int = 0) -> None:
        self._model = ClusterModel()
        self._offset_s = offset_s
        self._states: dict[str, str] = {}
        self._breakers: dict[str, str] = {}
        self._faults: dict[str, str] = {}
        self._problem = ""
        self._status_at_ms: int | None = None

    def lines(self, snapshot: ClusterSnapshot) -> list[str]:
        """The lines that this snapshot gives, oldest first; often none."""
        self._model.apply(snapshot)
        stamp = clock(snapshot.at_wall_ms, self._offset_s)
        lines = [
            f"{clock(event.at_wall_ms, self._offset_s)} {event.node_id} "
            f"{'' if event.severity == 'info' else event.severity + ': '}{escape_text(event.text)}"
            for event in snapshot.events
        ]
        lines.extend(f"{stamp} {text}" for text in self._changes(snapshot))
        due = self._status_at_ms is None or (
            snapshot.at_wall_ms - self._status_at_ms >= STATUS_INTERVAL_S * 1000
        )
        # The first snapshot has no rates yet; its status would be all unknowns.
        if due and (self._model.summary.ops is not None or not snapshot.members):
            self._status_at_ms = snapshot.at_wall_ms
            lines.append(f"{stamp} {self.status()}")
        return lines

    def _changes(self, snapshot: ClusterSnapshot) -> Iterator[str]:
        rows = {row.node_id: row for row in self._model.rows}
        for node_id, row in rows.items():
            if self._states.get(node_id) != row.state:
                yield f"node {node_id} is {node_words(row)}"
        for node_id in self._states:
            if node_id not in rows:
                yield f"node {node_id} is gone"
        self._states = {node_id: row.state for node_id, row in rows.items()}
        yield from self._breaker_changes()
        faults = {
            fault.fault_id: escape_text(f"{fault.text or fault.kind} on {fault.target}")
            for fault in snapshot.faults
        }
        for fault_id, text in faults.items():
            if fault_id not in self._faults:
                yield f"fault begins: {text}"
        for fault_id, text in self._faults.items():
            if fault_id not in faults:
                yield f"fault ends: {text}"
        self._faults = faults
        if snapshot.problem != self._problem:
            self._problem = snapshot.problem
            yield (
                escape_text(snapshot.problem)
                if snapshot.problem
                else "snapshots are complete again"
            )

    def _breaker_changes(self) -> Iterator[str]:
        now: dict[str, str] = {}
        for member in self._model.snapshot.members:
            for breaker in member.statistics.breakers if member.statistics is not None else ():
                if breaker.state not in ("closed", "disabled"):
                    now[f"{member.node_id} to {breaker.peer}"] = breaker.state
        for link, state in now.items():
            if self._breakers.get(link) != state:
                yield f"breaker {link} is {state}"
        for link in self._breakers:
            if link not in now:
                yield f"breaker {link} is closed"
        self._breakers = now

    def status(self) -> str:
        """The verdict in words."""
        summary, snapshot = self._model.summary, self._model.snapshot
        parts = [
            f"status: {summary.up} of {plural(summary.total, 'node')} up",
            f"{number(summary.ops)} operations per second",
            f"hit ratio {percent(summary.hit_ratio)}",
            f"errors {percent(summary.errors_ratio)}",
            f"p99 {milliseconds(summary.p99_ms)}",
            plural(len(snapshot.faults), "active fault"),
        ]
        if snapshot.hot_keys:
            parts.append(f"hottest key {escape_text(snapshot.hot_keys[0][0].key, 60)}")
        if snapshot.change is not None:
            change = snapshot.change
            parts.append(
                f"{change.kind} of {change.node_id}: {change.slots_done} of "
                f"{change.slots_total} slots done"
            )
        return ", ".join(parts)


def node_words(row: NodeRow) -> str:
    """A node's state with what explains it."""
    words = row.state.lower() if row.state != "?" else "unknown"
    if row.exit_text:
        words += f", {escape_text(row.exit_text)}"
    if row.suspected_by and not row.is_down:
        words += f", suspected by {' '.join(row.suspected_by)}"
    return words


class JsonRenderer:
    """Snapshots in, JSON lines out: ``{"type": "event" | "tick", ...}``."""

    def __init__(self) -> None:
        self._model = ClusterModel()

    def lines(self, snapshot: ClusterSnapshot) -> list[str]:
        """One object for each event, then one for the tick."""
        self._model.apply(snapshot)
        objects: list[dict[str, Any]] = [
            {"type": "event", **event.to_plain()} for event in snapshot.events
        ]
        objects.append(self._tick(snapshot))
        return [json.dumps(plain, separators=(",", ":"), sort_keys=True) for plain in objects]

    def _tick(self, snapshot: ClusterSnapshot) -> dict[str, Any]:
        summary = self._model.summary
        return {
            "type": "tick",
            "sequence": snapshot.sequence,
            "at_wall_ms": snapshot.at_wall_ms,
            "cluster": snapshot.cluster,
            "epoch": snapshot.epoch,
            "state": snapshot.state,
            "up": summary.up,
            "total": summary.total,
            "ops_per_s": summary.ops,
            "hit_ratio": summary.hit_ratio,
            "errors_ratio": summary.errors_ratio,
            "p50_ms": summary.p50_ms,
            "p99_ms": summary.p99_ms,
            "problem": snapshot.problem,
            "nodes": [
                {
                    "id": row.node_id,
                    "state": row.state.lower(),
                    "share": row.share,
                    "keys": row.keys,
                    "ops_per_s": row.ops,
                    "p99_ms": row.p99_ms,
                    "breakers_open": row.open_count,
                    "breakers_half_open": row.half_count,
                }
                for row in self._model.rows
            ],
            "hot_keys": [
                {
                    "key": escape_text(heat.key),
                    "slot": heat.slot,
                    "reads_per_s": heat.reads_per_s,
                    "writes_per_s": heat.writes_per_s,
                    "owner": node_id,
                }
                for heat, node_id in snapshot.hot_keys
            ],
            "faults": [
                {
                    "id": fault.fault_id,
                    "kind": fault.kind,
                    "target": fault.target,
                    "text": fault.text,
                    "owner": fault.owner,
                    "hits": fault.hits,
                }
                for fault in snapshot.faults
            ],
        }
