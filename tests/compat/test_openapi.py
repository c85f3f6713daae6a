"""The HTTP door keeps what its OpenAPI document promises: schemathesis looks for counter-examples."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.harness import Cluster

pytestmark = pytest.mark.slow

TIMEOUT_S = 110.0


def test_the_document_is_kept(ring: Cluster, tmp_path: Path) -> None:
    address = f"http://{ring.nodes[0]['http']}"
    done = subprocess.run(
        [
            str(Path(sys.executable).parent / "schemathesis"),
            "run",
            f"{address}/openapi.json",
            "--phases=examples,coverage",
            "--max-examples=5",
            # A key may be called "batch": its path then allows more than the batch route documents.
            # That only a set operation takes a value is a rule between fields, told by a 400.
            "--exclude-checks=allow_header_conformance,positive_data_acceptance",
            "--request-timeout=10",
            "--no-color",
            "--seed=1",
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=TIMEOUT_S,
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
