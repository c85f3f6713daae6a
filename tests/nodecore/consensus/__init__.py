"""Tests of nodecore/consensus."""
