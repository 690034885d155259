"""Guard of silenced vassals: a process that lets them announce themselves again if the rollout is killed."""

import os
import signal
import socket
from typing import Final

#: Byte on a uWSGI master's fifo: send no subscriptions, or send them again (uWSGI: core/fifo.c). A new start, and a
#: reload, begin as its configuration says.
TOGGLE: Final = b"S"


def command(fifo: str, byte: bytes) -> bool:
    """Write a byte to the fifo of a vassal; return False if nobody reads it."""
    try:
        descriptor = os.open(fifo, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        return os.write(descriptor, byte) == 1
    except OSError:
        return False
    finally:
        os.close(descriptor)


class FifoGuard:
    """Guard: a child in a session of its own, which silences vassals for us, and takes that back when we end.

    To be made before there are threads.
    """

    def __init__(self) -> None:
        self._sock, other = socket.socketpair()
        self.pid = os.fork()
        if self.pid == 0:
            _watch(other.detach())
        other.close()

    def silence(self, fifo: str) -> bool:
        """Have a vassal announce nothing, until that is taken back or we end; return False if nobody reads its fifo."""
        return self._told(b"+", fifo)

    def resume(self, fifo: str) -> bool:
        """Let a vassal announce itself again; return False if nobody reads its fifo."""
        return self._told(b"-", fifo)

    def forget(self, fifo: str) -> None:
        """Note that a vassal is not silenced any more."""
        self._told(b".", fifo)

    def close(self) -> None:
        """Let the child take back what is left, and end."""
        self._sock.close()
        os.waitpid(self.pid, 0)

    def _told(self, sign: bytes, fifo: str) -> bool:
        try:
            self._sock.sendall(sign + os.fsencode(fifo) + b"\0")
            return self._sock.recv(1) == b"1"
        except OSError:
            # The child was killed.
            return False


def _watch(descriptor: int) -> None:
    """Be the child."""
    try:
        os.setsid()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        # Locks and sockets of the parent must end with it.
        os.closerange(0, descriptor)
        os.closerange(descriptor + 1, 1 << 16)
        for fifo in _silenced(descriptor):
            command(fifo, TOGGLE)
    finally:
        os._exit(0)


def _silenced(descriptor: int) -> list[str]:
    """Do what we are told until nobody tells anything any more; return which are silenced then."""
    fifos: list[str] = []
    data = b""
    while more := os.read(descriptor, 65_536):
        *lines, data = (data + more).split(b"\0")
        for line in lines:
            fifo, sign = os.fsdecode(line[1:]), line[:1]
            if sign == b"+":
                done = command(fifo, TOGGLE)
                if done:
                    fifos.append(fifo)
            else:
                done = fifo in fifos
                if done:
                    fifos.remove(fifo)
                    done = sign == b"." or command(fifo, TOGGLE)
            try:
                os.write(descriptor, b"1" if done else b"0")
            except OSError:
                return fifos
    return fifos
