"""Eviction policies, one per file, behind one interface."""
