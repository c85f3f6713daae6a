"""Stand-ins for node processes: small programs that become ready, fail or hang on demand."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from console.runtime.spawner import DetachedSpawner

READY = """
import json, os, signal, sys, time, tomllib
config = tomllib.load(open(sys.argv[1], "rb"))
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
body = {"id": config["node_id"], "pid": os.getpid(), **config["bind"]}
path = os.environ["RINGDECK_READY_FILE"]
open(path + ".tmp", "w").write(json.dumps(body))
os.replace(path + ".tmp", path)
print("up", flush=True)
time.sleep(60)
"""
BUSY = "import sys; print('OSError: Address already in use'); sys.exit(1)"
HANG = "import time; print('thinking', flush=True); time.sleep(60)"


class FakeNodeSpawner(DetachedSpawner):
    """Begins a small program in place of the node."""

    def __init__(self, programs: Sequence[str] = (READY,)) -> None:
        super().__init__()
        self.programs = list(programs)
        self.started: list[str] = []

    async def spawn(
        self, arguments: Sequence[str], environment: Mapping[str, str], output_path: Path
    ) -> int:
        program = self.programs.pop(0) if len(self.programs) > 1 else self.programs[0]
        self.started.append(arguments[-1])
        fake = [sys.executable, "-S", "-c", program, arguments[-1]]
        return await super().spawn(fake, environment, output_path)
