"""Trio mode for this directory alone."""

from __future__ import annotations

from pytest_trio.enable_trio_mode import *  # noqa: F403
