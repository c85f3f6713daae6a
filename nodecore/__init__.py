"""The cache node: pure rooms, and runtime/ that connects them to the world."""

from __future__ import annotations

from typing import Final

__version__: Final = "0.1.0"
"""Equal to the version in pyproject.toml."""
