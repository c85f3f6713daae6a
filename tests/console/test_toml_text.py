"""What is written as TOML is read back equal."""

from __future__ import annotations

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.toml_text import to_toml

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
SCALARS = st.one_of(
    TEXT, st.booleans(), st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False)
)
TABLES = st.dictionaries(TEXT, st.one_of(SCALARS, st.lists(TEXT)), max_size=4)
DOCUMENTS = st.dictionaries(
    TEXT, st.one_of(SCALARS, TABLES, st.lists(TABLES, min_size=1)), max_size=5
)


@given(DOCUMENTS)
def test_round_trip(document: dict[str, object]) -> None:
    assert tomllib.loads(to_toml(document)) == document


def test_what_has_no_form_is_refused() -> None:
    with pytest.raises(TypeError, match="no TOML form"):
        to_toml({"a": None})
    with pytest.raises(TypeError, match="one array"):
        to_toml({"a": [{}, 1]})
