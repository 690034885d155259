"""Watch over the files of listening UNIX sockets: one that was deleted or replaced is bound again."""

import logging
import os
from collections.abc import Callable, Iterable
from typing import Final, Protocol

from uwsgi_router.router.config.model import ProcessConfig
from uwsgi_router.router.net.binding import bind_again
from uwsgi_router.router.net.listeners import BoundSocket
from uwsgi_router.router.net.unix_file import SocketFileError

log = logging.getLogger("uwsgi-router.listen")

#: Seconds between two looks.
INTERVAL: Final = 1.0
#: Looks that are left out after one that found somebody else's socket: each is a connection to it.
_LEFT_OUT: Final = 10


class Handle(Protocol):
    """Handle of a timer."""

    def cancel(self) -> None:
        """Never fire."""


class Timers(Protocol):
    """Timers of a loop, asyncio's or the master's."""

    def call_later(self, delay: float, callback: Callable[[], object], /) -> Handle:
        """Call back once, after so many seconds."""


class _Watched:
    """Socket that is watched.

    Attributes:
        bound: see below.
        path: of its file.
        status: mode and owner of the file.
        said: why it can't be bound again, as it was logged; "": it can, or need not be.
        pause: looks to leave out.
    """

    def __init__(self, bound: BoundSocket, path: bytes, status: os.stat_result) -> None:
        self.bound = bound
        self.path = path
        self.status = status
        self.said = ""
        self.pause = 0


class FileWatch:
    """Watch over socket files, from :meth:`start` to :meth:`close`.

    Args:
        sockets: those with files of ours are watched.
        process: socket options.
        loop: has timers.
        rebound: called when a socket has been bound again.
        interval: seconds between two looks.
    """

    def __init__(
        self,
        sockets: Iterable[BoundSocket],
        process: ProcessConfig,
        loop: Timers,
        rebound: Callable[[], object],
        *,
        interval: float = INTERVAL,
    ) -> None:
        self._process = process
        self._loop = loop
        self._rebound = rebound
        self._interval = interval
        self._timer: Handle | None = None
        self._watched: list[_Watched] = []
        for bound in sockets:
            if bound.file is not None and bound.can_be_replaced:
                path = bound.file.path
                try:
                    self._watched.append(_Watched(bound, path, os.lstat(path)))
                except OSError as exc:
                    # We may not look into the directory any more, or it is gone already.
                    log.info("%s: its file is not watched: %s", bound.name, exc.strerror)

    def start(self) -> None:
        """Look now and then."""
        if self._watched:
            self._timer = self._loop.call_later(self._interval, self._look)

    def close(self) -> None:
        """Look no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        self._timer = self._loop.call_later(self._interval, self._look)
        for watched in self._watched:
            if watched.pause:
                watched.pause -= 1
            else:
                self._look_at(watched)

    def _look_at(self, watched: _Watched) -> None:
        bound, file = watched.bound, watched.bound.file
        if file is None:
            # It is being closed.
            return
        try:
            if file.is_there():
                watched.said = ""
                return
            what = "replaced"
        except FileNotFoundError:
            what = "deleted"
        except OSError:
            return
        try:
            sock, fresh = bind_again(watched.path, bound.sock.type, watched.status, self._process)
        except (OSError, SocketFileError) as exc:
            why = exc.strerror if isinstance(exc, OSError) else str(exc)
            if isinstance(exc, SocketFileError):
                watched.pause = _LEFT_OUT
            self._say(watched, f"its socket file was {what}, and can't be bound again: {why}")
            return
        watched.said = ""
        bound.replace(sock, fresh)
        self._rebound()
        log.warning("%s: its socket file was %s; it is bound again", bound.name, what)
        new = os.lstat(watched.path)
        if (new.st_uid, new.st_gid) != (watched.status.st_uid, watched.status.st_gid):
            text = "%s: the new file belongs to user %d, group %d (%d, %d before): only root could give it away"
            before = watched.status
            log.warning(text, bound.name, new.st_uid, new.st_gid, before.st_uid, before.st_gid)

    def _say(self, watched: _Watched, text: str) -> None:
        if watched.said != text:
            watched.said = text
            log.warning("%s: %s", watched.bound.name, text)
