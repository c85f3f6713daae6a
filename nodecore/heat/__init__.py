"""Hot keys: counting per tick and merging over the cluster."""
