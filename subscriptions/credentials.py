"""Kernel credentials: sender of a UNIX datagram, owner of a socket or file (uWSGI: core/subscription.c).

uWSGI asks only with ``subscriptions-use-credentials``, and its check takes any path that the key
spells (core/subscription.c).
"""

import os
import socket
import stat
import struct
from collections.abc import Sequence
from typing import Final

from uwsgi_router.subscriptions.sender import Credentials

#: The kernel's number for users that have no number in our name space: they may be anybody.
OVERFLOW_UID: Final = 65_534

_UCRED: Final = struct.Struct("3i")
# Room for the credentials and not one byte more: descriptors that a sender attaches find no place,
# so the kernel never installs them in our process.
_ROOM: Final = socket.CMSG_SPACE(_UCRED.size)


def ask_for(sock: socket.socket) -> None:
    """Have the kernel tell the sender of each datagram that arrives on a UNIX socket from now on."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)


def receive(sock: socket.socket, size: int) -> tuple[bytes, object, Credentials | None]:
    """Read one datagram from a socket that :func:`ask_for` has seen.

    Returns:
        Up to ``size`` bytes, the sender's address, and its credentials: None for a datagram that
        was queued before they were asked for, or whose sender has no user here.

    Raises:
        OSError: as ``recvmsg``.
    """
    datagram, ancillary, _flags, sender = sock.recvmsg(size, _ROOM)
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_CREDENTIALS:
            pid, uid, gid = _UCRED.unpack(data[: _UCRED.size])
            known = 0 <= uid != OVERFLOW_UID
            return datagram, sender, Credentials(pid, uid, gid) if known else None
    return datagram, sender, None


def credentials_of(sock: socket.socket) -> Credentials | None:
    """Return who connected to a UNIX stream socket, None if the kernel does not tell."""
    try:
        data = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)
    except OSError:
        return None
    return Credentials(*_UCRED.unpack(data))


def may_use_key(credentials: Credentials, directories: Sequence[bytes], key: bytes) -> bool:
    """Return True if in one of ``directories`` a file named like the key belongs to the sender.

    User and group must both be the sender's, as in uWSGI. A key with slashes (mountpoints) means a
    file further down, never one outside.
    """
    if any(part in {b"", b".", b".."} for part in key.split(b"/")) or b"\0" in key:
        return False
    for directory in directories:
        try:
            status = os.stat(os.path.join(directory, key))
        except OSError:
            continue
        if (status.st_uid, status.st_gid) == (credentials.uid, credentials.gid):
            return True
    return False


def socket_owner(path: bytes) -> int | None:
    """Return the user whose socket is at ``path`` (links are followed), None if there is none."""
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return None
    return status.st_uid if stat.S_ISSOCK(status.st_mode) else None
