"""One client connection: the story of a request, from its first byte to the last of its answer.

What depends on the client's protocol is in subclasses (`uwsgi_session.py`, `http_session.py`).
"""

import asyncio
import logging
import socket
from abc import abstractmethod
from http import HTTPStatus
from time import monotonic
from typing import TYPE_CHECKING

from uwsgi_router.protocol.http.body import Encoder
from uwsgi_router.protocol.http.errors import BodyError
from uwsgi_router.protocol.http.response import ResponseHead
from uwsgi_router.router.backs.back import Back
from uwsgi_router.router.core.failure import ClientGone, Failure
from uwsgi_router.router.core.request import REPEATABLE_IF_KEPT, Request
from uwsgi_router.router.net.acceptor import Peer
from uwsgi_router.router.net.fiber import Waiting
from uwsgi_router.router.net.link import Link
from uwsgi_router.router.proxy.answers.message import exchange_messages
from uwsgi_router.router.proxy.answers.raw import exchange_bytes
from uwsgi_router.router.proxy.choosing import choose
from uwsgi_router.router.proxy.delivery import deliver, needs_delivery, report
from uwsgi_router.router.proxy.lease import dial
from uwsgi_router.router.proxy.pump import MAX_EARLY, MIN_EARLY, Feeder
from uwsgi_router.router.proxy.route import Attempts
from uwsgi_router.router.proxy.spool import Spool
from uwsgi_router.subscriptions.node import Node

if TYPE_CHECKING:
    from uwsgi_router.router.app.gateway import Gateway

log = logging.getLogger("uwsgi-router.request")

# uWSGI's workers refuse larger packets unless told otherwise: its users' most common complaint.
DEFAULT_WORKER_BUFFER = 4096
# Failures of a request that are its node's fault. Not "stalled": a WebSocket over which nothing moves stalls too.
_NODE_FAULTS = frozenset({"no-answer-in-time", "bad-answer", "cut-short", "reset"})


class Session(Waiting):
    """One client connection and what is done for it.

    Attributes:
        peer: the client's (host, port); ("", 0) on a UNIX socket.
        request: the one that is being served.
        attempts: its attempts.
        started: when it began, on the monotonic clock: uvloop's own has only milliseconds.
        dialled: when its last connect began, on the same clock; ``connect_time``: how many seconds it took.
        connects_until: when all its connects together have taken too long; 0: none was begun.
        busy_until: how long busy nodes are waited for; 0: not yet; likewise ``hold_until`` and ``queued_until``.
        answered: the head of an answer, or part of it, has gone out.
        upstream: the connection to the node.
        reused: it had been kept.
        place: the HTTP node whose connections count the one to it.
        held: the node that is asked now, for as long as it is.
        granted: the HTTP node that has a connection for this request, which waited in line.
        spool: the body, if it was collected.
        head_size: bytes of the head that the node was sent.
        tunnelling: after 101.
        said_goodbye: both ends of the tunnel were told why it ends.
    """

    __slots__ = (
        "_number",
        "_owner",
        "answered",
        "attempts",
        "busy_until",
        "connect_time",
        "connects_until",
        "dialled",
        "gateway",
        "granted",
        "head_size",
        "held",
        "hold_until",
        "peer",
        "place",
        "queued_until",
        "request",
        "reused",
        "said_goodbye",
        "spool",
        "started",
        "tunnelling",
        "upstream",
    )

    def __init__(
        self, gateway: "Gateway", sock: socket.SocketType, peer: Peer, number: int, timeout: float
    ) -> None:
        super().__init__(gateway.loop, gateway.poller, sock, timeout, gateway.counters.clients)
        self.gateway = gateway
        self._number = number
        self.peer = peer
        self.upstream: Link | None = None
        self.place: Node | None = None
        self.granted: Node | None = None
        self.held: Node | None = None
        self.spool: Spool | None = None
        self.started = monotonic()
        self.begin()

    def begin(self) -> None:
        """Forget the last request: another may follow."""
        self.request: Request | None = None
        self.attempts: Attempts | None = None
        self.dialled = self.connect_time = 0.0
        self.connects_until = self.busy_until = self.hold_until = self.queued_until = 0.0
        self.answered = False
        self.reused = False
        self.tunnelling = self.said_goodbye = False
        self.head_size = 0

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.id} {self.phase} {self.request!r}>"

    @property
    def id(self) -> str:
        """What the log and an answer of ours call this request."""
        return f"{self.gateway.ids}-{self._number:x}"

    # --- what the client's protocol decides ---

    @abstractmethod
    async def talk(self) -> None:
        """Serve the connection's requests."""

    @property
    @abstractmethod
    def uploaded(self) -> bool:
        """True if the client has sent the whole request."""

    @property
    @abstractmethod
    def missing(self) -> str:
        """What the client still owes of the body, for the log."""

    def has_upload(self, request: Request, back: Back) -> bool:  # noqa: ARG002
        """True if the node is to get more than the head."""
        return request.has_body or self.spool is not None

    @abstractmethod
    def upload_feeder(self, request: Request, back: Back) -> Feeder | None:
        """Return what re-frames the body for the node; None: bytes pass as they come."""

    @abstractmethod
    def begin_answer(self, head: ResponseHead, length: int | None) -> tuple[bytes, Encoder | None]:
        """Return the head for the client, and how the body is encoded.

        Args:
            head: the node's.
            length: bytes of the body; None if only its end tells.

        Returns:
            The bytes, and the encoder; None if the body passes as it is.
        """

    @abstractmethod
    def buffered_of(self, head: ResponseHead) -> int:
        """Return how many bytes of an answer are taken from the node although the client reads slowly."""

    @abstractmethod
    def send_interim(self, head: ResponseHead) -> None:
        """Pass a 1xx on, if the client is to see it."""

    @abstractmethod
    def send_continue(self) -> None:
        """Tell the client to send the body, if it waits to be told."""

    @abstractmethod
    def tunnel_feeders(
        self, request: Request, head: ResponseHead
    ) -> tuple[Feeder | None, Feeder | None]:
        """Return what looks at the bytes of a tunnel, to the node and to the client; None: nobody does.

        Raises:
            ResponseError: the node's 101 is no answer to the request.
        """

    @property
    @abstractmethod
    def tunnel_timeout(self) -> float:
        """Seconds of silence that end a tunnel."""

    def end_tunnel(self, fault: BodyError | None, *, by_client: bool = False) -> None:
        """Say goodbye to both ends of a tunnel, if its protocol has a word for it; sets ``said_goodbye``.

        Args:
            fault: which rule was broken; None: nothing moved for too long, or the router stops.
            by_client: by the client, not by the node.
        """

    @abstractmethod
    def error_answer(self, failure: Failure) -> bytes:
        """Return the answer that explains a failure; b"": none."""

    # --- the story ---

    def ended(self, error: BaseException | None) -> None:
        """The session is over: count it if that was before its request had an answer, and let everything go."""
        if error is not None:
            self._count_end(error)
        self.drop_upstream()
        self.client.close()
        self.upload = None  # it holds this session, and nobody needs it any more
        self.gateway.session_ended(self)

    def _count_end(self, error: BaseException) -> None:
        if isinstance(error, OSError):
            # Only the client's own socket raises here; it is gone.
            log.debug("%s: %s", self.id, error)
            self._count_lost("client")
        elif isinstance(error, asyncio.CancelledError):
            # The router stops at once: clients are cut off, which is what was asked for.
            self._count_lost("stopped")
        elif not isinstance(error, ClientGone):
            log.error("%s: a bug: this request was lost", self.id, exc_info=error)
            self._count_lost("bug")

    def _count_lost(self, reason: str) -> None:
        if self.request is None:
            return
        counters = self.gateway.counters
        if reason == "client":
            counters.client_aborts += 1
        else:
            counters.failed[reason] += 1

    async def answer(self, request: Request) -> str:  # noqa: C901
        """Serve a request, and count what became of it.

        Returns:
            The reason of its failure; "" if it was answered.

        Raises:
            ClientGone: the client left.
        """
        gateway = self.gateway
        self.request = request
        gateway.counters.requests += 1
        attempts = self.attempts = Attempts(request, gateway.plan)
        again = False
        failure: Failure | None = None
        try:
            if self.begin_upload(request):
                await self._collect(request)
            while not self.answered:
                # Most of what may have to be waited for need not be: then it costs no coroutine.
                if not again:
                    found = choose(self, request, attempts)
                    node = found if isinstance(found, Node) else await found
                back = gateway.back_of(node)
                if request.chunked and back.needs_length(request) and self.spool is None:
                    # The choice stands: another would spend the turn of another node.
                    await self._collect(request)
                    if not node.takes_requests:
                        # It left, or was drained, while the body came.
                        attempts.put_back()
                        continue
                self._hold(node)
                link = dial(self, request, node, back, attempts, fresh=again)
                again = False
                if link is not None and not isinstance(link, Link):
                    link = await link
                if link is not None:
                    exchange = exchange_bytes if back.is_opaque(request) else exchange_messages
                    download = await exchange(self, request, node, back, link)
                    if not self.answered:
                        again = self._unanswered(request, node, attempts, download.error)
            if needs_delivery(self, download):
                await deliver(self, download)
            attempts.owner.request_answered(node)
        except ClientGone:
            gateway.counters.client_aborts += 1
            raise
        except Failure as exc:
            failure = exc
            if exc.reason in _NODE_FAULTS:
                attempts.owner.request_failed(node, self.loop.time())
        finally:
            if failure is not None or not self.answered or self.spool is not None:
                self.drop_upstream()
                self.drop_spool()
        # Not where it was caught: a compiled coroutine that waits there lends what it caught to all others.
        if failure is not None:
            await report(self, failure)
            return failure.reason
        gateway.counters.completed += 1
        return ""

    async def _collect(self, request: Request) -> None:
        """Read the body whole, if anybody is there to whom it can go."""
        self.gateway.refuse_unknown(request)
        await self.collect(request)

    def drop_spool(self) -> None:
        """Forget the body, if it was collected."""
        if self.spool is not None:
            self.spool.close()
            self.spool = None

    @abstractmethod
    def begin_upload(self, request: Request) -> bool:
        """Let the body flow; True if it is to be collected before a node is chosen."""

    @abstractmethod
    async def collect(self, request: Request) -> None:
        """Read the body whole, so that its length is known; sets ``spool``."""

    def check_client(self) -> None:
        """While no node has the request: a client that ends inside its body, or entirely if so configured, is gone.

        Raises:
            ClientGone: if so.
        """
        upload = self.upload
        if upload is None or not upload.ended:
            return
        if self.gateway.config.abort_on_eof or not self.uploaded:
            raise ClientGone

    def kept_of_body(self, request: Request) -> int:
        """Return how many bytes of the body may lie in memory while the request waits."""
        if request.content_length <= self.gateway.config.post_buffering:
            return request.content_length + MIN_EARLY
        return early_limit(request)

    def _unanswered(
        self, request: Request, node: Node, attempts: Attempts, error: OSError | None
    ) -> bool:
        """The node's connection ended without a byte: prepare to send the request again, once, if that is safe.

        Returns:
            True if the same node is to be tried again, on a new connection: the kept one had been closed meanwhile.

        Raises:
            Failure: if it is not.
        """
        how = (error.strerror or str(error)) if error is not None else "closed"
        text = f"ended the connection without an answer ({how})"
        packet = not self.gateway.back_of(node).keeps_connections
        if packet and self.head_size > DEFAULT_WORKER_BUFFER:
            # Any client could make a node look ill like that.
            text += f"; the packet has {self.head_size} bytes, is the node's buffer-size larger than that?"
        elif not self.reused:
            # That a kept connection was closed is no fault.
            attempts.owner.request_failed(node, self.loop.time())
        again = not request.has_body and self.sent_only_its_head and not attempts.resent
        if again and self.reused and request.method in REPEATABLE_IF_KEPT:
            attempts.same_again(node)
            self.gateway.counters.resent += 1
            return True
        if again and request.repeatable:
            attempts.resent = True
            attempts.failed(node, text, reason="no-answer")
            # Nor is the time that this node took the next one's.
            self.connects_until = self.busy_until = 0.0
            self.gateway.counters.resent += 1
            return False
        raise Failure(HTTPStatus.BAD_GATEWAY, "no-answer", f"{node.name} {text}")

    @property
    @abstractmethod
    def sent_only_its_head(self) -> bool:
        """True if no byte behind the head was passed to a node."""

    # --- the node and its connection ---

    def _hold(self, node: Node) -> None:
        """Count this session among those that hold ``node``, until the upstream is dropped."""
        assert self.attempts is not None
        self.held, self._owner = node, self.attempts.owner
        node.reference += 1

    def drop_upstream(self) -> None:
        """Let go of the node: close its connection, if there is one, and give its place to others."""
        node = self.held
        if node is not None:
            self.held = None
            node.reference -= 1
            if not node.reference:
                self._owner.released(node)
        if self.upstream is not None:
            self.upstream.close()
            self.upstream = None
        if self.place is not None:
            self.gateway.upstreams.free(self.place)
            self.place = None
        if self.granted is not None:
            self.gateway.upstreams.free(self.granted)
            self.granted = None


def early_limit(request: Request) -> int:
    """Return how many bytes behind the head are kept while no node is connected."""
    return max(MIN_EARLY, min(request.content_length, MAX_EARLY))
