"""Jail: a router for jails, from its binding to its end; it can have a process of its own."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from uwsgi_router.router.admin.stats.jails import JailStatsServer
from uwsgi_router.router.config.model import ProcessConfig
from uwsgi_router.router.net.activation import Inherited
from uwsgi_router.router.net.listeners import BoundSocket


class Jail(ABC):
    """Router for jails: bound with the rights of whoever started the program, started once these are dropped.

    Attributes:
        name: for the log and for ``ps``.
        stats: sockets of its statistics.
    """

    name: str

    def __init__(self, process: ProcessConfig) -> None:
        self._process = process
        self.stats: list[BoundSocket] = []
        self._stats_server: JailStatsServer | None = None

    @abstractmethod
    def bind(self, inherited: Inherited, shared: Sequence[BoundSocket]) -> None:
        """Open what it needs.

        Raises:
            StartError: if something can't be opened.
        """

    @abstractmethod
    def sockets(self) -> Iterator[BoundSocket]:
        """Yield what was bound."""

    @abstractmethod
    async def serve(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin to serve."""

    @abstractmethod
    async def end(self) -> None:
        """End what it serves."""

    @abstractmethod
    def describe(self) -> Mapping[str, Any]:
        """Return its part of the stats document."""

    async def start(self) -> None:
        """Begin to serve, statistics too."""
        loop = asyncio.get_running_loop()
        await self.serve(loop)
        if self.stats:
            self._stats_server = JailStatsServer(self.stats, self.describe, self._process, loop)
            self._stats_server.start()

    async def stop(self) -> None:
        """End everything."""
        await self.end()
        if self._stats_server is not None:
            await self._stats_server.close()

    def close_sockets(self) -> None:
        """Close what :meth:`bind` opened, and remove socket files that are ours."""
        for bound in self.sockets():
            bound.unlink()
            bound.close()
