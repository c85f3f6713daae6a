"""Bytes of an HTTP/1 connection -> requests, by llhttp, strictly.

llhttp refuses bare line feeds, folded headers, Content-Length together with Transfer-Encoding and
other smuggling; this module adds what it leaves to its user: sizes and counts (checked while they
grow, the body's from its declared length), one Host header, versions, no upgrades. The first
problem ends the connection. It knows nothing of paths.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, final

import httptools

from nodecore import limits

HTTP_BODY_BYTES_MAX: Final = limits.VALUE_BYTES_MAX + 64 * 1024
"""One value with its JSON around it."""
_SINGLE: Final = frozenset({b"host", b"content-type", b"origin", b"sec-fetch-site"})
"""Headers that decide something here: twice is ambiguous."""


class HttpProblem(Exception):  # noqa: N818 - the name says what it is
    """A request is refused: status, code word for programs, text for people."""

    def __init__(self, status: int, code: str, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.code = code
        self.text = text


@final
class HttpRequest:
    """One complete request."""

    __slots__ = ("body", "headers", "keep_alive", "method", "target")

    def __init__(
        self,
        method: bytes,
        target: bytes,
        headers: dict[bytes, bytes],
        body: bytes,
        keep_alive: bool,
    ) -> None:
        self.method = method
        self.target = target
        self.headers = headers
        """By lower-case name; repeated ones joined by commas."""
        self.body = body
        self.keep_alive = keep_alive


@final
class HttpParser:
    """Incremental parser of one connection."""

    def __init__(self, on_continue: Callable[[], None]) -> None:
        self.problem: HttpProblem | None = None
        """What ended the connection, to be answered after the requests of the last ``parse``."""
        self._on_continue = on_continue
        self._parser = httptools.HttpRequestParser(self)
        self._requests: list[HttpRequest] = []
        self._target = b""
        self._headers: dict[bytes, bytes] = {}
        self._headers_count = 0
        self._head_bytes = 0
        self._body: list[bytes] = []
        self._body_bytes = 0
        self._in_head = True
        self._fed_in_head = 0
        self._begun = False

    @property
    def partial(self) -> bool:
        """Whether a request has begun and not all of it has come."""
        return self._begun and self.problem is None

    def parse(self, data: bytes) -> list[HttpRequest]:
        """Take bytes, return the requests that they complete. After a problem nothing more is read."""
        if self.problem is not None:
            return []
        self._fed_in_head += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self.problem = HttpProblem(501, "upgrade_refused", "protocol upgrades are not offered")
        except httptools.HttpParserInvalidMethodError:
            self.problem = HttpProblem(501, "unknown_method", "unknown method")
        except httptools.HttpParserCallbackError:
            # The callback has set the problem before it raised.
            assert self.problem is not None
        except httptools.HttpParserError as error:
            self.problem = HttpProblem(400, "bad_request", str(error) or "malformed request")
        if (
            self.problem is None
            and self._in_head
            and self._fed_in_head > limits.HTTP_HEAD_BYTES_MAX
        ):
            self.problem = _head_too_large()
        requests, self._requests = self._requests, []
        if self.problem is not None and self.problem.code == "upgrade_refused" and requests:
            # The request that asked for the upgrade is the refused one.
            requests.pop()
        return requests

    # --- called by llhttp ------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        """A request starts."""
        self._begun = True
        self._target = b""
        self._headers = {}
        self._headers_count = self._head_bytes = 0
        self._body = []
        self._body_bytes = 0

    def on_url(self, url: bytes) -> None:
        """A part of the request target."""
        self._target += url
        self._head_bytes += len(url)
        if self._head_bytes > limits.HTTP_HEAD_BYTES_MAX:
            self._refuse_head()

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header, or a trailer after a chunked body (dropped, but counted)."""
        # The busiest callback: both bounds are looked at in one comparison.
        self._headers_count += 1
        self._head_bytes += len(name) + len(value) + 4
        if (
            self._headers_count > limits.HTTP_HEADERS_MAX
            or self._head_bytes > limits.HTTP_HEAD_BYTES_MAX
        ):
            self._refuse_head()
        if not self._in_head:
            return
        name = name.lower()
        if name in self._headers:
            if name in _SINGLE:
                self._refuse(
                    HttpProblem(400, "bad_request", f"repeated header {name.decode('latin-1')}")
                )
            value = self._headers[name] + b", " + value
        self._headers[name] = value

    def on_headers_complete(self) -> None:
        """The head is complete: everything that can be refused without the body is."""
        self._in_head = False
        version = self._parser.get_http_version()
        if version not in ("1.1", "1.0"):
            self._refuse(HttpProblem(505, "version_refused", f"HTTP/{version} is not spoken here"))
        headers = self._headers
        if version == "1.1" and b"host" not in headers:
            self._refuse(HttpProblem(400, "bad_request", "no Host header"))
        declared = headers.get(b"content-length")
        if declared is not None and int(declared) > HTTP_BODY_BYTES_MAX:
            self._refuse(_body_too_large())
        expected = headers.get(b"expect")
        if expected is not None:
            if expected.lower() != b"100-continue":
                self._refuse(HttpProblem(417, "bad_request", "unknown expectation"))
            if version == "1.1":
                self._on_continue()

    def on_body(self, body: bytes) -> None:
        """A part of the body."""
        self._body_bytes += len(body)
        if self._body_bytes > HTTP_BODY_BYTES_MAX:
            self._refuse(_body_too_large())
        self._body.append(body)

    def on_message_complete(self) -> None:
        """The request is complete."""
        body = self._body
        self._requests.append(
            HttpRequest(
                self._parser.get_method(),
                self._target,
                self._headers,
                body[0] if len(body) == 1 else b"".join(body),
                self._parser.should_keep_alive(),
            )
        )
        self._in_head = True
        self._fed_in_head = 0
        self._begun = False

    def _refuse_head(self) -> None:
        if self._headers_count > limits.HTTP_HEADERS_MAX:
            self._refuse(HttpProblem(431, "too_many_headers", "too many headers"))
        self._refuse(_head_too_large())

    def _refuse(self, problem: HttpProblem) -> None:
        self.problem = problem
        raise problem


def _head_too_large() -> HttpProblem:
    text = f"request head exceeds {limits.HTTP_HEAD_BYTES_MAX} bytes"
    return HttpProblem(431, "head_too_large", text)


def _body_too_large() -> HttpProblem:
    return HttpProblem(413, "body_too_large", f"body exceeds {HTTP_BODY_BYTES_MAX} bytes")
