"""How commands print: results on standard output, everything else on standard error."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

import typer

from console.errors import ConsoleError, StartFailed
from console.formatting import escape_text


def tell(text: str) -> None:
    """A remark for the person; never part of a result."""
    typer.echo(text, err=True)


def result(text: str) -> None:
    """One line of a result."""
    typer.echo(text)


def print_json(value: object) -> None:
    """A result for a script: one JSON object on one line."""
    typer.echo(json.dumps(value, ensure_ascii=False, separators=(", ", ": ")))


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """A result for a person; numbers to the right, unknown as ``-``."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD, pad_edge=False, header_style="bold")
    cells = [list(row) for row in rows]
    for number, column in enumerate(columns):
        numeric = all(isinstance(row[number], int | float | None) for row in cells)
        table.add_column(column, justify="right" if numeric and cells else "left", no_wrap=True)
    for row in cells:
        table.add_row(*(Text(_cell(value)) for value in row))
    console = Console(highlight=False)
    # Piped output must not be cut at the width of a terminal that is not there.
    Console(highlight=False, width=console.width if console.is_terminal else 240).print(table)


def _cell(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:,.1f}"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    return escape_text(str(value), 80)


def report_error(error: ConsoleError) -> None:
    """Say on standard error what went wrong and what to try."""
    tell(f"ringdeck: {error.text}")
    if isinstance(error, StartFailed) and error.tail:
        for line in error.tail.splitlines():
            tell(f"  | {escape_text(line, 200)}")
    if error.hint:
        tell(f"hint: {error.hint}")
