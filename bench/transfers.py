"""Load generator of large answers and uploads: one after the other on each kept connection.

``python -m bench.transfers get|post PORT CONNECTIONS SECONDS BYTES`` (see :mod:`bench.generator`).
BYTES are those of each body. Bodies are sent and read in large pieces, and nobody looks at them:
what limits is not this program.
"""

import re
import socket
import sys

from bench import heads
from bench.bulk_node import http_head
from bench.generator import Stretch
from bench.talks import Talk, discard, send

_ANSWER = re.compile(
    rb"HTTP/1\.1 200 .*\r\ncontent-length:[ \t]*([0-9]+)\r\n", re.IGNORECASE | re.DOTALL
)
#: What uploads consist of.
_PIECE = bytes(1 << 18)


class Answered(Exception):
    """Error: an answer was not what it should be; ``str()`` says what it was."""


def main() -> None:
    """Load a router."""
    kind, *numbers = sys.argv[1:]
    port, connections, seconds, size = map(int, numbers)
    upload, expected = (size, None) if kind == "post" else (0, size)
    stretch = Stretch()
    talks = []
    for head in heads.heads(heads.FROM_BROWSER, count=connections):
        sock = socket.create_connection(("127.0.0.1", port), timeout=10)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        talks.append((sock, transfers(sock, request(head, upload), upload, expected, stretch)))
    stretch.run(talks, seconds)


def request(head: heads.Head, upload: int) -> bytes:
    """Return a request's head: a POST if there is something to upload."""
    text = head.text
    if upload:
        text = "POST" + text.removeprefix("GET").removesuffix("\r\n")
        text += f"Content-Type: application/octet-stream\r\nContent-Length: {upload}\r\n\r\n"
    return text.encode()


def transfers(
    sock: socket.socket, head: bytes, upload: int, expected: int | None, stretch: Stretch
) -> Talk:
    """Transfer one body after the other.

    Args:
        sock: connected.
        head: of each request.
        upload: bytes of each request's body.
        expected: bytes that each answer's body must have; None: any number.
        stretch: when to end, and who counts.
    """
    try:
        while stretch.going():
            yield from send(sock, head)
            for rest in range(upload, 0, -len(_PIECE)):
                yield from send(sock, _PIECE[:rest])
            received = yield from http_head(sock)
            answer, _, body = received.partition(b"\r\n\r\n")
            match = _ANSWER.match(answer + b"\r\n")
            length = int(match[1]) if match else -1
            if length < len(body) or expected not in {None, length}:
                raise Answered(f"the answer was {answer[:200]!r}")
            yield from discard(sock, length - len(body))
            stretch.done.count += 1
    except (ConnectionError, Answered) as exc:
        stretch.done.fail(str(exc))


if __name__ == "__main__":
    main()
