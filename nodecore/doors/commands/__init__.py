"""The Redis commands that the RESP door speaks, one module per family and one registry of all."""
