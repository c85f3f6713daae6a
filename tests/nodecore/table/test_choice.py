"""Which table serves: the compiled one where it was built, else the reference, and never silently."""

from __future__ import annotations

import subprocess
import sys
import types

import pytest

from nodecore.table import TableNotBuiltError, compiled_problem, make_table


@pytest.fixture
def _without_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    """As after an installation that could build nothing: the module can't be imported."""
    monkeypatch.setitem(sys.modules, "nodecore.table._table", None)


@pytest.mark.usefixtures("_without_compiler")
def test_without_the_extension_the_reference_serves() -> None:
    table = make_table("auto")
    assert not table.compiled
    assert "nodecore.table._table" in compiled_problem()
    table.put(b"k", 0, b"v", 1, 1, 0)
    entry = table.get(b"k")
    assert entry is not None
    assert entry.value == b"v"


@pytest.mark.usefixtures("_without_compiler")
def test_asking_for_what_was_not_built_says_what_to_do() -> None:
    with pytest.raises(TableNotBuiltError, match="install with a C compiler"):
        make_table("compiled")


def test_an_unknown_choice_is_refused() -> None:
    with pytest.raises(ValueError, match="one of auto, compiled, reference, not 'fast'"):
        make_table("fast")


def test_a_table_that_is_older_than_the_program_does_not_serve(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Older:
        """Knows nothing that the interface asks for."""

    older = types.ModuleType("nodecore.table._table")
    older.CompiledTable = Older  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "nodecore.table._table", older)
    assert not make_table("auto").compiled
    assert "older than the program" in compiled_problem()
    with pytest.raises(TableNotBuiltError, match=r"older than the program: it lacks .*serve"):
        make_table("compiled")


@pytest.mark.skipif(bool(compiled_problem()), reason="the compiled table was not built")
def test_a_table_that_was_built_with_other_figures_does_not_serve() -> None:
    script = (
        "import nodecore.table.orders as orders\n"
        "orders.USES_WAITING_MAX += 1\n"
        "from nodecore.table import compiled_problem, make_table\n"
        "assert not make_table('auto').compiled\n"
        "print(compiled_problem())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert "older than the program: USES_WAITING_MAX was" in done.stdout
