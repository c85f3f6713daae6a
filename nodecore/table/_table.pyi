from nodecore.table.interface import Table

# The class, typed by the interface that it implements.
def CompiledTable() -> Table: ...  # noqa: N802
