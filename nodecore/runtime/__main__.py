"""The node process: ``python -m nodecore.runtime --config FILE``.

Exit status: 0 stopped in order, 1 failed while running (the log says why), 2 the configuration can't
be used. When the node has become a full member it writes a JSON object with its id, process id and
addresses to the file that ``RINGDECK_READY_FILE`` names; with ``--json`` it prints it too. What
``--validate --json`` prints is ``{"valid", "problems"}``.
"""

from __future__ import annotations

import json
import logging
import os
import random
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import trio

from nodecore.config import NodeConfig
from nodecore.errors import InvalidConfig
from nodecore.ids import NodeId
from nodecore.node import Node
from nodecore.runtime.boot import boot_id
from nodecore.runtime.clock import read_now
from nodecore.runtime.config_file import Arguments, parse_arguments, read_config
from nodecore.runtime.credentials import NodeIdentity, read_secret
from nodecore.runtime.disk_store import ForeignDiskError
from nodecore.runtime.driver import Driver
from nodecore.runtime.logs import set_up_logging
from nodecore.runtime.node_disk import NodeDisk
from nodecore.runtime.persistence import CorruptRecord, RecordStore
from nodecore.storage.disk import DiskError
from nodecore.storage.eviction import make_policy
from nodecore.storage.tiered import make_store
from nodecore.strong.lives import BOOT_RECORD, LOST_RECORD
from nodecore.table import compiled_problem, make_table
from transport.codec import unpack_plain


def main(argv: Sequence[str] | None = None) -> int:
    """Run a node until it is told to stop; returns the exit status."""
    arguments = parse_arguments(sys.argv[1:] if argv is None else argv)
    if not __debug__:
        print("run without -O: assertions are part of the product", file=sys.stderr)
        return 2
    try:
        config = read_config(arguments, os.environ)
        secret = read_secret(config.secret_file)
    except InvalidConfig as invalid:
        _report(invalid.problems, arguments)
        return 2
    if arguments.validate:
        _report([], arguments)
        return 0
    try:
        log = set_up_logging(config.node_id, config.log_level, config.log_file)
    except OSError as error:
        _report([f"log_file {config.log_file}: {error.strerror or error}"], arguments)
        return 2
    try:
        return run_node(config, secret, log, json_=arguments.json)
    except ForeignDiskError as error:
        log.error("%s", error)
        print(f"{config.node_id}: {error}", file=sys.stderr)
        return 2
    except (OSError, CorruptRecord, DiskError) as error:
        log.error("%s", error)
        print(f"{config.node_id}: {error}", file=sys.stderr)
        return 1
    except BaseException:
        log.exception("the node failed")
        raise


def _report(problems: Sequence[str], arguments: Arguments) -> None:
    """Say what is wrong with the configuration, or that nothing is."""
    for problem in problems:
        print(problem, file=sys.stderr)
    if arguments.validate and not problems:
        print(f"{arguments.config_path or 'configuration'}: no mistake", file=sys.stderr)
    if arguments.validate and arguments.json:
        print(json.dumps({"valid": not problems, "problems": list(problems)}))


def run_node(
    config: NodeConfig, secret: bytes | None, log: logging.Logger, *, json_: bool = False
) -> int:
    """Build the node from its rooms and drive it; ``json_``: print where it serves once it is ready.

    Raises:
        OSError: an address can't be bound, or a folder can't be used.
        CorruptRecord: a small record is damaged.
        DiskError: the records can't be opened, or belong to others.
    """
    records = RecordStore(config.data_dir)
    persisted = {name: unpack_plain(payload) for name, payload in records.load().items()}
    persisted[BOOT_RECORD] = boot_id()
    disk = NodeDisk(config.data_dir, config.disk_bytes_max) if config.data_dir else None
    if disk is not None:
        persisted[LOST_RECORD] = disk.set_aside
    try:
        rng = random.Random(int.from_bytes(os.urandom(16), "big"))
        table = make_table(config.table)
        policy = make_policy(config.eviction, config.maxmemory_bytes)
        store = make_store(
            table,
            policy,
            config.maxmemory_bytes,
            random.Random(rng.random()),
            config.data_dir,
            config.disk_bytes_max,
        )
        node = Node(config, store, rng, read_now(), persisted, disk)
        if disk is not None:
            disk.claim(node.cluster_id)
        identity = NodeIdentity(NodeId(config.node_id), node.cluster_id, node.incarnation, secret)
        driver = Driver(node, identity, records, random.Random(rng.random()), log, disk)
        return _drive(driver, log, json_)
    finally:
        if disk is not None:
            disk.close()


def _drive(driver: Driver, log: logging.Logger, json_: bool) -> int:
    node = driver.node
    config = node.config
    driver.listen(config.bind.native, config.bind.resp, config.bind.http)
    driver.on_ready = lambda: _tell_ready(config, json_)
    log.info("started: pid %d, table %s", os.getpid(), _table_in_words(node))
    trio.run(_serve, driver)
    assert driver.stop is not None
    log.info("stopped: %s", driver.stop.reason)
    return driver.stop.exit_code


def _table_in_words(node: Node) -> str:
    if node.table.compiled:
        return "compiled"
    problem = compiled_problem() if node.config.table == "auto" else ""
    return f"reference (no compiled one: {problem})" if problem else "reference"


async def _serve(driver: Driver) -> None:
    async with trio.open_nursery() as nursery:
        await nursery.start(_watch_signals, driver)
        await driver.run()
        nursery.cancel_scope.cancel()


async def _watch_signals(
    driver: Driver, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
) -> None:
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as received:
        task_status.started()
        async for number in received:
            driver.request_stop(f"signal {signal.Signals(number).name}")


def _tell_ready(config: NodeConfig, json_: bool) -> None:
    shown = config.advertise or config.bind
    ready = {
        "id": config.node_id,
        "pid": os.getpid(),
        "resp": shown.resp,
        "http": shown.http,
        "native": shown.native,
    }
    if json_:
        print(json.dumps(ready), flush=True)
    target = os.environ.get("RINGDECK_READY_FILE")
    if not target:
        return
    temporary = Path(f"{target}.tmp")
    temporary.write_text(json.dumps(ready))
    temporary.replace(target)


if __name__ == "__main__":
    sys.exit(main())
