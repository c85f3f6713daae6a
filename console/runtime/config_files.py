"""Reads the console's preferences: ``config.toml`` and ``keymap.toml`` of this user.

They stand in ``$XDG_CONFIG_HOME/ringdeck``, else ``~/.config/ringdeck``. A file that is not there is
no mistake; one that can't be read is a warning.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from console.config import BadFlagError, Places, Preferences, resolve
from console.errors import UsageError

FILE_BYTES_MAX: Final = 64 * 1024


def config_folder(environment: Mapping[str, str] = os.environ) -> Path:
    """Where this user's preferences are kept."""
    chosen = environment.get("XDG_CONFIG_HOME")
    base = Path(chosen) if chosen and Path(chosen).is_absolute() else Path.home() / ".config"
    return base / "ringdeck"


def read_preferences(
    typed: Mapping[str, object], environment: Mapping[str, str] = os.environ
) -> tuple[Preferences, list[str]]:
    """The preferences, and every warning about where they are from.

    Raises:
        UsageError: a flag has a value that it can't have.
    """
    folder = config_folder(environment)
    warnings: list[str] = []
    config, keymap = folder / "config.toml", folder / "keymap.toml"
    places = Places(
        typed=typed,
        environment=environment,
        file=_read(config, warnings),
        file_name=str(config),
        keymap=_read(keymap, warnings),
        keymap_name=str(keymap),
    )
    try:
        preferences = resolve(places)
    except BadFlagError as bad:
        raise UsageError(str(bad)) from None
    return preferences, [*warnings, *preferences.problems]


def _read(path: Path, warnings: list[str]) -> dict[str, object]:
    try:
        with path.open("rb") as file:
            content = file.read(FILE_BYTES_MAX + 1)
    except FileNotFoundError:
        return {}
    except OSError as error:
        warnings.append(f"{path}: {error.strerror}")
        return {}
    if len(content) > FILE_BYTES_MAX:
        warnings.append(f"{path}: larger than {FILE_BYTES_MAX} bytes; ignored")
        return {}
    try:
        return tomllib.loads(content.decode())
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        warnings.append(f"{path}: {error}; ignored")
        return {}
