"""TLS link: the bytes of a connection, encrypted; writing, and the end.

OpenSSL takes all bytes of a write or none, and wants it repeated with the same bytes, or more: so records are written
one by one, and the first unsent one stays where it is.
"""

import os
import select
import socket
import ssl
from typing import Final

from uwsgi_router.router.core.failure import without_traceback
from uwsgi_router.router.net.link import Link, LinkOwner
from uwsgi_router.router.net.openssl import TlsObject, say_goodbye
from uwsgi_router.router.net.peek_link import BUFFER, MOST_RECORDS, RECORD
from uwsgi_router.router.net.poller import READABLE, WRITABLE, Poller
from uwsgi_router.router.net.read_end import NOW
from uwsgi_router.router.net.tls_read_end import PLACES, TlsReadEnd
from uwsgi_router.subscriptions.traffic import Traffic

# Read before close_notify is sent: what lies in the kernel then, OpenSSL takes for an error.
_MOST_EARLY: Final = 64


class TlsLink(TlsReadEnd):
    """Link whose bytes are encrypted."""

    __slots__ = ("_goodbye", "_parting")

    def __init__(
        self, poller: Poller, sock: socket.SocketType, owner: LinkOwner | None, traffic: Traffic
    ) -> None:
        TlsReadEnd.__init__(self, poller, sock, owner, traffic)
        # close_notify does not go out yet; its record, if it was made apart.
        self._parting = False
        self._goodbye = b""

    def on_events(self, events: int) -> None:
        """Act on readiness."""
        if self._reader is None and events & READABLE:
            # Nobody has followed the one before.
            self._watch(self._watched & ~READABLE)
        if self._waits and events & ~READABLE:
            self._waits = False
            watched = self._watched if self._pending is not None else self._watched & ~WRITABLE
            if self._reader is not None:
                watched |= READABLE
                events |= READABLE
            self._watch(watched)
        if self._parting and events & ~READABLE:
            self._parting = False
            self._watch(self._watched & ~WRITABLE)
            try:
                self._end_writing()
            except OSError as exc:
                self._owner.link_broken(self, exc)
                return
        if self._tls is not None:
            # A read takes a record, so a short one need not be the last.
            events &= ~select.EPOLLRDHUP
        Link.on_events(self, events)

    # --- writing ---

    def write(self, data: bytes) -> None:
        """Send ``data``, now or as soon as the kernel takes it.

        Raises:
            OSError: if the connection is broken.
        """
        if self._tls is None:
            Link.write(self, data)
        else:
            self._put(data)

    def write_view(self, view: memoryview) -> None:
        """Do as :meth:`write`, with bytes of a buffer that others will use: what is not taken is copied.

        Raises:
            OSError: if the connection is broken.
        """
        if self._tls is None:
            Link.write_view(self, view)
        else:
            self._put(view)

    def _put(self, data: bytes | memoryview) -> None:
        sent = 0
        size = len(data)
        if self._pending is None:
            try:
                sent = self._send(data, size)
            except OSError as exc:
                self._orderly = False
                if isinstance(exc, ConnectionResetError):
                    self.broken = without_traceback(exc)
                raise
        self.written += size
        self._traffic.rx += size
        if sent < size:
            if self._pending is None:
                self._pending = bytearray(memoryview(data)[sent:])
                self._watch(self._watched | WRITABLE)
            else:
                self._pending += data
            self.backlog = len(self._pending)

    def _send(self, data: bytes | bytearray | memoryview, most: int) -> int:
        """Send the first ``most`` bytes of ``data``, in records; return how many were taken."""
        tls = self._tls
        assert tls is not None
        sent = 0
        try:
            if len(data) <= RECORD:
                return tls.write(data)
            with memoryview(data) as view:
                while sent < most:
                    with view[sent : sent + RECORD] as piece:
                        sent += tls.write(piece)
        except (ssl.SSLWantWriteError, ssl.SSLWantReadError):
            pass
        return sent

    def _send_pending(self, pending: bytearray) -> int:
        if self._tls is None:
            return super()._send_pending(pending)
        return self._send(pending, min(len(pending), MOST_RECORDS * RECORD))

    # --- the end ---

    def _end_writing(self) -> None:
        if self._say_goodbye():
            # SSLSocket's own would forget the connection.
            socket.SocketType.shutdown(self._sock, socket.SHUT_WR)

    def _say_goodbye(self) -> bool:
        """Send close_notify, if that would be true; return False if the kernel does not take it yet."""
        tls = self._tls
        if tls is None or not self._orderly:
            return True
        if (self._reader is not None or self._paused is not None) and not self._has_ended():
            try:
                if not self._goodbye:
                    self._goodbye = self._made_apart(tls)
            except OSError:
                # There are no descriptors; so much as has come will not be in the way.
                self._read_early()
            else:
                return self._send_goodbye()
        error = say_goodbye(self._sock, tls)
        if error is None:
            self._over = True
        elif isinstance(error, ssl.SSLWantReadError):
            # That is: it was sent, and the peer's has not come.
            self._orderly = False
            self._parted = True
            return True
        elif isinstance(error, ssl.SSLWantWriteError):
            self._parting = True
            self._watch(self._watched | WRITABLE)
            return False
        else:
            # It was sent as well, unless the connection is broken. Bytes of the peer have crossed it.
            self._broken(error)
        self._orderly = False
        self._tell_early()
        return True

    def _made_apart(self, tls: TlsObject) -> bytes:
        """Return the record that says goodbye, which OpenSSL has written to another socket in this one's place.

        There is no other way with Python's ssl that loses nothing:

        * Only ``unwrap`` makes close_notify, and it calls SSL_shutdown twice: the second call looks for the peer's
          (Modules/_ssl.c, _ssl__SSLSocket_shutdown_impl).
        * Bytes of the peer that it finds instead are an error (SSL_R_APPLICATION_DATA_AFTER_CLOSE_NOTIFY), after which
          they are lost, and every read is an end; a test shows it.
        * Reading them before does not help: more may come in between.

        So that second call has to look where nothing is. For this one call, in which nobody else runs who knows the
        descriptor, another open file stands behind it. The poller's registration belongs to the file, which ``kept``
        holds meanwhile (epoll(7)), and dup2 to a number that is open can't fail for want of descriptors.

        Raises:
            OSError: there are no descriptors, or the connection is broken.
        """
        fd = self._fd
        there, here = socket.socketpair()
        with there, here:
            there.setblocking(False)
            kept = os.dup(fd)
            try:
                os.dup2(there.fileno(), fd, inheritable=False)
                try:
                    error = say_goodbye(self._sock, tls)
                finally:
                    os.dup2(kept, fd, inheritable=False)
            finally:
                os.close(kept)
            if error is not None and not isinstance(error, ssl.SSLWantReadError):
                raise error
            return here.recv(RECORD, socket.MSG_DONTWAIT)

    def _send_goodbye(self) -> bool:
        """Send the record that was made apart; return False if the kernel does not take all of it yet."""
        try:
            sent = socket.SocketType.send(self._sock, self._goodbye, NOW)
        except BlockingIOError:
            sent = 0
        self._goodbye = self._goodbye[sent:]
        if self._goodbye:
            self._parting = True
            self._watch(self._watched | WRITABLE)
            return False
        self._orderly = False
        self._parted = True
        return True

    def _read_early(self) -> None:
        """Read what has come: OpenSSL would take it for an error behind close_notify."""
        if self._has_ended():
            return
        for _ in range(_MOST_EARLY):
            count = self._read(PLACES)
            if not count:
                break
            self._traffic.tx += count
            self._early += bytes(BUFFER[:count])

    def close(self) -> None:
        """Close the socket, with close_notify if everything was sent; otherwise what was not sent is lost."""
        if self.closed:
            return
        if self.session is not None and isinstance(self._sock, ssl.SSLSocket) and self._orderly:
            self.session.note(self._sock, self._poller.now)
        if self._orderly and self._pending is None:
            self._reader = self._paused = None
            self._say_goodbye()
        self._tls = None
        self._early = b""
        Link.close(self)

    def reset(self) -> None:
        """Close so that the peer sees that what it got is not all there was."""
        self._orderly = False
        Link.reset(self)
