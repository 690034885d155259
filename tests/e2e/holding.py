"""A node for tests of draining: each request waits until the test lets it go on.

    holding.py ADDRESS GATE

For each request of the router it connects to GATE and answers when a byte has come from there. After TERM it tells GATE
so, and ends.
"""

import os
import signal
import socket
import sys
import threading


def main(address: str, gate: str) -> None:
    """Serve until TERM."""

    def told(_number: int, _frame: object) -> None:
        with connected(gate) as telling:
            telling.sendall(b"TERM")
        os._exit(0)

    signal.signal(signal.SIGTERM, told)
    host, port = address.rsplit(":", 1)
    listener = socket.create_server((host, int(port)))
    while True:
        client, _ = listener.accept()
        threading.Thread(target=serve, args=(client, gate), daemon=True).start()


def serve(client: socket.socket, gate: str) -> None:
    """Answer one request, if it is one."""
    with client:
        asked = client.recv(65_536)
        if asked:
            if b"uwsgi-subscribe" in asked:
                # It asks HEAD of / before it announces a program.
                client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
                return
            with connected(gate) as waiting:
                waiting.sendall(b"REQUEST")
                waiting.recv(1)
            client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")


def connected(gate: str) -> socket.socket:
    """Return a connection to the test."""
    host, port = gate.rsplit(":", 1)
    return socket.create_connection((host, int(port)))


if __name__ == "__main__":
    main(*sys.argv[1:])
