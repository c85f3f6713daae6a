"""The secret of the cluster that this process speaks to: read, checked, held for every link.

It comes from ``--secret-file``, else from ``$RINGDECK_SECRET_FILE``, else from the record of a local
cluster, which remembers the file that its nodes were started with. Only names of files are ever
typed or written down. One process speaks to one cluster, so there is one secret, held here: every
link of the console needs it, and no screen or command should see it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, final

from console.errors import UsageError
from transport.limits import SECRET_BYTES_MIN

VARIABLE: Final = "RINGDECK_SECRET_FILE"
SETTING: Final = "secret_file"
SECRET_BYTES_MAX: Final = 4096


@final
@dataclass(slots=True)
class HeldSecret:
    """What is in use now."""

    path: str = ""
    """Absolute; empty: none."""
    content: bytes | None = None

    def use(self, path_text: str) -> None:
        """Take the secret from a file.

        Raises:
            UsageError: it can't be read, is too short or long, or others can read it too.
        """
        path = Path(path_text).expanduser().absolute()
        self.content = read_secret(path)
        self.path = str(path)

    def use_recorded(self, settings: Mapping[str, object]) -> None:
        """Take the one that a cluster was started with, unless another was asked for."""
        recorded = settings.get(SETTING)
        if not self.path and isinstance(recorded, str) and recorded:
            self.use(recorded)

    def forget(self) -> None:
        """Use none."""
        self.path, self.content = "", None

    def as_setting(self) -> dict[str, str]:
        """The setting of a node that is to share it."""
        return {SETTING: self.path} if self.path else {}

    def as_environment(self) -> dict[str, str]:
        """For a child process that links to the cluster."""
        return {VARIABLE: self.path}


def read_secret(path: Path) -> bytes:
    """The content of a secret file, by the rules by which nodes read it.

    Raises:
        UsageError: it can't be read, is too short or long, or others can read it too.
    """
    try:
        with path.open("rb") as file:
            mode = path.stat().st_mode & 0o077
            content = file.read(SECRET_BYTES_MAX + 1).strip()
    except OSError as error:
        raise UsageError(f"secret file {path}: {error.strerror}") from None
    if mode:
        raise UsageError(f"secret file {path} is readable by others", hint=f"chmod 600 {path}")
    if not SECRET_BYTES_MIN <= len(content) <= SECRET_BYTES_MAX:
        raise UsageError(
            f"secret file {path}: {len(content)} bytes, expected {SECRET_BYTES_MIN} to"
            f" {SECRET_BYTES_MAX}",
            hint=f"head -c 32 /dev/urandom | base64 > {path}",
        )
    return content


HELD: Final = HeldSecret()
"""The secret of this process."""
