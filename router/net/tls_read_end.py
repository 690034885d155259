"""Read end of a TLS link (RFC 8446, RFC 5246): handshake, and reading; OpenSSL by Python's ssl on the link's socket.

A link begins as a plain one: what comes before TLS (a PROXY header) and the ClientHello are looked at before OpenSSL
takes part, so that everything can depend on the name that is asked for. ``secure`` begins TLS,
``handshake`` goes on until it is done; from then on it is a link like any other.

What OpenSSL is like (docs/decisions.md has what was measured):

* A read takes one record, of 16,384 bytes at most. With a smaller buffer the rest would stay in OpenSSL, of which epoll
  knows nothing: so no less than a record is read, whatever was asked for.
* A connection that ends without close_notify was cut off: that is an error, and no end.
* Python's ssl makes an SSLEOFError of a reset, too; an end has a reason of OpenSSL's, and is an SSLEOFError or not.
"""

import errno
import select
import socket
import ssl
from typing import Final

from uwsgi_router.router.certificates.sessions import NodeSession
from uwsgi_router.router.core.failure import without_traceback
from uwsgi_router.router.net.link import Link, LinkOwner
from uwsgi_router.router.net.openssl import Maker, TlsObject, accepted, shake_hands, wrapped
from uwsgi_router.router.net.peek_link import BUFFER, MOST_RECORDS, RECORD, PeekLink
from uwsgi_router.router.net.poller import READABLE, WRITABLE, Poller, Resumable
from uwsgi_router.router.net.read_end import NOW, Reader
from uwsgi_router.subscriptions.traffic import Traffic

#: The buffer, as one place for each record.
PLACES: Final = [BUFFER[at : at + RECORD] for at in range(0, MOST_RECORDS * RECORD, RECORD)]

# OpenSSL's reason for an end without close_notify; 1.1 gave none.
_NO_GOODBYE: Final = "UNEXPECTED_EOF_WHILE_READING"
_TELLS_ENDS: Final = ssl.OPENSSL_VERSION_INFO >= (3,)


def is_end(error: ssl.SSLError) -> bool:
    """Return True for the end of a connection without close_notify.

    For Python 3.11.2, which is Debian 12's, that is no SSLEOFError, but an SSLError like any other.
    """
    if _TELLS_ENDS:
        return error.reason == _NO_GOODBYE
    return isinstance(error, ssl.SSLEOFError)


class _Again(Resumable):
    """Call of a link's reader for what the kernel has nothing to tell of any more."""

    __slots__ = ("_link",)

    def __init__(self, link: "TlsReadEnd") -> None:
        self._link = link

    def resume(self) -> None:
        """Have the reader read, if there is one now."""
        if not self._link.closed:
            self._link.on_events(select.EPOLLIN)


class TlsReadEnd(PeekLink):
    """Read end of a link whose bytes are encrypted; ``TlsLink`` is the whole of it.

    Attributes:
        session: of the node at the other end, which takes what this connection has agreed on; None: this is the server.
        lenient: an end without close_notify is one in good order: uWSGI's servers never send it.
        truncated: the peer's bytes have ended without close_notify.
    """

    __slots__ = (
        "_early",
        "_error",
        "_orderly",
        "_over",
        "_parted",
        "_tls",
        "_waits",
        "lenient",
        "session",
        "truncated",
    )

    def __init__(
        self, poller: Poller, sock: socket.SocketType, owner: LinkOwner | None, traffic: Traffic
    ) -> None:
        Link.__init__(self, poller, sock, owner, traffic)
        self._tls: TlsObject | None = None
        # Read already, and not told of yet: bytes, and behind them the peer's end, or an error.
        self._early = b""
        self._over = False
        self._error: OSError | None = None
        # OpenSSL has to write before it can read on.
        self._waits = False
        # close_notify has not been sent, and would be true.
        self._orderly = False
        # It was sent.
        self._parted = False
        self.truncated = self.lenient = False
        self.session: NodeSession | None = None

    # --- the handshake ---

    def secure(self, context: ssl.SSLContext, make: Maker = accepted) -> None:
        """Begin TLS with a client: from now on all bytes belong to it.

        Args:
            context: of a server.
            make: makes OpenSSL's object.

        Raises:
            OSError: the connection is broken.
        """
        self._sock, self._tls = make(context, self._sock)

    def secure_to(
        self,
        context: ssl.SSLContext,
        server_hostname: str | None,
        session: ssl.SSLSession | None,
    ) -> None:
        """Begin TLS with a server: from now on all bytes belong to it.

        Args:
            context: of a client.
            server_hostname: that the server's certificate must have; None: any.
            session: that may be resumed.

        Raises:
            OSError: the connection is broken.
        """
        self._sock, self._tls = wrapped(
            context,
            self._sock,
            server_side=False,
            server_hostname=server_hostname,
            session=session,
        )

    def handshake(self) -> bool:
        """Go on with the handshake; return True when it is done, False if the owner is woken for more of it.

        Raises:
            OSError: it has failed; the peer was told.
        """
        assert self._tls is not None
        waits = shake_hands(self._tls)
        if not waits:
            self._orderly = True
            return True
        if waits == READABLE:
            self._watch(self._watched | READABLE)
        else:
            self.watch_connect()
        return False

    @property
    def tls(self) -> TlsObject:
        """The connection as OpenSSL knows it, to ask what the handshake has settled."""
        assert self._tls is not None
        return self._tls

    # --- reading ---

    def read_with(self, reader: Reader) -> None:
        """Call ``reader`` whenever there is something to read, from now on."""
        Link.read_with(self, reader)
        self._tell_early()

    def resume(self) -> None:
        """Let the reader be called again."""
        Link.resume(self)
        self._tell_early()

    def hand_over(self) -> None:
        """Call nobody any more; another reader follows, at once if the poller need not hear of it."""
        self._reader = self._paused = None

    def look(self) -> None:
        """Have the reader read now, as bytes have come, most likely."""
        if self._reader is not None and not self.closed:
            self._reader.readable()

    def _tell_early(self) -> None:
        """Have the reader called for what was read already, of which the kernel does not tell."""
        if (self._early or self._has_ended()) and not self.closed:
            self._poller.resume_soon(_Again(self))

    def recv(self, size: int) -> bytes | None:
        """Return the next bytes; b"" at the peer's end, None if there are none yet.

        Args:
            size: as for any link, but no less than a record is read, and no more than four.

        Raises:
            OSError: if the connection is broken, or was cut off.
        """
        if self._tls is None:
            return Link.recv(self, size)
        if self._early:
            early, self._early = self._early, b""
            self._tell_early()
            return early
        if self._has_ended():
            return self._end()
        count = self._read(PLACES)
        if not count:
            return self._end() if self._has_ended() else None
        self._tell_early()
        self.note_read(count)
        return bytes(BUFFER[:count])

    def recv_into(self, buffer: memoryview) -> int:
        """Read into ``buffer``, of a record at least; return as any link does.

        Raises:
            OSError: as for :meth:`recv`.
        """
        if self._tls is None:
            return Link.recv_into(self, buffer)
        if self._early:
            count = min(len(self._early), len(buffer))
            buffer[:count] = self._early[:count]
            self._early = self._early[count:]
            self._tell_early()
            return count
        if self._has_ended():
            return len(self._end())
        last = min(len(buffer), MOST_RECORDS * RECORD) - RECORD
        count = self._read([buffer[at : at + RECORD] for at in range(0, last + 1, RECORD)])
        if not count:
            return len(self._end()) if self._has_ended() else -1
        self._tell_early()
        self.note_read(count)
        return count

    def _has_ended(self) -> bool:
        return self._over or self._error is not None

    def _end(self) -> bytes:
        """Return b"" for the peer's end.

        Raises:
            OSError: there was an error instead.
        """
        if self._error is not None:
            raise self._error
        return b""

    def _read(self, places: list[memoryview]) -> int:
        """Read what there is into places for a record each; return how many bytes; notes an end or an error."""
        tls = self._tls
        assert tls is not None
        count = 0
        for place in places:
            try:
                got = tls.read(RECORD, place)
            except ssl.SSLWantReadError:
                break
            except ssl.SSLWantWriteError:
                # An answer to a change of keys does not go out: as long as it does not, nothing can be read.
                self._waits = True
                self._watch((self._watched & ~READABLE) | WRITABLE)
                break
            except ssl.SSLZeroReturnError:
                # The peer's close_notify, behind ours.
                self._over = True
                break
            except ssl.SSLError as error:
                self._fail(error)
                break
            except OSError as exc:
                self._broken(exc)
                break
            count += got
            if got < RECORD:
                self._over = not got
                break
        return count

    def _fail(self, error: ssl.SSLError) -> None:
        """Note that the peer's bytes have ended without its close_notify, or that there was an error."""
        if not is_end(error):
            if isinstance(error, ssl.SSLEOFError):
                self._broken(ConnectionResetError(errno.ECONNRESET, "Connection reset by peer"))
            else:
                self._broken(error)
            return
        self.truncated = True
        # Few say goodbye to who has said it.
        if self.lenient or self._parted:
            self._over = True
        else:
            cut_off = "TLS ended without close_notify"
            self._broken(ConnectionResetError(errno.ECONNRESET, cut_off))

    def _broken(self, error: OSError) -> None:
        self._error = without_traceback(error)
        self._orderly = False

    def skip(self, size: int) -> int | None:
        """Throw the next bytes away, as they come from the kernel; nothing can be read after that.

        Raises:
            OSError: if the connection is broken.
        """
        try:
            data = socket.SocketType.recv(self._sock, size, NOW)
        except (BlockingIOError, InterruptedError):
            return None
        self._traffic.tx += len(data)
        return len(data)

    def is_quiet(self) -> bool:
        """Return True if the peer has neither sent anything nor ended the connection; nothing is taken."""
        try:
            return self.peek(1) is None
        except OSError:
            return False

    @property
    def plain(self) -> bool:
        """True as long as TLS has not begun."""
        return self._tls is None
