"""The edge of this package: the only part that touches the world."""
