"""View models: what the screen says about a sequence of snapshots, computed without a screen."""
