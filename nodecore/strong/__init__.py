"""Strong keys: one CASPaxos register for each key, linearizable whatever fails."""
