"""Connecting of commands, which may block."""

import socket

from uwsgi_router.protocol.address import Address, InetAddress


def connected(address: Address, timeout: float) -> socket.socket:
    """Return a connection, which has this timeout.

    Args:
        address: of a TCP or UNIX socket; without a host it is on this machine.
        timeout: seconds.

    Raises:
        OSError: it can't be made.
    """
    if isinstance(address, InetAddress):
        return socket.create_connection((address.host or "127.0.0.1", address.port), timeout)
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(timeout)
    try:
        sock.connect(address.path)
    except BaseException:
        sock.close()
        raise
    return sock
