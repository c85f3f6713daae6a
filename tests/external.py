"""Programs that tests use and this repository does not install: what happens when one is absent.

A test names them in its marker, ``@pytest.mark.external("redis-cli")``. Without the program it is
skipped with one clear line. With ``RINGDECK_REQUIRE_EXTERNAL=1``, as in continuous integration, it
fails instead, so that a broken image never looks like a passed run; ``MAY_BE_ABSENT`` lists the
exceptions, each with its reason.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple

REQUIRE: Final = "RINGDECK_REQUIRE_EXTERNAL"
MAY_BE_ABSENT: Final[Mapping[str, str]] = {
    "promtool": "ships with the Prometheus server only, which some distributions do not package; "
    "the same text is also read by prometheus_client's parser",
}


class Verdict(NamedTuple):
    """What to do with a test whose programs are absent."""

    fails: bool
    text: str


def find_absent(
    programs: Sequence[str], which: Callable[[str], str | None] = shutil.which
) -> list[str]:
    """Those that are not on the path, in the order in which they were named."""
    return [name for name in programs if which(name) is None]


def judge(absent: Sequence[str], environment: Mapping[str, str]) -> Verdict | None:
    """None when the test can run."""
    if not absent:
        return None
    names = ", ".join(absent)
    required = [name for name in absent if name not in MAY_BE_ABSENT]
    if environment.get(REQUIRE) != "1":
        return Verdict(False, f"needs {names}, not installed here")
    if required:
        return Verdict(True, f"needs {', '.join(required)}, not installed, and {REQUIRE}=1")
    reasons = "; ".join(f"{name}: {MAY_BE_ABSENT[name]}" for name in absent)
    return Verdict(False, f"needs {names}, allowed to be absent ({reasons})")
