"""Names of styles -> Rich styles, for one theme and one terminal.

Each name is resolved once. Heat pairs are at most levels x levels (1,024 at 32), which is what
Rich's and Textual's caches of styles hold.
"""

from __future__ import annotations

from collections.abc import Mapping

from rich.color import Color
from rich.style import Style

from themes.colours import hexadecimal, interpolate, parse_colour
from themes.variables import HEAT


class Stylist:
    """Styles of a theme."""

    def __init__(self, variables: Mapping[str, str], levels: int) -> None:
        self._variables = variables
        self._surface = variables.get("surface", "#121212")
        self._styles: dict[str, Style] = {}
        stops = [parse_colour(variables[key][:7]) for key in HEAT]
        self._ramp = [
            Color.parse(hexadecimal(colour)) for colour in interpolate(stops, max(levels, 2))
        ]

    def style(self, name: str) -> Style:
        """The style of a name; unknown names are plain."""
        found = self._styles.get(name)
        if found is None:
            found = self._styles[name] = self._make(name)
        return found

    def _colour(self, name: str) -> str:
        return self._variables.get(name, self._variables.get("foreground", "#dcdcdc"))[:7]

    def _make(self, name: str) -> Style:
        if name.startswith("heat:"):
            _, top, bottom = name.split(":")
            last = len(self._ramp) - 1
            return Style.from_color(
                self._ramp[min(int(top), last)], self._ramp[min(int(bottom), last)]
            )
        if name.startswith("pair:"):
            _, upper, lower = name.split(":")
            return Style(color=self._colour(upper), bgcolor=self._colour(lower))
        base, _, attributes = name.partition("+")
        bold = "bold" in attributes
        if base.startswith("on-"):
            return Style(color=self._surface[:7], bgcolor=self._colour(base[3:]), bold=bold)
        return self._named(base) + Style(bold=True if bold else None)

    def _named(self, base: str) -> Style:
        surface = self._surface[:7]
        reverse = {"brand": "primary", "alarm": "state-down", "located": "foreground"}
        if base in reverse:
            return Style(color=surface, bgcolor=self._colour(reverse[base]), bold=True)
        aliases = {
            "strong": ("foreground", True),
            "key": ("accent", True),
            "note": ("accent", False),
            "alarm-text": ("state-down", True),
            "trend": ("primary", False),
            "heat-text": ("foreground", False),
            "context": ("foreground", False),
            "frame": ("muted", False),
            "frame-focus": ("primary", False),
        }
        if base in aliases:
            colour, bold = aliases[base]
            return Style(color=self._colour(colour), bold=bold or None)
        return Style(color=self._colour(base)) if base in self._variables else Style()
