"""One client connection: the story of a request, from its first byte to the last of its answer."""

import asyncio
import logging
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import TYPE_CHECKING

from protocol.uwsgi import PacketError
from router.engine.attempts import Attempts
from router.engine.collect import collect
from router.engine.deliver import deliver, report, stalled
from router.engine.dial import dial
from router.engine.flow import MAX_EARLY, MIN_EARLY, Download, Upload
from router.engine.spool import Replay, Spool
from router.engine.waiting import Waiting
from router.failure import ClientGone, Failure, TimedOut
from router.forwarders.base import Forwarder, Lease
from router.fronts.uwsgi import Ping
from router.net.link import Link
from router.request import Request
from subscriptions.node import Node

if TYPE_CHECKING:
    from router.engine.gateway import Gateway

log = logging.getLogger("uwsgi-router.request")

# Between two tries of a node whose backlog is full.
BUSY_BACKOFF = 0.02
# uWSGI's workers refuse larger packets unless told otherwise: its users' most common complaint.
DEFAULT_WORKER_BUFFER = 4096
# Failures of a request that are its node's fault. Not "stalled": a WebSocket over which nothing moves stalls too.
_NODE_FAULTS = frozenset({"no-answer-in-time", "reset"})


class Session(Waiting):
    """One client connection and what is done for it."""

    __slots__ = (
        "_busy_until",
        "_hold_until",
        "_number",
        "_upstream",
        "answered",
        "attempts",
        "connect_time",
        "connects_until",
        "gateway",
        "peer",
        "request",
        "started",
        "task",
    )

    def __init__(self, gateway: "Gateway", sock: socket.socket, peer: str, number: int) -> None:
        super().__init__(gateway.loop, gateway.poller, sock, gateway.config.timeout)
        self.gateway = gateway
        self._number = number
        self.peer = peer
        self.started = self.loop.time()
        self.request: Request | None = None
        self.attempts: Attempts | None = None
        self.connect_time = 0.0
        self.connects_until = 0.0
        self.task: asyncio.Task[None] | None = None
        self.answered = False
        self._busy_until = 0.0
        self._hold_until = 0.0
        self._upstream: Link | None = None

    def __repr__(self) -> str:
        return f"<Session {self.id} {self.phase} {self.request!r}>"

    @property
    def id(self) -> str:
        """What the log and an answer of ours call this request."""
        return f"{self.gateway.ids}-{self._number:x}"

    def check_client(self) -> None:
        """While no node has the request: a client that ends inside its body, or entirely if so configured, is gone.

        Raises:
            ClientGone: if so.
        """
        upload = self.upload
        if upload is None or not upload.ended:
            return
        assert self.request is not None
        if self.gateway.config.abort_on_eof or upload.count < self.request.content_length:
            raise ClientGone

    # --- the story ---

    async def run(self) -> None:
        """Serve the connection to its end; never raises."""
        counters = self.gateway.counters
        try:
            request = await self._receive()
            if request is not None:
                await self._answer(request)
        except OSError as exc:
            # Only the client's own socket raises here; it is gone.
            log.debug("%s: %s", self.id, exc)
            self._count_lost("client")
        except asyncio.CancelledError:
            # The router stops at once: clients are cut off, which is what was asked for.
            self._count_lost("stopped")
        except Exception:
            log.exception("%s: a bug: this request was lost", self.id)
            self._count_lost("bug")
        finally:
            if self._upstream is not None:
                self._upstream.close()
            self.client.close()
            if self.request is not None:
                counters.bytes_received += len(self.request.packet)
            if self.upload is not None:
                counters.bytes_received += self.upload.count
                self.upload = None  # it holds this session, and nobody needs it any more
            self.gateway.session_ended(self)

    def _count_lost(self, reason: str) -> None:
        if self.request is None:
            return
        counters = self.gateway.counters
        if reason == "client":
            counters.client_aborts += 1
        else:
            counters.failed[reason] += 1

    async def _receive(self) -> Request | None:
        """Return the request; None if there is none, which has been dealt with."""
        gateway = self.gateway
        try:
            return await self._read_request()
        except ClientGone:
            pass
        except TimedOut:
            gateway.refused(self.peer, f"no whole request within {gateway.config.timeout:g} s")
        except Ping as ping:
            self.client.write(ping.answer)
        except PacketError as exc:
            gateway.refused(self.peer, str(exc))
        except Failure as failure:
            # Well-formed, but without a key: counted like any other request that failed.
            gateway.counters.requests += 1
            await report(self, failure)
        return None

    async def _answer(self, request: Request) -> None:
        """Serve a request, and count what became of it."""
        counters = self.gateway.counters
        self.request = request
        counters.requests += 1
        try:
            await self._serve(request)
        except ClientGone:
            counters.client_aborts += 1
        except Failure as failure:
            await report(self, failure)
        else:
            counters.completed += 1

    async def _read_request(self) -> Request:
        """Read until the front has a request; the deadline is absolute, so that nobody can trickle for ever."""
        front, chunk = self.gateway.front, self.gateway.config.buffer_size
        data = b""
        while True:
            more = await self.receive(chunk)
            if not more:
                if data:
                    raise PacketError(f"it ended after {len(data)} bytes, inside the packet")
                raise ClientGone
            data = data + more if data else more
            request = front.parse(data, self.peer)
            if request is not None:
                return request

    async def _serve(self, request: Request) -> None:
        """Find a node, let it answer, deliver the answer."""
        gateway, config = self.gateway, self.gateway.config
        attempts = self.attempts = gateway.attempts(request)
        upload = self.upload = Upload(
            self.client,
            self,
            config.buffer_size,
            early_limit=_early_limit(request),
        )
        spool: Spool | None = None
        try:
            if config.post_buffering and request.content_length:
                gateway.refuse_unknown(request)
                spool = await collect(self, request)
                upload.count = request.content_length
                upload.start(spool.surplus)
            else:
                upload.start(request.rest)
            while True:
                node = await self._choose(request, attempts)
                with Lease(attempts.owner, node):
                    upstream = self._upstream = await dial(self, request, node, attempts)
                    if upstream is None:
                        continue
                    with self._blaming(node, attempts.owner):
                        download = await self._exchange(node, upstream, spool)
                if download.count:
                    break
                self._unanswered(request, node, attempts, download.error)
        finally:
            if spool is not None:
                spool.close()
        with self._blaming(node, attempts.owner):
            await deliver(self, request, download)
        attempts.owner.request_answered(node)

    @contextmanager
    def _blaming(self, node: Node, owner: Forwarder) -> Iterator[None]:
        """Tell the node's forwarder of a failure in the block that is the node's fault."""
        try:
            yield
        except Failure as failure:
            if failure.reason in _NODE_FAULTS:
                owner.request_failed(node, self.loop.time())
            raise

    async def _choose(self, request: Request, attempts: Attempts) -> Node:
        """Return the node to try next; waits for busy and, if configured, for future ones.

        Raises:
            Failure: if there is none.
        """
        gateway, config = self.gateway, self.gateway.config
        while True:
            now = self.loop.time()
            if self.connects_until and now >= self.connects_until:
                attempts.give_up_busy()
                raise gateway.no_node(request, attempts, out_of_time=True)
            found = attempts.next(now)
            if found is not None and not isinstance(found, Node):
                found = await found
                if found is None:
                    # Only now it is known that the forwarder has none.
                    found = attempts.next_fallback(self.loop.time())
                    assert found is None or isinstance(found, Node)
            if found is not None:
                attempts.chosen(found)
                return found
            if attempts.waits_for_busy:
                if not self._busy_until:
                    self._busy_until = now + config.connect_timeout
                self.arm("busy", config.connect_timeout)
                if now < self._busy_until:
                    await self.sleep(BUSY_BACKOFF)
                    self.check_client()
                    attempts.again()
                else:
                    attempts.give_up_busy()
                continue
            keys = gateway.awaited_keys(request)
            if attempts.only_busy or not keys or attempts.stopped_early(now):
                raise gateway.no_node(request, attempts)
            await self._hold(request, attempts, keys)

    async def _hold(self, request: Request, attempts: Attempts, keys: frozenset[bytes]) -> None:
        """Wait until a node of the key announces itself."""
        gateway, config = self.gateway, self.gateway.config
        assert self.upload is not None
        size = len(request.packet) + self._kept_of_body(request)
        if not gateway.hold.enter(self, size, keys):
            raise Failure(
                HTTPStatus.SERVICE_UNAVAILABLE,
                "hold-full",
                f"no node is up and {len(gateway.hold)} requests wait for one already",
                f"{gateway.name}-hold-max={config.hold_max}",
            )
        counters = gateway.counters
        if not self._hold_until:
            counters.held += 1
            self._hold_until = self.loop.time() + config.hold
        self.arm("hold", self._hold_until - self.loop.time())
        counters.holding += 1
        try:
            await self.pause()
            self.check_client()
        except TimedOut:
            raise Failure(
                HTTPStatus.SERVICE_UNAVAILABLE,
                "hold-expired",
                "no node announced itself in time",
                f"{gateway.name}-hold={config.hold:g}",
            ) from None
        finally:
            counters.holding -= 1
            gateway.hold.leave(self)
        attempts.restart()
        # The time spent waiting is not the new node's.
        self.connects_until = self._busy_until = 0.0

    def _kept_of_body(self, request: Request) -> int:
        """Return how many bytes of the body may lie in memory while the request waits."""
        if request.content_length <= self.gateway.config.post_buffering:
            return request.content_length + MIN_EARLY
        return _early_limit(request)

    async def _exchange(self, node: Node, upstream: Link, spool: Spool | None) -> Download:
        """Relay both ways until the node has ended its answer.

        Raises:
            Failure: the node fell silent.
        """
        config, upload = self.gateway.config, self.upload
        assert upload is not None
        self.arm("answer", config.timeout, sliding=True)
        download = Download(upstream, self, config.buffer_size)
        download.node = upload.node = node
        download.target = self.client
        download.start()
        replay = None
        if spool is not None:
            replay = Replay(spool, upstream, node, self)
            replay.go_on()
        attached = eof_sent = False
        try:
            while not download.ended:
                if replay is not None and replay.error is not None:
                    raise Failure(
                        HTTPStatus.INSUFFICIENT_STORAGE,
                        "spool",
                        f"the stored body can't be read: {replay.error.strerror}",
                    )
                if not attached and (replay is None or replay.done):
                    attached = True
                    upload.attach(upstream)
                if attached and upload.ended and not eof_sent:
                    self.check_client()
                    eof_sent = True
                    self._half_close(upstream)
                await self.pause()
        except TimedOut:
            self.answered = bool(download.count)
            raise stalled(self, download, upstream) from None
        finally:
            self.gateway.counters.bytes_sent += download.count
            upload.detach()
            upstream.close()
            self._upstream = None
        return download

    @staticmethod
    def _half_close(upstream: Link) -> None:
        """The client has said all it will: so has what it says to the node."""
        try:
            upstream.write_eof()
        except OSError:
            pass  # The node is gone; reading from it tells how.

    def _unanswered(
        self, request: Request, node: Node, attempts: Attempts, error: OSError | None
    ) -> None:
        """The node's connection ended without a byte: prepare to send the request again, once, if that is safe.

        Raises:
            Failure: if it is not.
        """
        assert self.upload is not None
        how = (error.strerror or str(error)) if error is not None else "closed"
        text = f"ended the connection without an answer ({how})"
        size = len(request.packet)
        if size > DEFAULT_WORKER_BUFFER:
            text += f"; the packet has {size} bytes, is the node's buffer-size larger than that?"
        else:
            attempts.owner.request_failed(node, self.loop.time())
        if request.repeatable and not self.upload.count and not attempts.resent:
            attempts.resent = True
            attempts.failed(node, text, reason="no-answer")
            # Nor is the time that this node took the next one's.
            self.connects_until = self._busy_until = 0.0
            self.gateway.counters.resent += 1
            return
        raise Failure(HTTPStatus.BAD_GATEWAY, "no-answer", f"{node.name} {text}")


def _early_limit(request: Request) -> int:
    """Return how many bytes behind the head are kept while no node is connected."""
    return max(MIN_EARLY, min(request.content_length, MAX_EARLY))
