"""How often keys were asked for lately, for who has no table at hand; see ``memories.FrequencySketch``."""

from __future__ import annotations

from nodecore.table.plain_ghosts import PlainSketch as FrequencySketch

__all__ = ["FrequencySketch"]
