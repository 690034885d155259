"""The leanest uwsgi node: reads one request packet, answers 12 bytes, closes. No parsing, no loop.

``python -m bench.node 127.0.0.1:3031`` or ``… /path/to.sock``. It must never be what limits a
measurement: one epoll, a few system calls a request.
"""

import os
import select
import socket
import sys

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 12\r\n\r\nhello world\n"


def listener(address: str) -> socket.socket:
    """Return a listening socket on ``host:port`` or a path."""
    if address.startswith("/"):
        sock = socket.socket(socket.AF_UNIX)
        sock.bind(address)
        os.chmod(address, 0o666)
    else:
        host, _, port = address.rpartition(":")
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((host, int(port)))
    sock.listen(1024)
    sock.setblocking(False)
    return sock


def serve(sock: socket.socket) -> None:
    """Answer for ever."""
    poll = select.epoll()
    poll.register(sock, select.EPOLLIN)
    waiting: dict[int, tuple[socket.socket, bytes]] = {}
    while True:
        for fd, _events in poll.poll():
            if fd == sock.fileno():
                accept(sock, poll, waiting)
            else:
                client, received = waiting.pop(fd)
                if not answer(client, received, waiting):
                    poll.unregister(fd)
                    client.close()


def accept(
    sock: socket.socket, poll: select.epoll, waiting: dict[int, tuple[socket.socket, bytes]]
) -> None:
    """Take what is in the backlog; a request that is there already is answered at once."""
    for _ in range(64):
        try:
            client, _peer = sock.accept()
        except OSError:
            return
        client.setblocking(False)
        if answer(client, b"", waiting):
            poll.register(client.fileno(), select.EPOLLIN)
        else:
            client.close()


def answer(
    client: socket.socket, received: bytes, waiting: dict[int, tuple[socket.socket, bytes]]
) -> bool:
    """Answer if the packet is complete; return True if more of it must come first."""
    try:
        data = client.recv(65536)
    except BlockingIOError:
        waiting[client.fileno()] = (client, received)
        return True
    except OSError:
        return False
    received += data
    if data and (len(received) < 4 or len(received) < 4 + int.from_bytes(received[1:3], "little")):
        waiting[client.fileno()] = (client, received)
        return True
    try:
        if received:
            client.send(ANSWER)
    except OSError:
        pass
    return False


if __name__ == "__main__":
    serve(listener(sys.argv[1]))
