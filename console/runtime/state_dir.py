"""Where local clusters keep their records, configurations and logs.

``$RINGDECK_HOME``, else ``$XDG_STATE_HOME/ringdeck``, else ``~/.local/state/ringdeck``; a folder
per cluster name, in it ``cluster.json``, ``lock`` and a folder per node. Records are replaced
atomically. Commands that change a cluster hold its lock; readers need none.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Final, final

from console.cluster_record import ClusterRecord, decode_record, encode_record
from console.errors import UsageError

NAME: Final = re.compile(r"^[a-zA-Z0-9][a-zA-Z0-9._-]{0,63}$")
SEEN: Final = ".seen"
"""Its presence says that the console's first-start hint was shown."""
LOCK_WAIT_S: Final = 10.0
LOCK_POLL_S: Final = 0.05
RECORD_BYTES_MAX: Final = 4 * 1024 * 1024
TAIL_BYTES_MAX: Final = 256 * 1024


def home(environment: Mapping[str, str] = os.environ) -> Path:
    """The folder of all clusters of this user."""
    chosen = environment.get("RINGDECK_HOME")
    if chosen:
        return Path(chosen).expanduser().absolute()
    state = environment.get("XDG_STATE_HOME")
    base = Path(state) if state and Path(state).is_absolute() else Path.home() / ".local/state"
    return base / "ringdeck"


def make_home() -> Path:
    """The folder of all clusters, made when it is not there.

    Raises:
        UsageError: it can't be made.
    """
    folder = home()
    _make_folder(folder)
    return folder


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise _unusable(folder, error) from None


def _unusable(path: Path, error: OSError) -> UsageError:
    return UsageError(
        f"{path}: {error.strerror}", hint="set RINGDECK_HOME to a folder that you can write"
    )


@final
class StateDir:
    """The folder of one cluster."""

    def __init__(self, name: str, base: Path | None = None) -> None:
        """Name it; nothing is created.

        Raises:
            UsageError: the name can't be a folder's name.
        """
        if not NAME.match(name):
            raise UsageError(f"cluster name {name!r}: 1 to 64 of letters, digits, . _ - expected")
        self.name = name
        self.folder = (base or home()) / name

    def node_folder(self, node_id: str) -> Path:
        """Folder of a node's configuration, log and (unless elsewhere) state."""
        return self.folder / node_id

    def config_path(self, node_id: str) -> Path:
        """The node's configuration file."""
        return self.node_folder(node_id) / "node.toml"

    def log_path(self, node_id: str) -> Path:
        """The node's log, rotated by the node."""
        return self.node_folder(node_id) / "node.log"

    def output_path(self, node_id: str) -> Path:
        """What the node's process prints outside of its log: tracebacks of a failed start."""
        return self.node_folder(node_id) / "output.log"

    def ready_path(self, node_id: str) -> Path:
        """Written by the node when it is a ready member."""
        return self.node_folder(node_id) / "ready.json"

    def load(self) -> ClusterRecord | None:
        """The record; None when there is none.

        Raises:
            UsageError: it is damaged.
        """
        path = self.folder / "cluster.json"
        try:
            with path.open("rb") as file:
                text = file.read(RECORD_BYTES_MAX)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise UsageError(f"{path}: {error.strerror}") from None
        return decode_record(text, str(path))

    def save(self, record: ClusterRecord) -> None:
        """Replace the record.

        Raises:
            UsageError: it can't be written.
        """
        path = self.folder / "cluster.json"
        try:
            write_atomically(path, encode_record(record))
        except OSError as error:
            raise _unusable(path, error) from None

    def create(self) -> None:
        """Make the folder.

        Raises:
            UsageError: it can't be made.
        """
        _make_folder(self.folder)

    def purge(self) -> None:
        """Remove the folder and all in it, the lock too; harmless when absent. Under the lock."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self._lock_path.unlink(missing_ok=True)

    @property
    def _lock_path(self) -> Path:
        """Beside the folder, so that purging the folder does not free it before its time."""
        return self.folder.parent / f".{self.name}.lock"

    @contextlib.contextmanager
    def locked(self, wait_s: float = LOCK_WAIT_S) -> Iterator[None]:
        """Keep other commands from changing this cluster meanwhile.

        Raises:
            UsageError: another command held the lock for ``wait_s``.
        """
        self.create()
        end = time.monotonic() + wait_s
        while True:
            with self._open_lock() as file:
                if try_lock(file, self._lock_path):
                    yield
                    return
            if time.monotonic() >= end:
                raise UsageError(f"another command is changing cluster {self.name!r}; try again")
            time.sleep(LOCK_POLL_S)

    def _open_lock(self) -> IO[str]:
        try:
            return self._lock_path.open("a")
        except OSError as error:
            raise _unusable(self._lock_path, error) from None


def try_lock(file: IO[str], path: Path) -> bool:
    """Lock an open file; False when another holds it, or it is no longer the one at ``path``:
    whoever held it before has purged the cluster, and others may have made a new one.
    """
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except (BlockingIOError, FileNotFoundError):
        return False


def cluster_names(base: Path | None = None) -> list[str]:
    """Names of the clusters that have a record."""
    folder = base or home()
    try:
        entries = sorted(folder.iterdir())
    except OSError:
        return []
    return [entry.name for entry in entries if (entry / "cluster.json").exists()]


def left_names(base: Path | None = None) -> list[str]:
    """Names of the clusters that have left anything: a record, or the lock of one that was stopped.

    Other folders are not ours, whoever keeps them beside.
    """
    folder = base or home()
    try:
        found = [entry.name for entry in folder.iterdir() if entry.name.endswith(".lock")]
    except OSError:
        return []
    locked = [name[1:].removesuffix(".lock") for name in found if name.startswith(".")]
    return sorted({*cluster_names(folder), *filter(NAME.match, locked)})


def purge_home() -> None:
    """Remove what is left when every cluster is purged, and the folder if nobody else uses it."""
    folder = home()
    (folder / SEEN).unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        folder.rmdir()


def write_atomically(path: Path, content: bytes) -> None:
    """Replace a file so that a reader sees the old content or the new one."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    temporary.write_bytes(content)
    temporary.replace(path)


def tail(path: Path, lines: int, end: int | None = None) -> list[str]:
    """The last lines of a text file, oldest first; empty when it can't be read. ``end``: of its first
    so many bytes. At most TAIL_BYTES_MAX are read.
    """
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END) if end is None else end
            start = max(0, size - TAIL_BYTES_MAX)
            file.seek(start)
            text = file.read(size - start).decode("utf-8", "replace")
    except OSError:
        return []
    return text.splitlines()[-lines:] if lines > 0 else []
