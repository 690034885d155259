"""A program for tests of ``subscribe``: it serves, and tells every signal that it gets to a datagram socket.

Told to the socket that takes the announces too, the order of both is the order in which they happened.

    subscribed.py ADDRESS EVENTS [asked] [exit=N] [healthy=FILE] [orphan] [quiet]

asked: tells each request, too. exit: its exit code after TERM. healthy: answers 503 until the file exists. orphan:
leaves a grandchild behind, which ends. quiet: leaves TERM its default action.
"""

import os
import signal
import socket
import sys
from types import FrameType

TOLD = (
    "HUP",
    "INT",
    "QUIT",
    "USR1",
    "USR2",
    "TERM",
    "CONT",
    "TTIN",
    "TTOU",
    "WINCH",
    "ALRM",
    "PROF",
)


def main(address: str, events: str, *words: str) -> None:
    """Serve until TERM."""
    settings = dict(word.partition("=")[::2] for word in words)
    host, port = events.rsplit(":", 1)
    telling = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    telling.connect((host, int(port)))

    def tell(number: int, _frame: FrameType | None) -> None:
        name = signal.Signals(number).name
        telling.send(f"event {name}".encode())
        if name == "SIGTERM":
            os._exit(int(settings.get("exit", "0")))

    for name in TOLD:
        if name != "TERM" or "quiet" not in settings:
            signal.signal(getattr(signal, f"SIG{name}"), tell)
    if "orphan" in settings:
        telling.send(b"event orphan %d" % orphan())
    if address.startswith("/"):
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(address)
        listener.listen()
    else:
        own, own_port = address.rsplit(":", 1)
        listener = socket.create_server((own, int(own_port)))
    while True:
        client, _ = listener.accept()
        with client:
            asked = answer(client, settings)
        if asked and "asked" in settings:
            telling.send(b"event " + asked)


def answer(client: socket.socket, settings: dict[str, str]) -> bytes:
    """Answer one HTTP request, if it is one; return it."""
    asked = client.recv(4096)
    if asked:
        well = "healthy" not in settings or os.path.exists(settings["healthy"])
        status = b"200 OK" if well and b"\r\nHost: example.com\r\n" in asked else b"503 Not yet"
        client.sendall(b"HTTP/1.1 " + status + b"\r\nContent-Length: 0\r\n\r\n")
    return asked


def orphan() -> int:
    """Make a process that has lost its parent and ends at once; return its pid."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        grandchild = os.fork()
        if grandchild:
            os.write(writing, b"%d" % grandchild)
        os._exit(0)
    os.waitpid(child, 0)
    return int(os.read(reading, 20))


if __name__ == "__main__":
    main(*sys.argv[1:])
