"""Channel between a supervising process and its child: JSON messages, with descriptors beside them.

The socket keeps the bounds of messages (SOCK_SEQPACKET), and its end tells each side that the other one is gone.
"""

import array
import json
import os
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

#: Bytes of a message, and descriptors beside it.
MAX_MESSAGE: Final = 64 * 1024
MAX_DESCRIPTORS: Final = 64


@dataclass(frozen=True, slots=True)
class Message:
    """Message with its descriptors, which belong to whoever took it.

    Attributes:
        members: of the JSON object.
        descriptors: open ones, not inherited by children.
    """

    members: Mapping[str, Any]
    descriptors: tuple[int, ...] = ()

    def close(self) -> None:
        """Close the descriptors: nobody wants them."""
        for one in self.descriptors:
            os.close(one)


class Channel:
    """Channel: one end of it, non-blocking.

    Attributes:
        sock: the socket.
    """

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        sock.setblocking(False)

    @classmethod
    def pair(cls) -> "tuple[Channel, Channel]":
        """Return both ends of a new one."""
        kind = socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC
        one, other = socket.socketpair(socket.AF_UNIX, kind)
        return cls(one), cls(other)

    @classmethod
    def of(cls, descriptor: int) -> "Channel":
        """Return the channel whose end is this descriptor, which was inherited."""
        os.set_inheritable(descriptor, False)
        return cls(socket.socket(fileno=descriptor))

    def fileno(self) -> int:
        """Return its descriptor; -1 once it is closed."""
        return self.sock.fileno()

    def send(self, members: Mapping[str, Any], descriptors: Sequence[int] = ()) -> bool:
        """Send a message, with copies of descriptors.

        Returns:
            False if the other side is gone, or reads nothing.
        """
        data = json.dumps(members, separators=(",", ":")).encode()
        assert len(data) <= MAX_MESSAGE
        beside = []
        if descriptors:
            beside = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))]
        try:
            self.sock.sendmsg([data], beside)
        except OSError:
            return False
        return True

    def receive(self) -> Message | None:
        """Return the next message, None if there is none now.

        Raises:
            EOFError: the other side is gone.
        """
        size = socket.CMSG_SPACE(MAX_DESCRIPTORS * array.array("i").itemsize)
        try:
            data, beside, _flags, _address = self.sock.recvmsg(
                MAX_MESSAGE, size, socket.MSG_CMSG_CLOEXEC
            )
        except BlockingIOError:
            return None
        except OSError as exc:
            raise EOFError from exc
        if not data:
            raise EOFError
        descriptors = array.array("i")
        for level, kind, found in beside:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                descriptors.frombytes(found[: len(found) - len(found) % descriptors.itemsize])
        return Message(json.loads(data), tuple(descriptors))

    def close(self) -> None:
        """Close this end."""
        self.sock.close()
