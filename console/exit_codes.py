"""Exit codes of every command, the same everywhere, so that scripts can branch on them."""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """How a command ended."""

    OK = 0
    FAILED = 1
    """It ran and failed, or a claim that it checked is false."""
    USAGE = 2
    """Bad arguments, configuration or scenario file, or the cluster's state forbids it."""
    UNREACHABLE = 3
    """No node answered, or a probe halted the run."""
    UNKNOWN = 4
    """It may have happened."""
    INTERRUPTED = 130
    """Ctrl-C; what had to be healed was healed."""
