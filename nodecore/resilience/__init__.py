"""Breakers and what else keeps a node answering under failure."""
