"""Themes as data: one TOML file per theme, and the loader that checks them."""

from __future__ import annotations

from themes.loader import BUILT_IN, load_themes

__all__ = ["BUILT_IN", "load_themes"]
