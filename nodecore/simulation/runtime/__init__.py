"""Runs seeds in processes of their own; the only part of the simulation that touches the machine."""
