"""The cluster secret is long, private and readable, or the node does not start."""

from __future__ import annotations

from pathlib import Path

import pytest

from nodecore.errors import InvalidConfig
from nodecore.ids import NodeId
from nodecore.runtime.credentials import NodeIdentity, read_secret


def test_no_file_means_no_secret() -> None:
    assert read_secret("") is None


def test_a_good_secret_is_read_without_its_line_end(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_bytes(b"s" * 40 + b"\n")
    path.chmod(0o600)
    assert read_secret(str(path)) == b"s" * 40


def test_every_problem_is_named(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_bytes(b"short")
    path.chmod(0o644)
    with pytest.raises(InvalidConfig) as caught:
        read_secret(str(path))
    assert len(caught.value.problems) == 2


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidConfig, match="nowhere"):
        read_secret(str(tmp_path / "nowhere"))


def test_each_link_has_its_own_nonce() -> None:
    identity = NodeIdentity(NodeId("n1"), "c", 1)
    assert identity.credentials().nonce != identity.credentials().nonce
