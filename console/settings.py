"""What a console screen is told from outside, as one frozen record; the command line fills it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class ScreenSettings:
    """Settings of the screen; all have defaults that work."""

    title: str = "demo"
    """Name of the cluster in the header."""
    theme: str = "ringdeck-dark"
    themes_folder: str = ""
    """A folder of further themes; empty: the built-in ones only."""
    glyphs: str = "full"
    """``full``, ``block`` or ``ascii``."""
    refresh_s: float = 1.0
    """Interval of snapshots, 0.25 to 10."""
    read_only: bool = False
    keymap: Mapping[str, str] = field(default_factory=dict)
    """Action id -> keys, comma separated."""
    problems: tuple[str, ...] = ()
    """What was wrong with the preferences; the log begins with it."""
    owns_nodes: bool = True
    """Whether leaving stops nodes that this console started."""
    hint: bool = False
    """First start: one line says what the important keys are."""
    utc_offset_s: int = 0
    """Of the clock on the screen."""
    shots_folder: str = "."
    """Where screenshots go."""
