"""Load over HTTP/1.1, as its own process: one GET under way on each of many kept-alive connections.

``python -m tests.bench.http_load PORT PATH CONNECTIONS SECONDS`` prints requests/s and the p50 and
p99 in milliseconds as JSON. A raw client, for the generator must not be what is measured.
"""

from __future__ import annotations

import json
import select
import socket
import sys
import time


def run(port: int, path: str, connections: int, seconds: float) -> dict[str, float]:
    """Ask for ``path`` until the time is over; every answer must be whole and a 200."""
    request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode()
    clock = time.perf_counter
    poll = select.epoll()
    sockets: dict[int, socket.socket] = {}
    for _ in range(connections):
        connection = socket.create_connection(("127.0.0.1", port), 10)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sockets[connection.fileno()] = connection
        poll.register(connection, select.EPOLLIN)
    expected_bytes = _first_answer(next(iter(sockets.values())), request)
    began: dict[int, float] = {}
    waits_s: list[float] = []
    start = clock()
    for fd, connection in sockets.items():
        began[fd] = clock()
        connection.send(request)
    end = start + seconds
    while (at := clock()) < end:
        for fd, _events in poll.poll(1.0):
            connection = sockets[fd]
            answer = connection.recv(65536)
            assert len(answer) == expected_bytes, answer[:200]
            assert answer.startswith(b"HTTP/1.1 200 "), answer[:200]
            at = clock()
            waits_s.append(at - began[fd])
            began[fd] = at
            connection.send(request)
    elapsed_s = at - start
    waits_s.sort()
    count = len(waits_s)
    return {
        "requests": count,
        "hits_per_s": count / elapsed_s,
        "p50_ms": waits_s[count // 2] * 1e3,
        "p99_ms": waits_s[int(count * 0.99)] * 1e3,
    }


def _first_answer(connection: socket.socket, request: bytes) -> int:
    """Bytes of one whole answer: all that follow are of the same key."""
    connection.sendall(request)
    answer = b""
    while b"\r\n\r\n" not in answer:
        answer += connection.recv(65536)
    head, _, body = answer.partition(b"\r\n\r\n")
    length = next(
        int(line.split(b":")[1])
        for line in head.lower().split(b"\r\n")
        if line.startswith(b"content-length:")
    )
    while len(body) < length:
        body += connection.recv(65536)
    return len(head) + 4 + length


if __name__ == "__main__":
    print(json.dumps(run(int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), float(sys.argv[4]))))
