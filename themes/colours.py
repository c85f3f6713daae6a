"""Colours as numbers: parsing, relative luminance, contrast, ramps.

Contrast and luminance are those of WCAG 2. The named ramps are the published anchor colours of
matplotlib's maps, which rise in luminance throughout.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from typing import Final

Rgb = tuple[int, int, int]

RAMPS: Final = {
    "inferno": "000004 1b0c41 4a0c6b 781c6d a52c60 cf4446 ed6925 fb9a06 f7d13d fcffa4",
    "viridis": "440154 482878 3e4a89 31688e 26828e 1f9e89 35b779 6dcd59 b4de2c fde725",
    "cividis": "00224e 123570 3b496c 575d6d 707173 8a8678 a59c74 c3b369 e1cc55 fee838",
    "grey": "000000 1c1c1c 383838 555555 717171 8d8d8d aaaaaa c6c6c6 e2e2e2 ffffff",
}


def parse_colour(text: str) -> Rgb:
    """``#rrggbb`` or ``#rgb`` as numbers.

    Raises:
        ValueError: it is neither.
    """
    if re.fullmatch(r"#[0-9a-fA-F]{3}", text):
        text = "#" + "".join(digit * 2 for digit in text[1:])
    if not re.fullmatch(r"#[0-9a-fA-F]{6}", text):
        raise ValueError(f"{text!r} is not a colour of the form #rrggbb")
    return int(text[1:3], 16), int(text[3:5], 16), int(text[5:7], 16)


def hexadecimal(colour: Rgb) -> str:
    """``#rrggbb``."""
    return "#{:02x}{:02x}{:02x}".format(*colour)


def luminance(colour: Rgb) -> float:
    """Relative luminance, 0 black to 1 white."""
    linear = [
        value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4
        for value in (channel / 255 for channel in colour)
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(first: Rgb, second: Rgb) -> float:
    """1 (equal) to 21 (black on white)."""
    high, low = sorted((luminance(first), luminance(second)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def interpolate(stops: Sequence[Rgb], count: int) -> list[Rgb]:
    """``count`` colours along the stops, both ends included."""
    if count == 1 or len(stops) == 1:
        return [stops[0]] * count
    colours: list[Rgb] = []
    for index in range(count):
        place = index * (len(stops) - 1) / (count - 1)
        left = min(int(place), len(stops) - 2)
        part = place - left
        first, second = stops[left], stops[left + 1]
        colours.append(
            (
                round(first[0] + (second[0] - first[0]) * part),
                round(first[1] + (second[1] - first[1]) * part),
                round(first[2] + (second[2] - first[2]) * part),
            )
        )
    return colours


def named_ramp(name: str, count: int, *, reverse: bool = False) -> list[Rgb]:
    """A published ramp.

    Raises:
        ValueError: no ramp has this name.
    """
    if name not in RAMPS:
        raise ValueError(f"unknown ramp {name!r}; known: {', '.join(RAMPS)}")
    colours = interpolate([parse_colour(f"#{stop}") for stop in RAMPS[name].split()], count)
    return colours[::-1] if reverse else colours


def is_monotonic(colours: Sequence[Rgb]) -> bool:
    """Whether luminance rises throughout, or falls throughout."""
    values = [luminance(colour) for colour in colours]
    pairs = list(itertools.pairwise(values))
    return all(a < b for a, b in pairs) or all(a > b for a, b in pairs)
