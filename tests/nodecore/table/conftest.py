"""Tables to test: the reference always, the compiled one where it was built."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from nodecore.table import Table, TableNotBuiltError, make_table


@pytest.fixture(params=["reference", "compiled"])
def new_table(request: pytest.FixtureRequest) -> Callable[[], Table]:
    choice: str = request.param
    try:
        make_table(choice)
    except TableNotBuiltError as error:
        pytest.skip(str(error))
    return lambda: make_table(choice)
