"""The cache node: pure rooms, and runtime/ that connects them to the world."""
