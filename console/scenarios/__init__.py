"""Scenario files that ship with ringdeck."""
