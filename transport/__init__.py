"""The wire: frames, messages, links and their faults. Knows messages, not caches."""
