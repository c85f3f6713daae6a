"""The deterministic world: clusters of real nodes on an event heap."""
