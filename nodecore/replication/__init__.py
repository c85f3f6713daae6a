"""Copies of entries: versions, quorums, the coordinator, hints and migration."""
