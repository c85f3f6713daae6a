"""Which nodes own which slots: hashing, the ring, the topology document and its changes."""
