"""Who is alive: SWIM with suspicion, refutation and local health."""
