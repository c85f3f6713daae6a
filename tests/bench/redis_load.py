"""The same load as ``native_load``, MGET and MSET of whole batches, against one redis-server.

As its own process too: eight connections with one batch under way on each, and hiredis for the
parsing, which is what Redis's own Python client uses.
"""

from __future__ import annotations

import json
import selectors
import socket
import sys
from collections.abc import Sequence

import hiredis

from tests.bench.native_load import BATCHES, FLIGHTS, Costs, all_keys, passes_of
from tests.bench.servers import Server


def fly(port: int, commands: Sequence[bytes], replies: int) -> None:
    """Send every command once, at most FLIGHTS of them under way."""
    poll = selectors.DefaultSelector()
    waiting = iter(commands)
    answered = 0
    for _ in range(FLIGHTS):
        connection = socket.create_connection(("127.0.0.1", port), 10)
        command = next(waiting, None)
        if command is None:
            connection.close()
            break
        connection.sendall(command)
        poll.register(connection, selectors.EVENT_READ, hiredis.Reader())
    while answered < len(commands):
        for key, _events in poll.select():
            flying, reader = key.fileobj, key.data
            assert isinstance(flying, socket.socket)
            reader.feed(flying.recv(1 << 20))
            answer = reader.gets()
            if answer is False:
                continue
            assert answer == b"OK" or len(answer) == replies, answer
            answered += 1
            command = next(waiting, None)
            if command is not None:
                flying.sendall(command)
    for closed in list(poll.get_map().values()):
        assert isinstance(closed.fileobj, socket.socket)
        closed.fileobj.close()
    poll.close()


def packed(*words: bytes) -> bytes:
    """One command as it goes over the wire."""
    parts = [b"$%d\r\n%b\r\n" % (len(word), word) for word in words]
    return b"*%d\r\n%b" % (len(words), b"".join(parts))


def run(port: int, pid: int, rounds: int, scale: float) -> dict[str, float]:
    """Medians of keys/s, and of CPU microseconds a key, by name and size of the batch."""
    keys, value = all_keys(), b"x" * 100
    costs = Costs([Server("redis-server", pid, port)])
    for _ in range(rounds):
        for size in BATCHES:
            batches = [keys[start : start + size] for start in range(0, len(keys), size)]
            pairs = [[word for key in batch for word in (key, value)] for batch in batches]
            for name, parts in (("mset", pairs), ("mget", batches)):
                began = costs.begin()
                for _ in range(passes_of(scale)):
                    fly(port, [packed(name.encode(), *part) for part in parts], size)
                costs.end(began, f"{name} of {size}", len(keys) * passes_of(scale))
    return costs.medians()


if __name__ == "__main__":
    print(json.dumps(run(int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4]))))
