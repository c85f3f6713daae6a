"""The load generator's decisions: which key, when, what value, and what the answers mean."""
