"""Opens the console: the full screen where there is a terminal, plain lines or JSON elsewhere."""

from __future__ import annotations

import contextlib
import gc
import os
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from console.config import Preferences
from console.errors import ClusterUnreachable, UsageError
from console.load.settings import LoadSettings
from console.runtime.config_files import config_folder, read_preferences
from console.runtime.launcher import StartOptions, running_nodes
from console.runtime.live_source import LiveOptions, LiveSource
from console.runtime.scenario_runner import ScenarioRunner
from console.runtime.state_dir import SEEN, StateDir, make_home
from console.runtime.terminal import lasting_terminal
from console.scenario_progress import Script
from nodecore.config_rules import split_address

FRAMES_PER_S: Final = 60
"""The screen is drawn at most so often; keys and snapshots are what changes it, so a greater number
costs nothing. A smaller one lets a key that follows a snapshot wait for up to two frames."""
GARBAGE_THRESHOLDS: Final = (20_000, 20, 100)
"""Objects before a look at the youngest; how many such before one at the next generation, and again."""
DOWN_GRACE_S: Final = 15.0
"""Under the eyes of an operator a dead node is replaced sooner than headless."""
LOAD_RATE: Final = 2_000.0
LOAD_RATE_PER_CORE: Final = 1_000.0
"""Keeps the generator, the nodes it loads and the console within 30 % of the cores."""


@dataclass(frozen=True, slots=True)
class ConsoleOptions:
    """What the console command was asked for."""

    name: str = "default"
    nodes: int = 5
    attach: str | None = None
    """None: attach when a cluster of this name runs; empty: only attach; else an address."""
    data: str = ""
    load: bool = True
    read_only: bool = False
    typed: Mapping[str, object] = field(default_factory=dict)
    """Preferences that were typed as flags, by name."""


def default_load() -> LoadSettings:
    """Modest load: at most 30 % of the cores."""
    cores = os.cpu_count() or 1
    return LoadSettings(rate=min(LOAD_RATE, LOAD_RATE_PER_CORE * cores))


def has_terminal() -> bool:
    """Whether a full screen can be drawn."""
    return sys.stdin.isatty() and sys.stderr.isatty() and os.environ.get("TERM") != "dumb"


def make_source(options: ConsoleOptions) -> tuple[LiveSource, str]:
    """The source for these options, and a sentence that says what it does.

    Raises:
        ClusterUnreachable: told to attach, and nothing runs.
        UsageError: what to attach to is no address, or the record of the cluster can't be read.
    """
    if options.attach:
        if split_address(options.attach) is None:
            raise UsageError(f"--attach {options.attach!r} is not host:port")
        live = LiveOptions(options.name, attach=options.attach)
        return LiveSource(live), f"attached to {options.attach}"
    record = StateDir(options.name).load()
    if record is not None and running_nodes(record):
        text = f"attached to the running cluster {options.name!r}; quitting leaves it running"
        return LiveSource(LiveOptions(options.name)), text
    if options.attach is not None:
        raise ClusterUnreachable(
            f"cluster {options.name!r} is not running", hint="ringdeck starts one"
        )
    start = StartOptions(
        nodes=options.nodes,
        chaos=True,
        data_dir=options.data,
        settings={"down_grace_s": DOWN_GRACE_S},
        owner_pid=os.getpid(),
    )
    load = default_load() if options.load else None
    live = LiveOptions(options.name, start=start, load=load)
    return LiveSource(live), f"started {options.nodes} nodes; quitting stops them"


def open_screen(options: ConsoleOptions) -> int:
    """Run the full-screen console; returns the exit code.

    Raises:
        UsageError: there is no terminal.
    """
    if sys.platform == "win32":
        raise UsageError("native Windows is not supported", hint="use WSL 2")
    if not has_terminal():
        raise UsageError(
            "the console needs a terminal on standard input and error",
            hint="ringdeck console --plain, or --json",
        )
    # Before anything is started: a wrong flag must cost nothing.
    preferences = read_preferences(options.typed)
    source, _ = make_source(options)
    return _show(source, options, None, preferences)


def open_scenario(runner: ScenarioRunner, name: str) -> int:
    """Carry a scenario out under the eyes of the full-screen console, until that is left.

    Returns the console's own exit code; the scenario's verdict is in its report.
    """
    options = ConsoleOptions(name)
    return _show(runner.source, options, runner, read_preferences({}))


def _show(
    source: LiveSource,
    options: ConsoleOptions,
    script: Script | None,
    read: tuple[Preferences, list[str]],
) -> int:
    preferences, warnings = read
    # Textual reads it when it is imported.
    os.environ.setdefault("TEXTUAL_FPS", str(FRAMES_PER_S))
    # Loaded here: headless commands must not pay for the screen.
    from console.app import ClusterConsole
    from console.settings import ScreenSettings

    seen = make_home() / SEEN
    settings = ScreenSettings(
        title=options.name,
        theme=preferences.text("theme"),
        themes_folder=_themes_folder(preferences),
        glyphs=preferences.text("glyphs"),
        refresh_s=preferences.refresh_s,
        read_only=options.read_only,
        keymap=preferences.keymap,
        problems=tuple(warnings),
        shots_folder=str(Path(preferences.text("shots")).expanduser()),
        owns_nodes=source.owns_nodes,
        hint=not seen.exists(),
        utc_offset_s=time.localtime().tm_gmtoff,
    )
    with contextlib.suppress(OSError):
        # All that is at stake is that the first-start hint is shown again.
        seen.touch()
    app = ClusterConsole(source, settings, script)
    _collect_rarely()
    with lasting_terminal():
        app.run(mouse=preferences.mouse)
    return app.return_code or 0


def _collect_rarely() -> None:
    """Keep the collector from walking over what was imported again and again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GARBAGE_THRESHOLDS)


def _themes_folder(preferences: Preferences) -> str:
    """The folder that was chosen, else the one beside the preferences when it is there."""
    chosen = preferences.text("themes")
    if chosen:
        return str(Path(chosen).expanduser())
    beside = config_folder() / "themes"
    return str(beside) if beside.is_dir() else ""
