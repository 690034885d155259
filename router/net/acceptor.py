"""Acceptor: accepts connections from listening sockets; pauses, backlog, EMFILE."""

import asyncio
import errno
import logging
import resource
import socket
from collections.abc import Callable, Collection, Sequence
from typing import Final

from uwsgi_router.router.core.log import RateLimited
from uwsgi_router.router.net.listeners import BoundSocket

#: (host, port) of a client: IPv4 in IPv6 already unwrapped; ("", 0) for UNIX sockets, which have no
#: address.
Peer = tuple[str, int]

log = logging.getLogger("uwsgi-router.accept")

# Connections taken at one wake-up, before requests under way get their turn again.
_BATCH: Final = 32
# Once a connection has come alone, so many of the next wake-ups do not look for a second one, which would be told of in
# the next turn: to find none takes a system call and an exception.
_SINGLES: Final = 7
# How long a process without free descriptors stays away from the backlog. Clients wait there;
# trying again at once would only burn the CPU that closes connections.
_PAUSE_SECONDS: Final = 0.1
# The backlog of a socket that is being closed cannot hold more; a bound, because clients may come
# faster than we take.
_MAX_DRAINED: Final = 65_536

_EXHAUSTED: Final = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
# This one connection is gone, not the listener: accept(2) also reports errors of the network behind
# a new connection.
_CONNECTION_GONE: Final = (
    errno.ECONNABORTED,
    errno.EPROTO,
    errno.ENOPROTOOPT,
    errno.EHOSTDOWN,
    errno.ENONET,
    errno.EHOSTUNREACH,
    errno.ENETDOWN,
    errno.ENETUNREACH,
    errno.EOPNOTSUPP,
    errno.ETIMEDOUT,
)
_MAPPED: Final = "::ffff:"
# Python takes such a socket for one that does not block. The kernel is not told: that costs a call.
_KIND: Final = int(socket.SOCK_STREAM | socket.SOCK_NONBLOCK)


class Acceptor:
    """Acceptor of one router: accepts on its sockets and hands each connection on.

    Who gets one reads and writes with MSG_DONTWAIT, as a link does, or makes it a non-blocking one (``to_socket``).

    It polls between :meth:`start` and :meth:`stop`, except while paused (cheap mode: clients wait
    in the backlog) and for a moment after the process ran out of descriptors or memory.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        bound_sockets: Sequence[BoundSocket],
        on_connection: Callable[[socket.SocketType, Peer], None],
        on_error: Callable[[], None] = lambda: None,
        batch: int = _BATCH,
        make: type[socket.SocketType] = socket.SocketType,
    ) -> None:
        """Prepare to accept.

        Args:
            loop: the event loop.
            bound_sockets: where.
            on_connection: owns the sockets.
            on_error: counts failures of ours.
            batch: connections taken at one wake-up, before everything else gets its turn again.
            make: class of the sockets.
        """
        self._loop = loop
        self._bound = list(bound_sockets)
        self._on_connection = on_connection
        self._wanted = False
        self._polling = False
        self._exhausted: asyncio.TimerHandle | None = None
        self._limited = RateLimited(log)
        self._on_error = on_error
        self._batch = batch
        self._make = make
        # Wake-ups that are for one connection alone, by what was seen before.
        self._singles = 0
        for bound in self._bound:
            bound.on_replaced = self._accepting_from(bound)

    def start(self) -> None:
        """Begin to accept."""
        self.resume()

    def pause(self) -> None:
        """Leave new connections in the backlog (cheap mode)."""
        self._wanted = False
        self._update()

    def resume(self) -> None:
        """Accept again after :meth:`pause`."""
        self._wanted = True
        self._update()

    def stop(self, *, drain: bool) -> int:
        """Stop for good and close the sockets.

        Args:
            drain: accept what already waits in the backlog of sockets that are ours, because
                closing would reset these clients. What waits on inherited sockets stays for the
                next process.

        Returns:
            How many connections were drained.
        """
        self._wanted = False
        if self._exhausted is not None:
            self._exhausted.cancel()
            self._exhausted = None
        self._update()
        drained = 0
        for bound in self._bound:
            # First the file: who comes now is told at once that nobody is here.
            bound.unlink()
            if drain and not bound.inherited:
                drained += self._drain(bound)
            bound.sock.close()
        self._bound.clear()
        return drained

    def hand_on(self, leaving: Collection[tuple[int, str]]) -> None:
        """Stop for good: another process has the sockets, but for some, whose backlog is accepted here.

        Args:
            leaving: kinds and addresses, as configured, of the latter.
        """
        self.stop(drain=any((int(one.sock.type), one.name) in leaving for one in self._bound))

    def _update(self) -> None:
        polling = self._wanted and self._exhausted is None
        if polling == self._polling:
            return
        self._polling = polling
        for bound in self._bound:
            if polling:
                self._loop.add_reader(bound.sock, self._readable, bound, int(bound.sock.family))
            else:
                self._loop.remove_reader(bound.sock)

    def _accepting_from(self, bound: BoundSocket) -> Callable[[socket.socket, socket.socket], None]:
        """Return a function that goes on with another socket of ``bound``, once the old one is empty."""

        def replaced(new: socket.socket, old: socket.socket) -> None:
            if self._polling:
                self._loop.remove_reader(old)
                self._loop.add_reader(new, self._readable, bound, int(new.family))
            # Whoever waits there would be reset.
            self._drain(BoundSocket(old, bound.name))

        return replaced

    def _readable(self, bound: BoundSocket, family: int) -> None:
        for taken in range(self._batch):
            # on_connection may have paused us.
            if not self._polling:
                return
            if taken == 1 and self._singles:
                self._singles -= 1
                return
            try:
                if not self._accept(bound, family):
                    if taken == 1:
                        self._singles = _SINGLES
                    return
            except OSError as exc:
                self._explain(exc, bound)
                self.rest()
                return

    def _accept(self, bound: BoundSocket, family: int) -> bool:
        """Take one connection; False if none waits.

        Raises:
            OSError: if the fault is ours (no descriptors, no memory, a broken listener).
        """
        try:
            fd, address = bound.sock._accept()  # type: ignore[attr-defined]  # noqa: SLF001 - what accept() calls
        except (BlockingIOError, InterruptedError):
            return False
        except OSError as exc:
            if exc.errno in _CONNECTION_GONE:
                return True
            raise
        # accept() would make a socket.socket, with enum members and what else we don't need: that costs 2 us.
        sock = self._make(family, _KIND, 0, fd)
        # Told from the shape of the address: asking a socket for its family makes an enum member each time.
        if not isinstance(address, tuple):
            peer: Peer = ("", 0)
        elif len(address) == 2:
            peer = address
        else:
            peer = (address[0].removeprefix(_MAPPED), address[1])
        self._on_connection(sock, peer)
        return True

    def rest(self, until: Callable[[], bool] = lambda: True) -> None:
        """Leave the backlog alone for a moment, and for another one as long as ``until`` says no."""
        if self._exhausted is None:
            self._exhausted = self._loop.call_later(_PAUSE_SECONDS, self._rested, until)
            self._update()

    def _rested(self, until: Callable[[], bool]) -> None:
        self._exhausted = None
        if until():
            self._update()
        else:
            self.rest(until)

    def _drain(self, bound: BoundSocket) -> int:
        try:
            # A backlog of none: the queue gets shorter while we take from it.
            bound.sock.listen(0)
            for taken in range(_MAX_DRAINED):
                if not self._accept(bound, int(bound.sock.family)):
                    return taken
        except OSError as exc:
            self._explain(exc, bound)
            log.warning("%s: closed with clients in its backlog, which are reset", bound.name)
            return 0
        return _MAX_DRAINED

    def _explain(self, exc: OSError, bound: BoundSocket) -> None:
        self._on_error()
        number = exc.errno
        if number == errno.EMFILE:
            limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
            remedy = f"the limit of {limit} open files is reached; raise LimitNOFILE= or ulimit -Hn"
        elif number == errno.ENFILE:
            remedy = "the system's limit of open files is reached; raise the sysctl fs.file-max"
        elif number in _EXHAUSTED:
            remedy = (
                "the kernel has no memory for another connection; see net.ipv4.tcp_mem and `free`"
            )
        else:
            remedy = f"accept failed: {exc.strerror}"
        self._limited.error(number, "%s: new connections wait: %s", bound.name, remedy)
