"""Zerg pools: sockets that the master opens for other programs, and gives to whoever connects."""

import logging
import os
import socket
from collections.abc import Callable

from uwsgi_router.router.app.master.sockets import Asker, MasterSockets
from uwsgi_router.router.config.model import ProcessConfig
from uwsgi_router.router.config.types import ZergPool
from uwsgi_router.router.net.activation import SocketRequest
from uwsgi_router.router.net.listeners import OPTIONS
from uwsgi_router.router.net.zerg import give_sockets
from uwsgi_router.router.supervision.loop import SelectorLoop

log = logging.getLogger("uwsgi-router.zerg")


class ZergPools:
    """Zerg pools of a configuration.

    Args:
        loop: waits.
        sockets: of the master.
    """

    def __init__(self, loop: SelectorLoop, sockets: MasterSockets) -> None:
        self._loop = loop
        self._sockets = sockets
        self._listening: list[int] = []
        self._pools: tuple[ZergPool, ...] = ()
        self._taken = 0

    @property
    def user(self) -> str:
        """By what name the sockets are kept."""
        return f"zerg-pools-{self._taken}"

    def take(self, process: ProcessConfig) -> None:
        """Open the sockets of a configuration, instead of another one's.

        Raises:
            StartError: one can't be opened; those before it are given all the same.
        """
        self.close()
        if process.zerg_pools != self._pools:
            self._pools = process.zerg_pools
            self._taken += 1
        for pool in process.zerg_pools:
            given = [one for text in pool.listen for one in self._open(text, process)]
            for server in self._open(pool.path, process):
                descriptor = server.fileno()
                self._listening.append(descriptor)
                self._loop.add_reader(descriptor, self._serving(pool, server, given))

    def _open(self, text: str, process: ProcessConfig) -> list[socket.socket]:
        options = {name: getattr(process, name) for name in OPTIONS}
        umask = os.umask(0)
        os.umask(umask)
        # Whoever gets them may write first.
        request = SocketRequest(socket.SOCK_STREAM, text, options, server_first=True)
        bound = self._sockets.open(request, Asker(self.user, 0, os.getcwd(), umask))
        return [one.sock for one in bound]

    @staticmethod
    def _serving(
        pool: ZergPool, server: socket.socket, given: list[socket.socket]
    ) -> Callable[[], None]:
        """Return a function that gives sockets to a client that waits at a server."""

        def serve() -> None:
            try:
                client, _ = server.accept()
            except OSError:
                return
            with client:
                try:
                    give_sockets(client, given)
                except OSError as exc:
                    log.warning("zerg-pool = %s: %s", pool, exc.strerror)
                else:
                    log.info("zerg-pool = %s: %d sockets given", pool, len(given))

        return serve

    def close(self) -> None:
        """Give no more; the sockets stay with the master."""
        for descriptor in self._listening:
            self._loop.remove_reader(descriptor)
        self._listening.clear()
