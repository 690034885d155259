"""Protocol check of a program: whether it speaks HTTP or uwsgi; it is asked HEAD of / in the one that it should."""

import re
import socket
from collections.abc import Callable
from typing import Final

from uwsgi_router.protocol.scheme import NodeProto
from uwsgi_router.protocol.subscription import Proto
from uwsgi_router.protocol.uwsgi import encode_packet

# Seconds for the answer: until then a program may still be loading. One that stays silent is announced all the same.
_PATIENCE: Final = 5.0
# Statuses of applications. Servers say 400, 405, 501 and 505 to what they can't read; so may applications.
_APPLICATION: Final = re.compile(rb"(?:HTTP/1\.[01]|Status:) (?:[23][0-9][0-9]|40[134]|50[0234])")

# Beginnings of requests. A server of the protocol waits for the rest in silence; one of the other reacts: it says 400,
# or ends the connection. As a packet the first has 16,709 bytes and modifier1 72; the second has the line ends of a bad
# request line, which are the size of a packet, 2,573 bytes.
_BEGINNINGS: Final[dict[NodeProto, bytes]] = {
    "http": b"HEAD / HTTP/1.1\r\n",
    "uwsgi": b"\x00\r\n\x00\r\n\r\n",
}
# Seconds for a reaction, of a program that has reacted before.
_SHORTLY: Final = 0.5


def spoken_instead(
    connect: Callable[[], socket.socket], proto: Proto, host: str
) -> NodeProto | None:
    """Return the protocol that a program speaks instead of ``proto``; None: it speaks that, or can't be told.

    Args:
        connect: connects to it; may raise OSError.
        proto: that it is to be announced with.
        host: that it answers for.
    """
    if proto not in _BEGINNINGS:
        return None
    other: NodeProto = "http" if proto == "uwsgi" else "uwsgi"
    try:
        answer = _answer(connect, _request(proto, host.encode()), _PATIENCE)
        if answer is None or _APPLICATION.match(answer):
            return None
        if (
            _answer(connect, _BEGINNINGS[other], _SHORTLY) is None
            and _answer(connect, _BEGINNINGS[proto], _SHORTLY) is not None
        ):
            return other
    except OSError:
        pass
    return None


def _request(proto: Proto, host: bytes) -> bytes:
    if proto == "http":
        return (
            b"HEAD / HTTP/1.1\r\nHost: %b\r\nUser-Agent: uwsgi-subscribe\r\n"
            b"Connection: close\r\n\r\n" % host
        )
    return encode_packet(
        [
            (b"REQUEST_METHOD", b"HEAD"),
            (b"REQUEST_URI", b"/"),
            (b"PATH_INFO", b"/"),
            (b"QUERY_STRING", b""),
            (b"CONTENT_LENGTH", b""),
            (b"SERVER_PROTOCOL", b"HTTP/1.1"),
            (b"SERVER_NAME", host),
            (b"SERVER_PORT", b"80"),
            (b"REMOTE_ADDR", b"127.0.0.1"),
            (b"HTTP_HOST", host),
            (b"HTTP_USER_AGENT", b"uwsgi-subscribe"),
            # Without line ends many HTTP servers would wait for some.
            (b"UWSGI_SUBSCRIBE", b"\r\n\r\n"),
        ]
    )


def _answer(connect: Callable[[], socket.socket], question: bytes, patience: float) -> bytes | None:
    """Return what comes back: b"" for the end of the connection, None for nothing in ``patience`` seconds."""
    with connect() as sock:
        sock.settimeout(patience)
        try:
            sock.sendall(question)
            return sock.recv(64)
        except TimeoutError:
            return None
        except ConnectionError:
            return b""
