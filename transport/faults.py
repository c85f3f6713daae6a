"""Faults on links, in one place for those who use them.

:class:`FaultSpec` is a valid fault, :func:`parse_fault` makes one from plain data, a
:class:`FaultBoard` holds those of a node, a :class:`FaultPipe` applies them to one direction of one
connection. What each kind does is in :mod:`transport.faulting`.
"""

from __future__ import annotations

from transport.faulting.board import ActiveFault, FaultBoard, FaultRefused
from transport.faulting.pipe import FaultPipe, link_rng
from transport.faulting.spec import (
    ANY_CLIENT,
    ANY_NODE,
    BOTH,
    DOWN,
    KINDS,
    UP,
    Attribute,
    FaultSpec,
    InvalidFault,
    Kind,
    parse_fault,
)
from transport.faulting.stage import CLOSE, RESET

__all__ = [
    "ANY_CLIENT",
    "ANY_NODE",
    "BOTH",
    "CLOSE",
    "DOWN",
    "KINDS",
    "RESET",
    "UP",
    "ActiveFault",
    "Attribute",
    "FaultBoard",
    "FaultPipe",
    "FaultRefused",
    "FaultSpec",
    "InvalidFault",
    "Kind",
    "link_rng",
    "parse_fault",
]
