"""One cluster that other people's clients share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.harness import Cluster, cluster


@pytest.fixture(scope="session")
def ring(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Three nodes, started once."""
    with cluster(tmp_path_factory.mktemp("compat"), 3) as found:
        yield found
