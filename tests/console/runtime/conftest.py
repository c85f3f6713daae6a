"""Tests of the console's edge run async functions on trio."""

from pytest_trio.enable_trio_mode import *  # noqa: F403
