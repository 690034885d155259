"""Access to the forkpty router: which users of this machine may have a terminal."""

import os
import socket
from collections.abc import Collection

from uwsgi_router.subscriptions.credentials import OVERFLOW_UID, credentials_of
from uwsgi_router.subscriptions.sender import Credentials


class PtyAccess:
    """Rules of access: over UNIX sockets by user, over TCP for whoever gets through.

    Args:
        uids: that may connect, beside root and the router's own.
        tcp: TCP clients may connect.
    """

    def __init__(self, uids: Collection[int], *, tcp: bool) -> None:
        # A user without a number here may be anybody in another name space.
        own = {os.geteuid()} - {OVERFLOW_UID}
        self._uids = frozenset(uids) | own | {0}
        self._tcp = tcp

    def refusal(self, sock: socket.socket) -> str | None:
        """Return why this client may have no terminal, None if it may."""
        if sock.family != socket.AF_UNIX:
            return None if self._tcp else "over TCP nobody may connect: see forkptyrouter-allow-tcp"
        credentials = credentials_of(sock)
        if credentials is None:
            return "the kernel does not tell whose connection it is"
        if credentials.uid in self._uids:
            return None
        if credentials.uid == OVERFLOW_UID:
            return "your user has no number in the router's user namespace, and may not connect"
        return f"user {credentials.uid} may not connect: see forkptyrouter-allow-uid"


def client_of(sock: socket.socket, host: str) -> str:
    """Return the name of a client, for the log."""
    if sock.family != socket.AF_UNIX:
        return host
    credentials = credentials_of(sock)
    return "somebody" if credentials is None else shown(credentials)


def shown(credentials: Credentials) -> str:
    """Return whose connection it is, for the log."""
    return f"user {credentials.uid} (process {credentials.pid})"
