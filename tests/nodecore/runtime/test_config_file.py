"""Reading a node's configuration from files, environment and flags."""

from __future__ import annotations

from pathlib import Path

import pytest

from nodecore.errors import InvalidConfig
from nodecore.runtime.config_file import Arguments, parse_arguments, read_config


def test_order_of_sources_and_relative_paths(tmp_path: Path) -> None:
    path = tmp_path / "n1.toml"
    path.write_text('node_id = "n1"\nreplicas = 5\nvnodes = 10\ndata_dir = "data"\n')
    arguments = parse_arguments(["--config", str(path), "--set", "vnodes=30"])
    config = read_config(arguments, {"RINGDECK_REPLICAS": "4", "RINGDECK_VNODES": "20"})
    assert (config.replicas, config.vnodes) == (4, 30)
    assert config.data_dir == str(tmp_path / "data")


def test_problems_of_all_sources_come_together(tmp_path: Path) -> None:
    path = tmp_path / "broken.toml"
    path.write_text("node_id = \n")
    with pytest.raises(InvalidConfig) as caught:
        read_config(Arguments(str(path), ("x",), False), {"RINGDECK_VNODEZ": "1"})
    text = "\n".join(caught.value.problems)
    assert "broken.toml" in text
    assert "RINGDECK_VNODES" in text
    assert "KEY=VALUE" in text


def test_absent_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidConfig, match=r"absent\.toml: No such file"):
        read_config(Arguments(str(tmp_path / "absent.toml"), (), False), {})


def test_unknown_flag_is_usage() -> None:
    with pytest.raises(SystemExit) as caught:
        parse_arguments(["--confg", "x"])
    assert caught.value.code == 2
