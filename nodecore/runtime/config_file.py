"""Reads a node's configuration from the world: command line, TOML file, environment.

The command line of a node process is ``--config FILE``, any number of ``--set KEY=VALUE`` (flags
that a person typed; they win), ``--validate`` and ``--json``. What the values mean is decided in
:mod:`nodecore.config_parsing`.
"""

from __future__ import annotations

import argparse
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from nodecore.config import NodeConfig
from nodecore.config_parsing import from_assignments, from_environment, merge, parse
from nodecore.errors import InvalidConfig

CONFIG_BYTES_MAX: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Arguments:
    """The command line of a node process."""

    config_path: str
    """Empty: defaults, environment and flags only."""
    assignments: tuple[str, ...]
    validate: bool
    """Only say whether the configuration is right."""
    json: bool = False
    """Say so, or that the node is ready, as a JSON object on standard output."""


def parse_arguments(argv: Sequence[str]) -> Arguments:
    """Parse the command line of a node process.

    Raises:
        SystemExit: with status 2 and the usage on standard error.
    """
    parser = argparse.ArgumentParser(prog="python -m nodecore.runtime", allow_abbrev=False)
    parser.add_argument("--config", default="", metavar="FILE")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--validate", action="store_true")
    parser.add_argument("--json", action="store_true")
    found = parser.parse_args(list(argv))
    return Arguments(found.config, tuple(found.set), found.validate, found.json)


def read_toml(path: str) -> dict[str, object]:
    """The mapping in a TOML file.

    Raises:
        InvalidConfig: the file can't be read or is no TOML; the message names it.
    """
    try:
        with Path(path).open("rb") as file:
            text = file.read(CONFIG_BYTES_MAX + 1)
        if len(text) > CONFIG_BYTES_MAX:
            raise InvalidConfig([f"{path}: larger than {CONFIG_BYTES_MAX} bytes"])
        return tomllib.loads(text.decode())
    except OSError as error:
        raise InvalidConfig([f"{path}: {error.strerror or error}"]) from None
    except UnicodeDecodeError:
        raise InvalidConfig([f"{path}: not UTF-8"]) from None
    except tomllib.TOMLDecodeError as error:
        raise InvalidConfig([f"{path}: {error}"]) from None


def read_config(arguments: Arguments, environment: Mapping[str, str]) -> NodeConfig:
    """TOML < environment < flags, parsed; relative paths in the file are relative to the file.

    Raises:
        InvalidConfig: with every problem of every source.
    """
    problems: list[str] = []
    sources: list[Mapping[str, object]] = []
    readers: tuple[Callable[[], dict[str, object]], ...] = (
        lambda: _from_file(arguments.config_path),
        lambda: from_environment(environment),
        lambda: from_assignments(list(arguments.assignments)),
    )
    for read in readers:
        try:
            sources.append(read())
        except InvalidConfig as invalid:
            problems += invalid.problems
    try:
        config = parse(merge(*sources))
    except InvalidConfig as invalid:
        problems += invalid.problems
        raise InvalidConfig(problems) from None
    if problems:
        raise InvalidConfig(problems)
    return config


def _from_file(path: str) -> dict[str, object]:
    if not path:
        return {}
    mapping = read_toml(path)
    folder = Path(path).resolve().parent
    for key in ("data_dir", "log_file", "secret_file"):
        value = mapping.get(key)
        if isinstance(value, str) and value:
            mapping[key] = str(folder / Path(value).expanduser())
    return mapping
