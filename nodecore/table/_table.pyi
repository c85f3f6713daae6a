from collections.abc import Sequence

from nodecore.table.interface import Table
from nodecore.table.key_counts import KeyCounts
from nodecore.table.key_filter import KeyFilter

# The classes, typed by the interfaces that they implement.
def CompiledTable() -> Table: ...  # noqa: N802
def CompiledKeyFilter(bits: int) -> KeyFilter: ...  # noqa: N802
def CompiledKeyCounts() -> KeyCounts: ...  # noqa: N802
def keys_below(keys: Sequence[bytes], below: int) -> list[bytes]: ...
def key_print(key: bytes) -> int: ...
def agree(name: str, compiled: int, figure: int) -> None: ...
