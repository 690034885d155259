"""forkpty router of a configuration: its sockets, start, end, statistics."""

import asyncio
import socket
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from uwsgi_router.router.app.jail import Jail
from uwsgi_router.router.app.process.identity import user_number
from uwsgi_router.router.config.errors import StartError
from uwsgi_router.router.config.model import ForkptyConfig, ProcessConfig
from uwsgi_router.router.jails.forkpty.server import ForkptyServer
from uwsgi_router.router.net.activation import Inherited
from uwsgi_router.router.net.listeners import BoundSocket, bind_stream
from uwsgi_router.subscriptions.credentials import OVERFLOW_UID


class ForkptyJail(Jail):
    """forkpty router of a configuration.

    Attributes:
        raw: listeners whose clients' bytes are input.
        packets: listeners whose clients send packets.
        server: the router at work, once it was started.
    """

    name = "forkpty"

    def __init__(self, config: ForkptyConfig, process: ProcessConfig) -> None:
        super().__init__(process)
        self._config = config
        self.raw: list[BoundSocket] = []
        self.packets: list[BoundSocket] = []
        self.server: ForkptyServer | None = None

    def bind(self, inherited: Inherited, shared: Sequence[BoundSocket]) -> None:
        """Open its sockets."""
        config = self._config
        bind = partial(
            bind_stream,
            process=self._process,
            inherited=inherited,
            shared=shared,
            server_first=True,
        )
        for text in config.listen:
            self.raw += bind(text)
        for text in config.listen_packets:
            self.packets += bind(text)
        for text in config.stats:
            self.stats += bind(text)
        for bound in (*self.raw, *self.packets):
            if bound.sock.family != socket.AF_UNIX and not config.allow_tcp:
                raise StartError(
                    f"forkptyrouter on {bound.name}: it is a TCP socket: give a UNIX socket, or"
                    " forkptyrouter-allow-tcp = true"
                )

    def sockets(self) -> Iterator[BoundSocket]:
        """Yield what was bound."""
        yield from self.raw
        yield from self.packets
        yield from self.stats

    async def serve(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin to accept."""
        config = self._config
        self.server = ForkptyServer(
            config, self.raw, self.packets, loop=loop, uids=allowed_users(config)
        )
        self.server.start()

    async def end(self) -> None:
        """End the sessions."""
        if self.server is not None:
            await self.server.stop()

    def describe(self) -> Mapping[str, Any]:
        """Return uWSGI's keys, and behind them ours."""
        server = self.server
        assert server is not None
        counters = server.counters
        return {
            "active_sessions": server.active_sessions,
            "forkptyrouter": [bound.name for bound in (*self.raw, *self.packets)],
            "cheap": 0,
            "sessions": counters.sessions,
            "programs": server.programs,
            "refused": counters.refused,
            "failed": counters.failed,
            "rx": counters.received,
            "tx": counters.sent,
        }


def allowed_users(config: ForkptyConfig) -> list[int]:
    """Look up the users that may connect.

    Raises:
        StartError: if there is no such user, or it may be anybody.
    """
    found = [user_number("forkptyrouter-allow-uid", text) for text in config.allow_uids]
    if OVERFLOW_UID in found:
        raise StartError(
            f"forkptyrouter-allow-uid: {OVERFLOW_UID} is what the kernel calls everybody whom it can't name: allow a"
            " user of its own"
        )
    return found
