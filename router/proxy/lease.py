"""Lease: one node held for one attempt, with its connection from the connection pool or new."""

import errno
import ssl
from time import monotonic
from typing import Final

from uwsgi_router.protocol.address import InetAddress
from uwsgi_router.router.certificates.errors import CertificateFault
from uwsgi_router.router.certificates.nodes import failure_of
from uwsgi_router.router.core.failure import TimedOut
from uwsgi_router.router.net.connect import Endpoint, begin_bare, endpoint
from uwsgi_router.router.net.fiber import Fiber, Phase
from uwsgi_router.router.net.link import Link, LinkOwner
from uwsgi_router.router.net.tls_link import TlsLink
from uwsgi_router.router.proxy.body import Body
from uwsgi_router.router.proxy.context import Context
from uwsgi_router.router.routing.base import Forwarder
from uwsgi_router.subscriptions.node import Node

_CONNECT: Final = Phase.CONNECT


class Lease(LinkOwner):
    """Lease of a node: counts in its references from its making to :meth:`close`.

    Args:
        context: of the router.
        fiber: of the request.
        body: of the request.
        node: see below.
        forwarder: gave the node, and is told when its last lease has ended.

    Attributes:
        node: node that is held.
        link: connection to the node, once there is one.
        slot: the connection counts against the node's limit.
        reused: the connection had been kept.
        head_size: bytes of the head that the node is sent.
        connect_time: seconds for the connect, the handshake included; 0: it is not there yet, or was kept.
    """

    __slots__ = (
        "_body",
        "_context",
        "_fiber",
        "_forwarder",
        "_held",
        "_started",
        "connect_time",
        "head_size",
        "link",
        "node",
        "reused",
        "slot",
    )

    def __init__(
        self, context: Context, fiber: Fiber, body: Body, node: Node, forwarder: Forwarder
    ) -> None:
        self._context = context
        self._fiber = fiber
        self._body = body
        self._forwarder = forwarder
        self.node = node
        self.link: Link | None = None
        self.slot = False
        self.reused = False
        self.head_size = 0
        self.connect_time = 0.0
        self._started = 0.0
        self._held = True
        node.reference += 1

    # --- what the node's link tells ---

    def readable(self) -> None:
        """Wake the fiber: the handshake can go on. A lease does not read besides."""
        self._fiber.wake()

    def wake(self) -> None:
        """Wake the fiber: the connect has ended, or the last unsent byte went out."""
        self._fiber.wake()

    def touch(self) -> None:
        """Move the fiber's deadline on: unsent bytes went out."""
        self._fiber.touch()

    def link_broken(self, link: Link, error: OSError) -> None:  # noqa: ARG002
        """Wake the fiber: the node takes no more bytes; reading from it tells why."""
        pump = self._body.pump
        if pump.target is link:
            pump.stop()
        self._fiber.wake()

    # --- connecting ---

    def take_kept(self, head: bytes, *, repeatable: bool) -> bool:
        """Take a kept connection and send ``head`` on it; False if there is none that may be used.

        Args:
            head: of the request.
            repeatable: it may be sent again if the node has just closed the connection.
        """
        pool, node = self._context.upstreams, self.node
        while True:
            link = (
                pool.take(node)
                if repeatable
                else pool.take_alive(node, self._context.timing.trusted_idle)
            )
            if link is None:
                return False
            link.owned_by(self)
            try:
                link.write(head)
            except OSError:
                # It was closed before it took a byte: nothing was sent.
                link.close()
                continue
            node.used_again()
            self.link = link
            self.reused = True
            self.head_size = len(head)
            return True

    def connect_nowait(self, head: bytes) -> bool:
        """Begin to connect, and send ``head`` if the connection is there at once.

        Returns:
            True if it is; else :meth:`connect` goes on.

        Raises:
            OSError: from the kernel.
        """
        self.head_size = len(head)
        self._started = monotonic()
        self.node.connect_started()
        where = endpoint(self.node.address)
        if where is None:
            return False
        link, connected = self._begin(where, head)
        self.link = link
        if connected:
            self._connected()
        return connected

    async def connect(self, head: bytes, until: float) -> None:
        """Go on where :meth:`connect_nowait` left off: resolve the node's name, wait for the connect, send ``head``.

        Args:
            head: of the request.
            until: when all connects of the request have taken too long.

        Raises:
            OSError: from the kernel, or the name has no address.
            TimedOut: the connect was not answered in time.
            ClientGone: the client left meanwhile.
        """
        if self.link is not None:
            await self._finish(self.link, head, until)
            self._connected()
            return
        places = await self._resolve()
        if not places:
            raise OSError(errno.EHOSTUNREACH, "the name has no address")
        for where in places:
            try:
                link, connected = self._begin(where, head)
                self.link = link
                if not connected:
                    await self._finish(link, head, until)
            except (OSError, TimedOut):
                if where is places[-1]:
                    raise
            else:
                self._connected()
                return

    def _begin(self, where: Endpoint, head: bytes) -> tuple[Link, bool]:
        """Begin to connect; return the connection, and whether it is there and has taken ``head``.

        Raises:
            OSError: from the kernel.
        """
        sock, connected = begin_bare(where, self.node.socket_owner)
        if self.node.secure:
            # Nothing is said before the handshake.
            return TlsLink(self._context.poller, sock, self, self.node), False
        link = Link(self._context.poller, sock, self, self.node)
        try:
            if connected:
                link.write(head)
            else:
                # Over loopback the handshake was done inside the call; a first write tells so without another turn.
                connected = link.write_first(head)
        except BaseException:
            link.close()
            raise
        return link, connected

    async def _finish(self, link: Link, head: bytes, until: float) -> None:
        """Wait until the connection is made, and send ``head``; otherwise close it."""
        try:
            await self._answered(link, until)
            if isinstance(link, TlsLink):
                await self._handshake(link, until)
            link.write(head)
        except BaseException:
            link.close()
            self.link = None
            raise

    async def _answered(self, link: Link, until: float) -> None:
        """Wait until the connect has ended, and tell the node when that takes long.

        Raises:
            OSError: it was refused.
            TimedOut: it was not answered.
        """
        fiber, timing = self._fiber, self._context.timing
        limits = self._context.site.limits
        limit = min(limits.connect_timeout, max(until - fiber.loop.time(), 0.0))
        link.watch_connect()
        slow = min(timing.slow_connect, limit)
        for seconds in (slow, max(limit - timing.slow_connect, 0.0)):
            fiber.arm(_CONNECT, seconds)
            try:
                while link.connecting:
                    await fiber.pause()
                    self._body.check_client()
                link.connect_outcome()
                return
            except TimedOut:
                self.node.connect_slow()
        raise TimedOut

    async def _handshake(self, link: TlsLink, until: float) -> None:
        """Do the handshake with a node that speaks TLS.

        Raises:
            OSError: it failed, or the node's certificate is none to believe.
            TimedOut: it took too long.
        """
        fiber, tls, limits = self._fiber, self._context.node_tls, self._context.site.limits
        fiber.arm(_CONNECT, min(limits.connect_timeout, max(until - fiber.loop.time(), 0.0)))
        why = ""
        try:
            name = tls.server_name(self.node)
            known = link.session = tls.session(self.node, name)
            offered = known.offer(fiber.poller.now)
            link.secure_to(tls.context(), name, offered)
            link.lenient = not self.node.is_http
            link.read_with(self)
            while not link.handshake():
                await fiber.pause()
                self._body.check_client()
            if offered is not None and not link.tls.session_reused:
                known.refused(fiber.poller.now)
        except ssl.SSLError as error:
            why = failure_of(error)
        except CertificateFault as fault:
            why = str(fault)
        if why:
            raise OSError(errno.EPROTO, f"TLS: {why}")
        link.pause()

    def _connected(self) -> None:
        self.node.connected()
        self.connect_time = monotonic() - self._started

    async def _resolve(self) -> list[Endpoint]:
        """Return the endpoint of the node's name.

        Raises:
            OSError: it can't be resolved.
        """
        address = self.node.address
        assert isinstance(address, InetAddress)
        known = self._context.resolver.fresh(address)
        if known is not None:
            return known
        timeout = self._context.site.limits.connect_timeout
        try:
            return await self._fiber.join(self._context.resolver.resolve(address, timeout))
        except OSError as exc:
            text = f"its name can't be resolved: {exc.strerror or exc}"
            raise OSError(errno.EHOSTUNREACH, text) from exc

    # --- the end ---

    def keep(self, seconds: float) -> None:
        """Keep the connection for another request within ``seconds``."""
        assert self.link is not None
        self._context.upstreams.keep(self.node, self.link, seconds)
        self.link = None
        self.slot = False

    def close(self) -> None:
        """Release the node: close the connection, unless it was kept, and free its slot."""
        if not self._held:
            return
        self._held = False
        node = self.node
        node.let_go()
        if not node.reference:
            self._forwarder.released(node)
        if self.link is not None:
            self.link.close()
            self.link = None
        if self.slot:
            self.slot = False
            self._context.upstreams.free(node)
