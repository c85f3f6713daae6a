"""Tests of nodecore/placement."""
