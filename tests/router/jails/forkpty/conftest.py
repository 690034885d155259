"""A forkpty router of a test, and its clients."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.lab.clients import Peer
from tests.lab.log import Log
from tests.lab.waiting import PATIENCE
from uwsgi_router.router.config.model import ForkptyConfig, ProcessConfig
from uwsgi_router.router.jails.forkpty.server import ForkptyServer
from uwsgi_router.router.net.activation import Inherited
from uwsgi_router.router.net.listeners import bind_stream


class Terminals:
    """Forkpty routers and clients; fails the test if one leaves a program or a descriptor behind."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.servers: list[ForkptyServer] = []
        self.clients: list[Client] = []

    def router(
        self,
        command: str | None = "/bin/cat",
        *,
        grace: float = 5.0,
        address: str = "",
        **more: Any,
    ) -> ForkptyServer:
        """A router with a raw listener and one for packets."""
        process = ProcessConfig()
        raw = bind_stream(address or str(self.directory / "raw.sock"), process, Inherited())
        packets = bind_stream(str(self.directory / "packets.sock"), process, Inherited())
        self.raw_address: Any = raw[0].sock.getsockname()
        server = ForkptyServer(
            ForkptyConfig(command=command, **more),
            raw,
            packets,
            loop=asyncio.get_running_loop(),
            grace=grace,
        )
        server.start()
        self.servers.append(server)
        return server

    def client_of(self, uid: int) -> "Client":
        """A raw client of another user; only root can become that."""
        os.seteuid(uid)
        try:
            return self.client()
        finally:
            os.seteuid(0)

    def client(self, *, packets: bool = False) -> "Client":
        address = str(self.directory / "packets.sock") if packets else self.raw_address
        family = socket.AF_UNIX if isinstance(address, str | bytes) else socket.AF_INET
        sock = socket.socket(family)
        sock.connect(address)
        client = Client(sock)
        self.clients.append(client)
        return client

    async def close(self) -> None:
        for client in self.clients:
            client.close()
        for server in self.servers:
            await server.stop()
            assert (server.active_sessions, server.programs) == (0, 0)


class Client(Peer):
    """A client of a forkpty router."""

    def __init__(self, sock: socket.socket) -> None:
        super().__init__(sock)
        self.seen = b""

    async def until(self, text: bytes) -> bytes:
        """What the terminal printed, up to ``text``."""
        async with asyncio.timeout(PATIENCE):
            while text not in self.seen:
                more = await self.some()
                assert more, self.seen
                self.seen += more
        found, _, self.seen = self.seen.partition(text)
        return found + text


@pytest.fixture
async def terminals(tmp_path: Path, log: Log) -> AsyncIterator[Terminals]:
    before = len(os.listdir("/proc/self/fd"))
    place = Terminals(tmp_path)
    yield place
    await place.close()
    assert len(os.listdir("/proc/self/fd")) <= before
