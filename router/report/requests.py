"""What sessions have to tell: it is counted, and said once in a line that explains it."""

import logging
from time import monotonic
from typing import TYPE_CHECKING

from uwsgi_router.router.config.model import RouterConfig
from uwsgi_router.router.core.failure import Failure
from uwsgi_router.router.core.log import RateLimited
from uwsgi_router.router.core.text import show
from uwsgi_router.router.fronts.http.front import HttpRequest
from uwsgi_router.router.report.access_entry import Entry
from uwsgi_router.router.report.access_log import AccessLog
from uwsgi_router.router.report.counters import Counters
from uwsgi_router.subscriptions.node import Node

if TYPE_CHECKING:
    from uwsgi_router.router.fronts.http.reader import HttpReader
    from uwsgi_router.router.proxy.exchange import Session

# Failures that any client can cause at will, besides all with a 4xx status.
_CLIENT_REASONS = frozenset({"bad-item", "cache", "unknown-coding", "version", "rtsp", "bad-frame"})


class Telling:
    """The voice of one router.

    Attributes:
        config: of the router.
        name: uWSGI's short name, the prefix of its options and its key in the stats document.
        counters: its numbers.
        access_log: where requests get a line each, or None.
    """

    def __init__(self, config: RouterConfig, access_log: AccessLog | None) -> None:
        self.config = config
        self.name = config.kind
        self.counters = Counters()
        self.access_log = access_log
        self._log = logging.getLogger(f"uwsgi-router.{config.kind}")
        self._limited = RateLimited(self._log)

    def refused(self, peer: str, reason: str) -> None:
        """Note bytes that are no request."""
        self.counters.refused_packets += 1
        self._limited.warning("packet", "refused a packet from %s: %s", peer or "unix", reason)

    def failed(self, session: "Session", failure: Failure) -> None:
        """Count a failed request, and explain it in one line."""
        self.counters.failed[failure.reason] += 1
        request, attempts = session.request, session.attempts
        line = "request %s failed: %d %s: %s; phase=%s key=%s node=%s tries=%d connect=%.3fs total=%.3fs client=%s%s"
        arguments = (
            session.id,
            failure.status.value,
            failure.reason,
            failure.text,
            session.phase,
            show(request.key) if request is not None else "",
            attempts.node if attempts is not None else "",
            attempts.tries if attempts is not None else 0,
            session.connect_time,
            monotonic() - session.started,
            (show(request.client) if request is not None else session.peer[0]) or "unix",
            f" option={failure.option}" if failure.option else "",
        )
        if failure.status < 500 or failure.reason in _CLIENT_REASONS:
            # Clients can make as many of these as they like.
            self._limited.warning(failure.reason, line, *arguments)
        else:
            self._log.warning(line, *arguments)

    def said_too_much(self, node: Node, size: int) -> None:
        """Log that a node sent more than its answer announced: a bug there, or two answers to one request."""
        self._limited.warning(
            ("too-much", node.name),
            "%s sent %d bytes more than its answer announced: they are dropped, the connection is closed",
            node.name,
            size,
        )

    def log_access(
        self,
        session: "HttpReader",
        request: HttpRequest | None,
        bytes_in: int,
        bytes_out: int,
        reason: str,
    ) -> None:
        """Write a request's line of the access log; not called when there is none."""
        assert self.access_log is not None
        attempts, head = session.attempts, request.head if request is not None else None
        self.access_log.write(
            Entry(
                id=session.id,
                client=request.client if request is not None else session.peer[0].encode(),
                method=head.method if head is not None else b"",
                target=head.target if head is not None else b"",
                protocol=head.protocol if head is not None else b"",
                key=request.key if request is not None else b"",
                status=session.status,
                bytes_in=bytes_in,
                bytes_out=bytes_out,
                node=attempts.node if attempts is not None else "",
                tries=attempts.tries if attempts is not None else 0,
                connect=session.connect_time if session.head_size else None,
                first_byte=session.first_byte - session.started if session.first_byte else None,
                total=monotonic() - session.started,
                reason=reason,
            )
        )

    def unable_to_connect(self, node: Node, retries: int, text: str) -> None:
        """Log a failed connect, as uWSGI does, unless told to be quiet."""
        if not self.config.quiet:
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
