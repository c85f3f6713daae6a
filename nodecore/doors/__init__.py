"""Client protocols as state machines: bytes in, replies out."""
