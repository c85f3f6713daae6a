"""The bottom bars: small dialogues as state machines from keys to commands."""
