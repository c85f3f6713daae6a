"""Tests of the faults, in virtual time."""
