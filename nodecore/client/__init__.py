"""The Python client: routing and batching; its trio side is in runtime/.

``Client`` is imported on first use, so that importing this package brings in no trio.
"""

from __future__ import annotations

from typing import Any

from nodecore.client.errors import ClientError, Failed, Refused, Unknown

__all__ = ["Client", "ClientError", "Failed", "Refused", "Unknown"]


def __getattr__(name: str) -> Any:
    if name == "Client":
        return __import__("nodecore.client.runtime.client", fromlist=["Client"]).Client
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
