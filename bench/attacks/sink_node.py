"""WebSocket node that reads frames, and says nothing.

``python -m bench.attacks.sink_node ADDRESS http``.
"""

import re
import socket
import sys

from bench.bulk_node import http_head
from bench.talks import IN, Talk, listener, send, serve
from uwsgi_router.protocol.websocket import accept_key

_KEY = re.compile(rb"\r\nsec-websocket-key:[ \t]*([^\r\n]+)", re.IGNORECASE)
_SWITCH = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: %b\r\n\r\n"
)
_UP = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nup\n"


def sink(sock: socket.socket) -> Talk:
    """Shake hands, and read."""
    taken = bytearray(1 << 18)
    try:
        found = _KEY.search((yield from http_head(sock)))
        if found is None:
            yield from send(sock, _UP)
            return
        yield from send(sock, _SWITCH % accept_key(found[1]))
        while True:
            try:
                if not sock.recv_into(taken):
                    return
            except BlockingIOError:
                yield IN
    except ConnectionError:
        return  # whoever asked has gone


if __name__ == "__main__":
    serve(listener(sys.argv[1]), sink)
