"""An HTTP session: requests in, replies out, one after another.

It decides the order (a request starts when the one before is answered), who may speak (Host and
Origin, against pages that a browser on this machine has open), and keep-alive. Paths, bodies and
replies are in the route table. Reads of one key by plain requests take a short way with the same
result.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection
from typing import Final, final

from nodecore import limits
from nodecore.doors.http_cache_routes import render_get, render_hit
from nodecore.doors.http_context import Call, HttpContext
from nodecore.doors.http_parser import HttpParser, HttpProblem, HttpRequest
from nodecore.doors.http_replies import (
    OCTETS,
    HttpAsk,
    Reply,
    VerbCall,
    error_reply,
    head,
    problem_reply,
)
from nodecore.doors.routes import (
    CACHE_PREFIX,
    MethodNotAllowed,
    decode_key,
    find,
    level_of,
    parse_body,
    parse_query,
)
from nodecore.doors.session import TOO_SLOW, Backend
from nodecore.errors import Code
from nodecore.ids import Now
from nodecore.requests import Failed, Level, Outcome, Read, value_bytes
from nodecore.table.interface import SLOT_READ

_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
_LOOPBACK: Final = frozenset({b"127.0.0.1", b"localhost", b"[::1]"})
_SAME_SITE: Final = frozenset({b"same-origin", b"same-site", b"none"})
_HOSTS_KEPT: Final = 64
_TOO_MUCH: Final = Failed(
    Code.ANSWER_TOO_LARGE, f"the values of one batch exceed {limits.READ_BYTES_MAX} bytes"
)


@final
class HttpSession:
    """One HTTP connection, see :class:`nodecore.doors.session.Session`."""

    gate_bits = SLOT_READ
    nil = b""

    def __init__(
        self,
        backend: Backend,
        wake: Callable[[], None],
        metrics: Callable[[], bytes],
        host_names: Collection[str] = (),
    ) -> None:
        """See the class.

        Args:
            backend: the node.
            wake: called when output appears outside of ``receive``.
            metrics: the Prometheus text of this node.
            host_names: names, with or without a port, that requests may be addressed to beside the
                loopback ones.
        """
        self.context = HttpContext(backend, metrics)
        """What handlers and renders see."""
        self._backend = backend
        self._wake = wake
        self._parser = HttpParser(self._on_continue)
        self._output: list[bytes] = []
        self._output_bytes = 0
        self._requests: deque[HttpRequest] = deque()
        self._run: _Run | None = None
        self._active = False
        self._ending = False
        self._names = _LOOPBACK | {_name(text.encode()) for text in host_names}
        self._hosts: set[bytes] = set()
        """Host headers that were found in order; bounded."""
        self.gate_open = False
        self.closing = False
        self.outstanding = 0
        self.partial = False
        self.held = False
        self.stalled = False

    def receive(self, data: bytes, now: Now) -> None:
        """Take bytes and answer what they complete."""
        if self._ending or not data:
            return
        self._requests.extend(self._parser.parse(data))
        self.partial = self._parser.partial
        self._work(now)

    def take_output(self) -> bytes:
        """Replies that are ready."""
        output = self._output
        if not output:
            return b""
        self._output = []
        self._output_bytes = 0
        return output[0] if len(output) == 1 else b"".join(output)

    def resume(self, now: Now) -> None:
        """Answer what waited for its output to be taken."""
        if self.stalled:
            self._work(now)

    def time_out(self, now: Now) -> None:
        """The request that was begun has not come to its end in time."""
        if self._parser.problem is None:
            self._parser.problem = HttpProblem(408, "request_timeout", TOO_SLOW)
            self._work(now)

    def end(self, now: Now) -> None:
        """The connection is gone."""
        if self._run is not None:
            self._run.forget()
            self._run = None
        self._requests.clear()
        self._ending = self.closing = True
        self.outstanding = 0

    def _on_continue(self) -> None:
        # Only when nothing earlier waits for its reply: the interim answer must not overtake it.
        if self._run is None and not self._requests and not self._active:
            self._output.append(_CONTINUE)

    def _work(self, now: Now) -> None:
        if self._active:
            return
        self._active = True
        self.stalled = False
        while self._requests and self._run is None and not self._ending:
            if self.held or self._output_bytes >= limits.UNSENT_BYTES_MAX:
                self.stalled = True
                break
            request = self._requests.popleft()
            try:
                answer = self._answer(request, now)
            except HttpProblem as problem:
                answer = _refusal(problem)
            if isinstance(answer, Reply):
                self._send(request, answer)
            else:
                self._run = run = _Run(self, request, answer)
                run.advance(now)
        self._active = False
        if self._ending:
            self._requests.clear()
        fatal = self._parser.problem
        waiting = self._run is not None or self._requests
        if fatal is not None and not waiting and not self._ending:
            self._output.append(head(problem_reply(fatal), False))
            self._ending = self.closing = True
        self.outstanding = len(self._requests) + (self._run is not None)

    def on_run(self, run: _Run, reply: Reply, now: Now) -> None:
        """A request in flight is answered."""
        self._run = None
        self._send(run.request, reply)
        if not self._active:
            self._work(now)
            self._wake()

    def _send(self, request: HttpRequest, reply: Reply) -> None:
        keep_alive = request.keep_alive
        output = head(reply, keep_alive, request.method != b"HEAD")
        self._output.append(output)
        self._output_bytes += len(output)
        if not keep_alive:
            self._ending = self.closing = True

    def _answer(self, request: HttpRequest, now: Now) -> Reply | HttpAsk:
        headers = request.headers
        host = headers.get(b"host", b"")
        if host not in self._hosts:
            self._check_host(host)
        if b"origin" in headers or b"sec-fetch-site" in headers:
            self._check_origin(headers)
        target = request.target
        if request.method == b"GET" and b"?" not in target and target.startswith(CACHE_PREFIX):
            # The hit path: what the route table would do for it, without the table; the gate first.
            key = decode_key(target[7:])
            self._backend.count_request("http_get")
            raw = OCTETS in headers.get(b"accept", b"")
            hit = render_hit(self._backend.table, key, raw, now)
            return hit or HttpAsk((Read((key,), Level.DEFAULT),), render_get, (key, raw))
        return self._route(request, now)

    def _route(self, request: HttpRequest, now: Now) -> Reply | HttpAsk:
        target = request.target
        if not target.startswith(b"/"):
            raise HttpProblem(400, "bad_request", "the request target must be a path")
        path, _, query_text = target.partition(b"#")[0].partition(b"?")
        route, key = find(request.method, path)
        query = parse_query(query_text)
        call = Call(request, key, query, level_of(query), parse_body(route, request))
        self._backend.count_request(f"http_{route.method.decode().lower()}")
        return route.handler(self.context, call, now)

    def _check_host(self, host: bytes) -> None:
        if host and _name(host) not in self._names:
            raise HttpProblem(421, "wrong_host", "this host name is not served here")
        if len(self._hosts) < _HOSTS_KEPT:
            self._hosts.add(host)

    def _check_origin(self, headers: dict[bytes, bytes]) -> None:
        site = headers.get(b"sec-fetch-site", b"none").lower()
        origin = headers.get(b"origin")
        foreign = site not in _SAME_SITE
        if origin is not None:
            scheme, separator, authority = origin.partition(b"://")
            foreign = foreign or not separator or scheme not in (b"http", b"https")
            foreign = foreign or authority.lower() != headers.get(b"host", b"").lower()
        if foreign:
            raise HttpProblem(403, "foreign_origin", "requests of other web pages are refused")


@final
class _Run:
    """One HTTP request whose node requests run one after another."""

    __slots__ = ("_ask", "_held_bytes", "_outcomes", "_running", "_session", "request")

    def __init__(self, session: HttpSession, request: HttpRequest, ask: HttpAsk) -> None:
        self._session: HttpSession | None = session
        self.request = request
        self._ask = ask
        self._outcomes: list[Outcome] = []
        self._held_bytes = 0
        self._running = False

    def advance(self, now: Now) -> None:
        """Submit what is left until a request has to wait."""
        session, ask, outcomes = self._session, self._ask, self._outcomes
        if session is None:
            return
        self._running = True
        backend = session.context.backend
        submit = backend.submit
        count = len(ask.requests)
        while len(outcomes) < count:
            request = ask.requests[len(outcomes)]
            outcome: Outcome | None
            if self._held_bytes > limits.READ_BYTES_MAX and type(request) is Read:
                outcome = _TOO_MUCH
            elif type(request) is VerbCall:
                outcome = backend.admin(request.verb, request.arguments, self._on_outcome, now)
            else:
                outcome = submit(request, self._on_outcome, now)
            if outcome is None:
                self._running = False
                return
            self._take(outcome)
        try:
            reply = ask.render(session.context, outcomes, ask.extra, now)
        except (AssertionError, AttributeError, TypeError, ValueError):
            # The node answered in a form that its request does not have: its bug, told as unknown.
            reply = error_reply(500, "internal", "the node answered in an unexpected form")
        session.on_run(self, reply, now)

    def _take(self, outcome: Outcome) -> None:
        self._held_bytes += value_bytes(outcome)
        self._outcomes.append(outcome)

    def _on_outcome(self, outcome: Outcome, now: Now) -> None:
        self._take(outcome)
        if not self._running:
            self.advance(now)

    def forget(self) -> None:
        """The connection is gone."""
        self._session = None


def _name(authority: bytes) -> bytes:
    """The host name of an authority, without its port, in lower case."""
    if authority.startswith(b"["):
        return authority.partition(b"]")[0].lower() + b"]"
    return authority.partition(b":")[0].lower()


def _refusal(problem: HttpProblem) -> Reply:
    headers = b"Allow: %b\r\n" % problem.allowed if isinstance(problem, MethodNotAllowed) else b""
    return error_reply(problem.status, problem.code, problem.text, headers)
