"""Notify socket: answers of routers to announces, over a UNIX datagram socket (uWSGI: core/subscription.c).

uWSGI says when it has taken a node in; our own router also says why it refuses one. Over UDP from another machine there
is nothing to hear: the path would mean a file of the router's machine.
"""

import logging
import os
import re
import shutil
import socket
import stat
import tempfile
import time
from collections.abc import Sequence
from typing import Final

from uwsgi_router.protocol.subscription import MAX_NOTIFY
from uwsgi_router.protocol.text import show
from uwsgi_router.subscriptions.client.announcement import Announcement
from uwsgi_router.subscriptions.client.errors import SubscribeError

log = logging.getLogger("subscriptions.client")

#: What is read of a notification, and how much of it is shown.
_MAX_READ: Final = 4096
_MAX_SHOWN: Final = 500
_ANSWER = re.compile(r"\[subscription (ack|refused)\] (.*)")
# Seconds for which the same line is not shown again: announces come every few seconds.
_AGAIN: Final = 60.0
# Whoever may write to the socket must not be able to fill our log.
_BATCH: Final = 16
_REMEMBERED: Final = 64


class NotifySocket:
    """Bound socket for answers; what arrives is logged, each line at most once a minute.

    Attributes:
        path: what announces carry.
        asked_for: the user chose the path: it may mean something to routers elsewhere, too.

    Args:
        path: where to bind. A socket of that name is replaced, as uWSGI does.

    Raises:
        SubscribeError: if that is not possible.
    """

    def __init__(self, path: str) -> None:
        self.path = os.fsencode(os.path.abspath(path))
        if len(self.path) > MAX_NOTIFY:
            raise SubscribeError(f"notify {path!r}: routers take paths of up to {MAX_NOTIFY} bytes")
        self.asked_for = True
        self._directory: str | None = None
        self._shown: dict[str, float] = {}
        self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._sock.setblocking(False)
        try:
            if os.path.lexists(self.path) and stat.S_ISSOCK(os.lstat(self.path).st_mode):
                os.unlink(self.path)
            self._sock.bind(self.path)
            # The router runs as somebody else. All that can be sent here is a line for the log.
            os.chmod(self.path, 0o666)  # noqa: S103
        except OSError as exc:
            self._sock.close()
            raise SubscribeError(f"notify {path!r}: {exc.strerror or exc}") from exc

    @classmethod
    def temporary(cls) -> "NotifySocket | None":
        """Make one in a new directory; None if that is not possible: nobody depends on it."""
        try:
            directory = tempfile.mkdtemp(prefix="uwsgi-subscribe-")
        except OSError:
            return None
        try:
            # Others may reach the socket, not list what else is there.
            os.chmod(directory, 0o711)  # noqa: S103
            made = cls(os.path.join(directory, "notify"))
        except (OSError, SubscribeError):
            shutil.rmtree(directory, ignore_errors=True)
            return None
        made.asked_for = False
        made._directory = directory
        return made

    def fileno(self) -> int:
        """Return the descriptor, to wait for."""
        return self._sock.fileno()

    def read(self) -> None:
        """Log what has arrived."""
        for _ in range(_BATCH):
            try:
                text = show(self._sock.recv(_MAX_READ))
            except OSError:
                return
            line = "".join(c if c.isprintable() else "?" for c in text)[:_MAX_SHOWN]
            if self._is_new(line):
                _tell(line)

    def _is_new(self, line: str) -> bool:
        """Return False for what was shown a short while ago, and if there is too much to remember."""
        now = time.monotonic()
        if self._shown.get(line, -_AGAIN) > now - _AGAIN:
            return False
        self._shown = {text: at for text, at in self._shown.items() if at > now - _AGAIN}
        if len(self._shown) >= _REMEMBERED:
            return False
        self._shown[line] = now
        return True

    def close(self) -> None:
        """Remove the socket."""
        self._sock.close()
        try:
            os.unlink(self.path)
        except OSError:
            pass
        if self._directory is not None:
            shutil.rmtree(self._directory, ignore_errors=True)


def notify_socket(announcements: Sequence[Announcement], path: str | None) -> NotifySocket | None:
    """Return a socket at ``path``; without a path one somewhere, if a router here could answer to it.

    Raises:
        SubscribeError: if there can't be one at ``path``.
    """
    if path is not None:
        return NotifySocket(path)
    if any(announcement.server.is_local for announcement in announcements):
        return NotifySocket.temporary()
    return None


def _tell(line: str) -> None:
    found = _ANSWER.fullmatch(line)
    if found is None:
        log.warning("the router says: %s", line)
    elif found[1] == "ack":
        log.info("accepted by the router: %s", found[2])
    else:
        log.warning("refused by the router: %s", found[2])
