"""Style sheets of the console."""
