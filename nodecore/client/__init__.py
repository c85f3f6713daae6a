"""The Python client: routing and batching; its trio side is in runtime/."""
