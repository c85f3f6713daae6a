"""Tests of nodecore/membership."""
