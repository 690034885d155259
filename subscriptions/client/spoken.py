"""Protocol check of a program: whether it speaks HTTP or uwsgi, asked so that its application is not disturbed.

Each question is the beginning of a request in one protocol, for the rest of which a server of that protocol waits in
silence, and nonsense in the other, to which a server of that one reacts: it says 400, or ends the connection.
"""

import socket
from collections.abc import Callable
from typing import Final

from uwsgi_router.protocol.scheme import NodeProto
from uwsgi_router.protocol.subscription import Proto

# As a packet the first is one of 16,709 bytes with modifier1 72; the second has the line ends of a bad request line,
# which are the size of a packet, 2,573 bytes.
_BEGINNINGS: Final[dict[NodeProto, bytes]] = {
    "http": b"HEAD / HTTP/1.1\r\n",
    "uwsgi": b"\x00\r\n\x00\r\n\r\n",
}
# Seconds for a reaction.
_SHORTLY: Final = 0.25


def spoken_instead(connect: Callable[[], socket.socket], proto: Proto) -> NodeProto | None:
    """Return the protocol that a program speaks instead of ``proto``; None: it speaks that, or can't be told.

    Args:
        connect: connects to it; may raise OSError.
        proto: that it is to be announced with.
    """
    if proto not in _BEGINNINGS:
        return None
    other: NodeProto = "http" if proto == "uwsgi" else "uwsgi"
    try:
        if _reacts(connect, _BEGINNINGS[proto]) and not _reacts(connect, _BEGINNINGS[other]):
            return other
    except OSError:
        pass
    return None


def _reacts(connect: Callable[[], socket.socket], beginning: bytes) -> bool:
    with connect() as sock:
        sock.settimeout(_SHORTLY)
        try:
            sock.sendall(beginning)
            sock.recv(64)
        except TimeoutError:
            return False
        except ConnectionError:
            pass
        return True
