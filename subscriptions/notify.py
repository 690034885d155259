"""Notifier of announcing nodes: acceptance and refusal, as UNIX datagrams (uWSGI: core/subscription.c).

uWSGI tells a node that it was taken in, at the ``notify`` path of its datagram: a UNIX datagram
socket, one line, no answer when it is refused. Our own client puts one more variable into its
datagrams, ``report`` = ``1``, which uWSGI's routers ignore like every name that they don't know; it is
told of refusals too, at the same path:

    [subscription ack] KEY => new node: ADDRESS             as uWSGI
    [subscription refused] KEY => ADDRESS: REASON           only with ``report``

A sender chooses where this goes and, with the key, some of what it says. So that nobody else can be
made to receive what they would believe:

* only senders on this machine are answered: over a UNIX socket, or from the loopback;
* one datagram has one answer at most, and a sender that sends too many has none;
* where the kernel vouches for the sender's user, the socket must belong to that user; the socket that
  was looked at is the one that is sent to, whatever becomes of the path meanwhile;
* it is never one of the router's own sockets;
* it is one line: what is not printable is escaped. (Of several lines a service manager would take one
  for a message of ours.)
"""

import os
import socket
import stat
from collections.abc import Callable
from typing import Final

from uwsgi_router.protocol.address import Address, UnixAddress
from uwsgi_router.protocol.text import printable, show
from uwsgi_router.subscriptions.gate import never_own
from uwsgi_router.subscriptions.sender import Sender

MAX_TEXT: Final = 2_048


def accepted(key: bytes, name: str) -> str:
    """Return the line for a node that was admitted."""
    return f"[subscription ack] {_plain(key)} => new node: {_plain(name.encode())}"


def refused(key: bytes, address: str, reason: str) -> str:
    """Return the line for a node that was refused."""
    about = f"{_plain(key)} => {_plain(address.encode())}"
    return f"[subscription refused] {about}: {_plain(reason.encode('utf-8', 'backslashreplace'))}"


class Notifier:
    """Notifier: sends answers, without ever waiting.

    Args:
        is_own: tells the router's own addresses.
    """

    def __init__(self, is_own: Callable[[Address], bool] = never_own) -> None:
        self._is_own = is_own
        self._sock: socket.socket | None = None

    def send(self, path: bytes, text: str, sender: Sender) -> str | None:
        """Send one line to the socket at ``path``.

        Args:
            path: the ``notify`` of the sender's datagram.
            text: see :func:`accepted` and :func:`refused`.
            sender: who asked for it.

        Returns:
            None if it is on its way, or why nothing was sent.
        """
        if not sender.is_local:
            return "only senders on this machine are answered"
        if b"\0" in path:
            return "it is no path"
        if self._is_own(UnixAddress(os.path.abspath(path))):
            return "it is the router's own socket"
        if self._sock is None:
            self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        uid = None if sender.credentials is None else sender.credentials.uid
        try:
            return _send(self._sock, path, text.encode()[:MAX_TEXT], uid)
        except OSError as exc:
            return exc.strerror or str(exc)

    def close(self) -> None:
        """Close the socket that answers are sent from."""
        if self._sock is not None:
            self._sock.close()
            self._sock = None


def _send(sock: socket.socket, path: bytes, text: bytes, uid: int | None) -> str | None:
    """Send to the socket at ``path`` if it belongs to ``uid`` (None: to anybody)."""
    target = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        status = os.fstat(target)
        if not stat.S_ISSOCK(status.st_mode):
            return "it is no socket"
        if uid is not None and status.st_uid != uid:
            return f"it belongs to user {status.st_uid}, not to the sender's ({uid})"
        sock.sendto(text, f"/proc/self/fd/{target}")
    finally:
        os.close(target)
    return None


def _plain(raw: bytes) -> str:
    """Show bytes on one line; only what would break it is written differently."""
    return printable(show(raw))
