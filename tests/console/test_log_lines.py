"""Log lines as fields."""

from __future__ import annotations

import logging

from console.log_lines import parse_log_line
from nodecore.runtime import logs


def test_a_line_of_a_node_comes_apart() -> None:
    logger = logs.set_up_logging("n1", "info", "")
    handler = logging.getLogger().handlers[0]
    record = logger.makeRecord(
        logger.name, logging.WARNING, "", 0, "member.failed: %s is  failed", ("n2",), None
    )
    found = parse_log_line(handler.format(record))
    assert found["level"] == "warning"
    assert found["text"] == "member.failed: n2 is  failed"
    assert str(found["at"])[10] == "T"


def test_what_is_no_first_line_is_text() -> None:
    line = '  File "node.py", line 3'
    assert parse_log_line(line) == {"at": None, "level": None, "text": line}
