"""Zerg: listening sockets that a program gives to others over a UNIX socket (uWSGI: core/zerg.c, core/socket.c).

Whoever connects gets one message, the word ``uwsgi-zerg`` and a native 32-bit number, with so many descriptors beside
it.
"""

import array
import socket
import struct
from collections.abc import Sequence
from typing import Final

_WORD: Final = b"uwsgi-zerg"
_NUMBER: Final = struct.Struct("=i")
_SIZE: Final = len(_WORD) + _NUMBER.size
#: Descriptors of a message, the kernel's limit (SCM_MAX_FD).
MOST: Final = 253
_PATIENCE: Final = 30.0


def take_sockets(path: str) -> list[socket.socket]:
    """Return the sockets that the server at ``path`` gives, non-blocking.

    Raises:
        OSError: it does not answer, or what it says is no zerg message.
    """
    space = socket.CMSG_SPACE(MOST * array.array("i").itemsize)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC) as sock:
        sock.settimeout(_PATIENCE)
        sock.connect(path)
        data, beside, _flags, _address = sock.recvmsg(_SIZE, space, socket.MSG_CMSG_CLOEXEC)
    descriptors = array.array("i")
    for level, kind, found in beside:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            descriptors.frombytes(found[: len(found) - len(found) % descriptors.itemsize])
    sockets = [socket.socket(fileno=one) for one in descriptors]
    if not (data.startswith(_WORD) and len(data) == _SIZE and sockets):
        for one in sockets:
            one.close()
        raise OSError(0, "what it says is no message of a zerg server")
    for one in sockets:
        one.setblocking(False)
    return sockets


def give_sockets(client: socket.socket, sockets: Sequence[socket.socket]) -> None:
    """Send copies of sockets to a client that has connected.

    Raises:
        OSError: it is gone, or takes nothing.
    """
    descriptors = array.array("i", [one.fileno() for one in sockets])
    beside = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, descriptors)]
    client.sendmsg([_WORD + _NUMBER.pack(len(sockets))], beside)
