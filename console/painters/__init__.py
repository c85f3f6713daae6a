"""Painters: pure functions from view models to rows of styled text."""
