"""Lines of a node's log as fields for programs."""

from __future__ import annotations

import re
from typing import Final

_LINE: Final = re.compile(
    r"(?P<at>\d{4}-\d\d-\d\dT[\d:.]+) (?P<level>[A-Z]+) +(?P<logger>\S+) (?P<text>.*)", re.DOTALL
)


def parse_log_line(line: str) -> dict[str, str | None]:
    """Moment (local time), level in small letters, and text; of the rest of a longer message, such as
    a traceback, only the text.
    """
    found = _LINE.fullmatch(line)
    if found is None:
        return {"at": None, "level": None, "text": line}
    return {"at": found["at"], "level": found["level"].lower(), "text": found["text"]}
