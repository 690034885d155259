"""Routers for jails of a configuration: sockets, statistics, start and end; each can have a process of its own."""

import asyncio
import os
import socket
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from uwsgi_router.protocol.address import UnixAddress, parse_address
from uwsgi_router.router.admin.stats.jails import JailStatsServer
from uwsgi_router.router.app.process.identity import user_number
from uwsgi_router.router.config.errors import StartError
from uwsgi_router.router.config.model import (
    Configuration,
    ForkptyConfig,
    ProcessConfig,
    TunTapConfig,
)
from uwsgi_router.router.config.tuntap_values import TunDeviceConfig, TunRouterConfig
from uwsgi_router.router.jails.forkpty.server import ForkptyServer
from uwsgi_router.router.jails.tuntap.client import TunDeviceClient
from uwsgi_router.router.jails.tuntap.device import open_tun
from uwsgi_router.router.jails.tuntap.server import TunTapServer
from uwsgi_router.router.net.activation import Inherited
from uwsgi_router.router.net.listeners import BoundSocket, bind_datagram, bind_stream


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

    def take(self) -> None:
        """Take it over in another process than the one that bound it, and that will remove its socket files."""
        for bound in self.sockets():
            bound.file = None

    def leave(self) -> None:
        """Close our copies of its descriptors: another process has it."""
        for bound in self.sockets():
            bound.sock.close()


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


class TunTapJail(Jail):
    """One tuntap router of a configuration.

    Attributes:
        device: name of the TUN device.
        listeners: that devices connect to.
        server: the router at work, once it was started.
    """

    name = "tuntap"

    def __init__(
        self, router: TunRouterConfig, config: TunTapConfig, process: ProcessConfig
    ) -> None:
        super().__init__(process)
        self._router = router
        self._config = config
        self._tun = -1
        self._gateway: list[BoundSocket] = []
        self.device = router.device
        self.listeners: list[BoundSocket] = []
        self.server: TunTapServer | None = None

    def bind(self, inherited: Inherited, shared: Sequence[BoundSocket]) -> None:
        """Open the TUN device and the sockets."""
        router, process = self._router, self._process
        self._tun, self.device = open_tun(router.device)
        self.listeners = bind_stream(router.socket, process, inherited, shared)
        if router.gateway is not None:
            host, port = router.gateway
            self._gateway = bind_datagram(f"{host}:{port}", process, inherited)
        stats = router.stats or self._config.stats
        if stats is not None:
            self.stats = bind_stream(stats, process, inherited, shared, server_first=True)

    def sockets(self) -> Iterator[BoundSocket]:
        """Yield what was bound."""
        yield from self.listeners
        yield from self._gateway
        yield from self.stats

    def close_sockets(self) -> None:
        """Close everything, the device too, which is gone then unless others have it."""
        super().close_sockets()
        self._close_device()

    def leave(self) -> None:
        """Close our copies of its descriptors."""
        super().leave()
        self._close_device()

    def _close_device(self) -> None:
        if self._tun >= 0:
            os.close(self._tun)
            self._tun = -1

    async def serve(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin to move packets."""
        gateway = self._gateway[0].sock if self._gateway else None
        self.server = TunTapServer(self._config, self._tun, self.listeners, gateway, loop=loop)
        self.server.start()

    async def end(self) -> None:
        """End the connections."""
        if self.server is not None:
            self.server.stop()

    def describe(self) -> Mapping[str, Any]:
        """Return uWSGI's keys, and behind them ours."""
        assert self.server is not None
        return {**self.server.describe(), "device": self.device}


class TunDeviceJail(Jail):
    """Devices of a vassal, and their connections to tuntap routers.

    Attributes:
        clients: of the devices that have a router, once they were started.
    """

    name = "tuntap-device"

    def __init__(self, config: TunTapConfig, process: ProcessConfig) -> None:
        super().__init__(process)
        self._config = config
        self._devices: list[tuple[int, TunDeviceConfig]] = []
        self.clients: list[TunDeviceClient] = []

    def bind(self, inherited: Inherited, shared: Sequence[BoundSocket]) -> None:  # noqa: ARG002
        """Open the TUN devices."""
        for device in self._config.devices:
            descriptor, _ = open_tun(device.device)
            self._devices.append((descriptor, device))

    def sockets(self) -> Iterator[BoundSocket]:
        """Yield nothing: it connects."""
        yield from ()

    def close_sockets(self) -> None:
        """Close the devices, which are gone then unless others have them."""
        for descriptor, _ in self._devices:
            os.close(descriptor)
        self._devices.clear()

    def leave(self) -> None:
        """Close our copies of the devices."""
        self.close_sockets()

    async def serve(self, loop: asyncio.AbstractEventLoop) -> None:
        """Connect the devices."""
        config = self._config
        for descriptor, device in self._devices:
            if device.socket is None:
                continue
            address = parse_address(device.socket)
            assert isinstance(address, UnixAddress)
            client = TunDeviceClient(
                descriptor,
                address.path,
                config.device_rules,
                loop=loop,
                use_credentials=config.use_credentials,
            )
            self.clients.append(client)
            client.start()

    async def end(self) -> None:
        """Disconnect them."""
        for client in self.clients:
            client.stop()

    def describe(self) -> Mapping[str, Any]:
        """Return nothing: there are no statistics."""
        return {}


def allowed_users(config: ForkptyConfig) -> list[int]:
    """Look up the users that may connect.

    Raises:
        StartError: if there is no such user.
    """
    return [user_number("forkptyrouter-allow-uid", text) for text in config.allow_uids]


def build_jails(configuration: Configuration) -> list[Jail]:
    """Make the routers for jails that a configuration has; nothing is opened yet."""
    jails: list[Jail] = []
    if configuration.forkpty.listens:
        jails.append(ForkptyJail(configuration.forkpty, configuration.process))
    tuntap, process = configuration.tuntap, configuration.process
    jails += [TunTapJail(router, tuntap, process) for router in tuntap.routers]
    if tuntap.devices:
        jails.append(TunDeviceJail(tuntap, process))
    return jails
