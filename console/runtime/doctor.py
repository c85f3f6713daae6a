"""What this machine offers for running nodes, and what is missing."""

from __future__ import annotations

import os
import platform
import resource
import sys
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Final

from console.errors import UsageError
from console.runtime.ports import choose_ports, port_base
from console.runtime.state_dir import home
from nodecore.limits import CONNECTIONS_MAX
from nodecore.table import compiled_problem

LIBRARIES: Final = (
    "blake3",
    "hiredis",
    "httptools",
    "lmdb",
    "msgpack",
    "msgspec",
    "prometheus-client",
    "rich",
    "textual",
    "trio",
    "typer",
    "xxhash",
    "zstandard",
)
PYTHON_MIN: Final = (3, 11)
FILES_WANTED: Final = 2 * CONNECTIONS_MAX + 512
"""Clients and links of a node, its files, and some; nodes raise their own bound as far as allowed."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    what: str
    found: str
    ok: bool


def examine() -> list[Finding]:
    """Look at everything; nothing is changed."""
    findings = [
        Finding(
            "python", platform.python_version(), sys.version_info[:2] >= PYTHON_MIN and __debug__
        ),
        Finding("system", platform.platform(), sys.platform != "win32"),
        Finding("cores", str(os.cpu_count()), True),
        _extension(),
    ]
    findings += [_library(name) for name in LIBRARIES]
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    enough = hard == resource.RLIM_INFINITY or hard >= FILES_WANTED
    most = "no bound" if hard == resource.RLIM_INFINITY else f"at most {hard}"
    findings.append(Finding("open files", f"{soft} ({most}, {FILES_WANTED} wanted)", enough))
    findings.append(_ports())
    folder = home()
    nearest = folder
    while not nearest.exists() and nearest != nearest.parent:
        nearest = nearest.parent
    findings.append(Finding("state folder", str(folder), os.access(nearest, os.W_OK)))
    return findings


def _extension() -> Finding:
    problem = compiled_problem()
    # Not a fault: everything works without it, at less speed.
    text = f"reference (no compiled extension: {problem})" if problem else "compiled"
    return Finding("table", text, True)


def _library(name: str) -> Finding:
    try:
        return Finding(name, version(name), True)
    except PackageNotFoundError:
        return Finding(name, "missing", False)


def _ports() -> Finding:
    try:
        base = port_base()
        taken: list[int] = []
        moved: list[str] = []
        for index in range(1, 6):
            ports = choose_ports(index, taken, base)
            taken += [ports.resp, ports.native, ports.http]
            moved += ports.moved
    except UsageError as error:
        return Finding("ports", error.text, False)
    return Finding("ports", "; ".join(moved) if moved else "the documented ones are free", True)
