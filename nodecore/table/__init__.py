"""Entries and the gate over them; compiled where possible."""

from __future__ import annotations

from nodecore.table.interface import Kind, Table
from nodecore.table.reference import ReferenceTable

__all__ = ["CHOICES", "Kind", "Table", "TableNotBuiltError", "compiled_problem", "make_table"]

CHOICES = ("auto", "compiled", "reference")


class TableNotBuiltError(ImportError):
    """The compiled table was asked for by name and was not built, or of an older program."""


def make_table(choice: str = "auto") -> Table:
    """The table of a node: ``compiled``, ``reference``, or ``auto`` (compiled if it was built).

    Raises:
        TableNotBuiltError: ``compiled`` was asked for and there is none.
        ValueError: an unknown choice.
    """
    if choice not in CHOICES:
        raise ValueError(f"table must be one of {', '.join(CHOICES)}, not {choice!r}")
    if choice == "reference":
        return ReferenceTable()
    try:
        return _compiled()
    except ImportError as error:
        if choice == "auto":
            return ReferenceTable()
        raise TableNotBuiltError(
            "the compiled table was not built: install with a C compiler at hand, or run "
            f"`python setup.py build_ext --inplace` ({error})"
        ) from None


def compiled_problem() -> str:
    """Why ``auto`` means the reference table here; empty where it means the compiled one."""
    try:
        _compiled()
    except ImportError as error:
        return str(error)
    return ""


def _compiled() -> Table:
    from nodecore.table._table import CompiledTable

    table = _checked(CompiledTable())
    # What serves beside the table must be of this program too.
    from nodecore.table._table import (  # noqa: F401
        CompiledKeyCounts,
        CompiledKeyFilter,
        keys_below,
    )

    return table


def _checked(table: Table) -> Table:
    """``table``, unless it was built from older sources than the rest of the program."""
    public = [name for name in dir(ReferenceTable) if not name.startswith("_")]
    lacking = [name for name in public if not hasattr(table, name)]
    if lacking:
        raise ImportError(f"it is older than the program: it lacks {', '.join(lacking)}")
    return table
