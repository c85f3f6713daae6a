"""Tests of the edge: real loopback sockets."""
