"""Finds the data that is kept outside of the repository; tests that need it are skipped without it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

VARIABLE = "SHARED_DATA"
ROOT = Path(__file__).resolve().parent.parent


def shared_data(name: str) -> Path:
    """A file or folder below ``$SHARED_DATA`` (default: ``../shared/data`` beside the repository)."""
    folder = Path(os.environ.get(VARIABLE) or ROOT.parent / "shared" / "data")
    path = folder / name
    if not path.exists():
        pytest.skip(f"{path} is absent; {VARIABLE} names the folder that holds it")
    return path
