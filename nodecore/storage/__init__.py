"""The memory tier: accounting, eviction and expiry over the table."""
