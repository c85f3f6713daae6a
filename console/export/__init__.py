"""Configuration for other tools, generated from the product's own tables."""
