"""The semantic names that every theme defines, beyond Textual's own colours.

Widgets name these and never a colour. ``owner-*`` are categories, ``heat-*`` a ramp from cold to
hot, the others states that are always drawn with a word or a shape as well.
"""

from __future__ import annotations

from typing import Final

OWNERS: Final = tuple(f"owner-{letter}" for letter in "abcdefgh")
HEAT_LEVELS: Final = 8
HEAT: Final = tuple(f"heat-{index}" for index in range(HEAT_LEVELS))
STATES: Final = ("state-up", "state-down", "state-suspect", "state-joining", "state-paused")
BREAKERS: Final = ("breaker-closed", "breaker-half", "breaker-open")
OTHERS: Final = ("fault", "fault-shade", "muted")

REQUIRED: Final = (*OWNERS, *HEAT, *STATES, *BREAKERS, *OTHERS)

READABLE: Final = (*OWNERS, *STATES, *BREAKERS, "fault", "muted")
"""Those that must stand out from the surface."""
