"""``ringdeck backup``, ``verify`` and ``restore``: all keys of a cluster in one file, and back."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from console.cli_cluster import Json, Name, SecretFile
from console.cli_output import print_json, print_table, result, tell
from console.errors import ConsoleError
from console.formatting import plural

if TYPE_CHECKING:
    from console.runtime.backup_files import Summary
    from console.runtime.restore_commands import Restored

app = typer.Typer()

Advance: TypeAlias = Callable[[int, int, float], None]
"""(keys, bytes, share of the work that is done)."""
Connect = Annotated[
    str, typer.Option("--connect", help="Native address of any member, instead of a local name.")
]
File = Annotated[Path, typer.Argument(metavar="FILE", help="The backup.")]


@app.command()
def backup(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Where to write it.")],
    name: Name = "default",
    connect: Connect = "",
    force: Annotated[bool, typer.Option("--force", help="Replace FILE if it exists.")] = False,
    _secret_file: SecretFile = "",
    json_: Json = False,
) -> None:
    """Write every live key of a running cluster to FILE, with versions and expiries.

    Clients are served meanwhile. FILE is whole or not written: when too few owners of a slot answer
    the backup is refused.
    """
    from console.runtime import backup_commands
    from console.runtime.run import run_command

    with _bar("backing up") as advance:
        made = run_command(
            lambda: backup_commands.backup(name, connect, file, advance, force=force)
        )
    if json_:
        print_json(asdict(made))
        return
    result(
        f"{file}: {plural(made.keys, 'key')}, {made.bytes:,} bytes of keys and values, "
        f"{made.file_bytes:,} in the file, in {made.seconds:.1f} s"
    )
    result(f"cluster {made.cluster_id} at epoch {made.epoch}")


@app.command()
def verify(file: File, json_: Json = False) -> None:
    """Check a backup from end to end and say what is in it; needs no cluster."""
    from console.runtime import backup_files

    with _bar("checking") as advance:
        summary = backup_files.verify(file, lambda done, of: advance(0, done, done / of))
    header, trailer = summary.header, summary.trailer
    if json_:
        print_json(_plain(file, summary))
        return
    result(f"{file}: sound, {plural(trailer.records, 'key')}, {trailer.payload_bytes:,} bytes")
    result(f"cluster {header.cluster_id} at epoch {header.epoch}, {plural(header.nodes, 'node')}")
    result(f"begun {_when(header.created_ms)}, ended {_when(trailer.ended_ms)}")
    result(f"digest xxh3-128 {trailer.digest.hex()}")
    if summary.spaces:
        print_table(
            ("keyspace", "mode", "keys", "bytes", "that expire"),
            [(s.pattern, s.mode, s.keys, s.bytes, s.expiring) for s in summary.spaces.values()],
        )


@app.command()
def restore(
    file: File,
    name: Name = "default",
    connect: Connect = "",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check and compare; write nothing.")
    ] = False,
    renew: Annotated[
        bool,
        typer.Option(
            "--renew", help="Write missing keys as new: brings back what was deleted or flushed."
        ),
    ] = False,
    _secret_file: SecretFile = "",
    json_: Json = False,
) -> None:
    """Bring the keys of a backup into a running cluster, a new one or a live one.

    Versions and expiries are kept, so newer values and later deletions stay as they are.
    """
    from console.runtime import restore_commands
    from console.runtime.run import run_command

    with _bar("restoring") as advance:
        done = run_command(
            lambda: restore_commands.restore(
                name, connect, file, (advance, advance), dry_run=dry_run, renew=renew
            )
        )
    if json_:
        print_json(asdict(done))
    else:
        _show(done)
    for text, count in done.reasons.items():
        tell(f"{plural(count, 'key')}: {text}")
    if done.flushed:
        tell("hint: --renew brings back keys that are older than a flush")
    if done.failed:
        raise ConsoleError(
            f"{done.failed:,} of {plural(done.records, 'key')} were not restored",
            hint="the same command again does no harm and takes up what is missing",
        )


def _show(done: Restored) -> None:
    verb = "would be restored" if done.dry_run else "restored"
    rows = [
        (verb, done.applied),
        ("there already", done.same),
        ("kept, because newer or live", done.kept),
        ("expired", done.expired),
        ("older than a flush", done.flushed),
        ("failed", done.failed),
        ("restored with too few copies so far", done.sloppy),
    ]
    result(f"{done.file}: {plural(done.records, 'key')} in {done.seconds:.1f} s")
    for text, count in rows:
        if count or text == verb:
            result(f"{count:>12,} {text}")


def _plain(file: Path, summary: Summary) -> dict[str, object]:
    header, trailer = summary.header, summary.trailer
    return {
        "file": str(file),
        "sound": True,
        "cluster_id": header.cluster_id,
        "epoch": header.epoch,
        "nodes": header.nodes,
        "created_ms": header.created_ms,
        "ended_ms": trailer.ended_ms,
        "keys": trailer.records,
        "bytes": trailer.payload_bytes,
        "file_bytes": summary.file_bytes,
        "digest": trailer.digest.hex(),
        "keyspaces": [asdict(space) for space in summary.spaces.values()],
    }


def _when(wall_ms: int) -> str:
    import time

    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(wall_ms / 1000))


@contextmanager
def _bar(title: str) -> Iterator[Advance]:
    """A progress bar with keys, bytes and rate on standard error, when that is a terminal."""
    if not sys.stderr.isatty():
        yield lambda _keys, _bytes, _share: None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        Progress,
        TaskProgressColumn,
        TextColumn,
        TransferSpeedColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[what]}"),
    )
    with Progress(
        *columns,
        DownloadColumn(),
        TransferSpeedColumn(),
        console=Console(stderr=True),
        transient=True,
    ) as progress:
        task = progress.add_task(title, total=None, what="", visible=False)

        def advance(keys: int, size: int, share: float) -> None:
            what = f"{keys:,} keys" if keys else ""
            total = size / share if share > 0 else None
            progress.update(task, completed=size, total=total, what=what, visible=True)

        yield advance
