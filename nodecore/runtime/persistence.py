"""Small durable records of a node: acceptor state, topology chain, incarnation, clock high-water mark.

One file a record under ``DATA_DIR/state``, replaced atomically (write, fsync, rename, fsync of the
folder), each with a checksum, so that a crash leaves the old record or the new one and never half of
one. Without a data directory records live in memory: the node then returns as a stranger.
"""

from __future__ import annotations

import re
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import final

from nodecore.disk_faults import UNDISTURBED, DiskVerdict
from nodecore.runtime.durable_files import write_durably

_MAGIC = b"RDS1"
_NAME = re.compile(r"^[a-z0-9][a-z0-9._-]{0,63}$")


class CorruptRecord(Exception):  # noqa: N818 - the name says what it is
    """A record on disk fails its checksum; the message names the file."""


@final
class RecordStore:
    """Named byte records, durable when a directory was given."""

    def __init__(self, data_dir: str) -> None:
        self.on_write: Callable[[], DiskVerdict] = lambda: UNDISTURBED
        """Asked before each write what injected faults do to it."""
        self.saves = 0
        """Records written."""
        self.save_s = 0.0
        """What writing them took."""
        self._folder = Path(data_dir) / "state" if data_dir else None
        if self._folder is not None:
            self._folder.mkdir(parents=True, exist_ok=True)

    def load(self) -> dict[str, bytes]:
        """Every record.

        Raises:
            CorruptRecord: a file is damaged; it is left where it is.
            OSError: the folder can't be read.
        """
        if self._folder is None:
            return {}
        records = {}
        for path in sorted(self._folder.iterdir()):
            if path.suffix == ".record" and _NAME.match(path.stem):
                records[path.stem] = _decode(path)
        return records

    def save(self, name: str, payload: bytes) -> None:
        """Replace a record; on return it survives a power failure.

        Raises:
            OSError: the disk refused; the node must stop, because it can't keep its promises.
        """
        if self._folder is None:
            return
        if not _NAME.match(name):
            raise ValueError(f"record name {name!r}")
        started_s = time.monotonic()
        verdict = self.on_write()
        if verdict.error:
            raise OSError(verdict.error, verdict.text)
        write_durably(self._folder / f"{name}.record", _encode(payload))
        if verdict.delay_s:
            time.sleep(verdict.delay_s)
        self.saves += 1
        self.save_s += time.monotonic() - started_s


def _encode(payload: bytes) -> bytes:
    return _MAGIC + zlib.crc32(payload).to_bytes(4, "big") + payload


def _decode(path: Path) -> bytes:
    body = path.read_bytes()
    payload = body[8:]
    if body[:4] != _MAGIC or body[4:8] != zlib.crc32(payload).to_bytes(4, "big"):
        raise CorruptRecord(
            f"{path} is damaged (checksum); move it away to let the node rejoin as a new one"
        )
    return payload
