"""Faults on links: their catalogue, the board that holds them, and the pipes that apply them."""
