"""Entries and the gate over them; compiled where possible."""
