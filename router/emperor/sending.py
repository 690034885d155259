"""Sending of answers to clients of an Emperor's sockets, a piece at a time."""

import socket
from typing import Final

_CHUNK: Final = 65_536


def send_some(sock: socket.socket, unsent: memoryview) -> memoryview:
    """Send what the kernel takes now, and return the rest.

    Raises:
        OSError: the client is gone.
    """
    try:
        return unsent[sock.send(unsent[:_CHUNK]) :]
    except BlockingIOError:
        return unsent
