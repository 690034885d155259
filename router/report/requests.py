"""Reporter of requests: counters, error log and access log of one router."""

import logging
from time import monotonic
from typing import Final

from uwsgi_router.protocol.address import UnixAddress
from uwsgi_router.protocol.text import show
from uwsgi_router.router.core.failure import Failure
from uwsgi_router.router.core.log import RateLimited
from uwsgi_router.router.core.tls import TlsFacts
from uwsgi_router.router.report.access_log import AccessLog
from uwsgi_router.router.report.counters import Counters
from uwsgi_router.subscriptions.node import Node, SubscribedNode

# A node that speaks another protocol does so for every request.
_SELDOM: Final = 1 / 60
_LINE: Final = "request %s failed: %d %s: %s; phase=%s key=%s node=%s tries=%d connect=%.3fs total=%.3fs client=%s%s"


class Outcome:
    """Outcome of a request that has ended.

    Attributes:
        id: what the log and an answer of ours call it.
        phase: that it ended in.
        key: its routing key, b"" if it had none.
        node: the name of the node that was tried last, "" if none was.
        tries: nodes that were tried.
        connect: seconds that the last connect took; None: there was none.
        started: when it began, on the monotonic clock.
        client: text of the client's address, as the request tells it.
        peer: the client's address, "" on a UNIX socket.
    """

    __slots__ = (
        "client",
        "connect",
        "id",
        "key",
        "node",
        "peer",
        "phase",
        "started",
        "tries",
    )

    def __init__(
        self,
        id: str,  # noqa: A002
        phase: str,
        *,
        started: float,
        peer: str,
        key: bytes = b"",
        node: str = "",
        tries: int = 0,
        connect: float | None = None,
        client: bytes = b"",
    ) -> None:
        self.id = id
        self.phase = phase
        self.key = key
        self.node = node
        self.tries = tries
        self.connect = connect
        self.started = started
        self.client = client
        self.peer = peer


class Reporter:
    """Reporter of one router: counts requests, and logs each failure once, in a line that explains it.

    Args:
        name: see below.
        access_log: see below.
        quiet: failed connects are not logged.

    Attributes:
        name: uWSGI's short name of the router, the prefix of its options and its key in the stats document.
        counters: its numbers.
        access_log: where requests get a line each, or None.
    """

    __slots__ = ("_limited", "_log", "_quiet", "_seldom", "access_log", "counters", "name")

    def __init__(self, name: str, access_log: AccessLog | None, *, quiet: bool) -> None:
        self.name = name
        self.counters = Counters()
        self.access_log = access_log
        self._quiet = quiet
        self._log = logging.getLogger(f"uwsgi-router.{name}")
        self._limited = RateLimited(self._log)
        self._seldom = RateLimited(self._log, per_second=_SELDOM)

    def refused(self, peer: str, reason: str) -> None:
        """Count bytes that are no request, and log them."""
        self.counters.refused_packets += 1
        self._limited.warning("packet", "refused a packet from %s: %s", peer or "unix", reason)

    def connection_refused(self, peer: str, failure: Failure) -> None:
        """Count a connection that is one too many, and log it."""
        self.counters.refused_connections[failure.option] += 1
        self._limited.warning(
            failure.reason,
            "refused a connection from %s: %s%s",
            peer or "unix",
            failure.text,
            self._option(failure),
        )

    def handshake_done(self, facts: TlsFacts) -> None:
        """Count a TLS handshake."""
        self.counters.handshakes[facts.version] += 1
        if facts.resumed:
            self.counters.handshakes_resumed += 1

    def handshake_failed(self, peer: str, reason: str, text: str, name: str | None) -> None:
        """Count a TLS handshake that failed, and log it, unless the client has only gone."""
        self.counters.handshakes_failed[reason] += 1
        if reason == "closed":
            return
        self._limited.warning(
            ("tls", reason),
            "TLS handshake of %s failed: %s: %s%s",
            peer or "unix",
            reason,
            text,
            f"; name={name}" if name else "",
        )

    def failed(self, outcome: Outcome, failure: Failure) -> None:
        """Count a failed request, and explain it in one line."""
        self.counters.failed[failure.reason] += 1
        arguments = (
            outcome.id,
            failure.status.value,
            failure.reason,
            failure.text,
            outcome.phase,
            show(outcome.key),
            outcome.node,
            outcome.tries,
            outcome.connect or 0.0,
            monotonic() - outcome.started,
            show(outcome.client) or outcome.peer or "unix",
            self._option(failure),
        )
        if failure.cause.at_will:
            # Clients can make as many of these as they like.
            self._limited.warning(failure.reason, _LINE, *arguments)
        else:
            self._log.warning(_LINE, *arguments)

    def _option(self, failure: Failure) -> str:
        if not failure.option:
            return ""
        # An option is a number of either kind, or a text.
        value: object = failure.value
        if value is None:
            return f" option={self.name}-{failure.option}"
        shown = f"{value:g}" if isinstance(value, float) else str(value)
        return f" option={self.name}-{failure.option}={shown}"

    def surplus(self, node: Node, size: int) -> None:
        """Log that a node sent more than its answer announced: a bug there, or two answers to one request."""
        self._limited.warning(
            ("too-much", node.name),
            "%s sent %d bytes more than its answer announced: they are dropped, the connection is closed",
            node.name,
            size,
        )

    def speaks_otherwise(self, node: Node, what: str) -> None:
        """Log that a node may speak another protocol than the one that it is asked in, and what to set then.

        Args:
            node: it.
            what: it does with requests.
        """
        asked, other = ("HTTP", "uwsgi") if node.is_http else ("uwsgi", "HTTP")
        proto = other.lower()
        if isinstance(node, SubscribedNode):
            remedy = f"let it announce proto={proto}"
        elif isinstance(node.address, UnixAddress):
            remedy = f"set {self.name}-to = {proto}+unix:{node.name}"
        else:
            remedy = f"set {self.name}-to = {proto}://{node.name}"
        self._seldom.warning(
            (node.name, what),
            "%s is asked in %s, and %s: if it speaks %s, %s",
            node.name,
            asked,
            what,
            other,
            remedy,
        )

    def unable_to_connect(self, node: Node, retries: int, text: str) -> None:
        """Log a failed connect, as uWSGI does, unless told to be quiet."""
        if not self._quiet:
            self._limited.warning(
                ("connect", node.name),
                "unable to connect to %s (%d retries): %s",
                node.name,
                retries,
                text,
            )

    def shortage(self, node: Node, text: str) -> None:
        """Log that this machine has run out of something."""
        self._limited.error(
            "shortage",
            "cannot connect to %s for a reason of ours: %s",
            node.name,
            text,
        )
