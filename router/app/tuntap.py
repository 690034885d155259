"""tuntap routers and devices of a configuration: TUN devices, sockets, start, end, statistics."""

import asyncio
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from uwsgi_router.protocol.address import UnixAddress, parse_address
from uwsgi_router.router.app.jail import Jail
from uwsgi_router.router.config.errors import StartError
from uwsgi_router.router.config.model import ProcessConfig, TunTapConfig
from uwsgi_router.router.config.tuntap_values import TunDeviceConfig, TunRouterConfig
from uwsgi_router.router.jails.tuntap.client import TunDeviceClient
from uwsgi_router.router.jails.tuntap.device import open_tun
from uwsgi_router.router.jails.tuntap.server import TunTapServer
from uwsgi_router.router.net.activation import Inherited
from uwsgi_router.router.net.listeners import BoundSocket, bind_datagram, bind_stream


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
        self._tun, self.device = _opened(router.device, inherited)
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
            descriptor, _ = _opened(device.device, inherited)
            self._devices.append((descriptor, device))

    def sockets(self) -> Iterator[BoundSocket]:
        """Yield nothing: it connects."""
        yield from ()

    def close_sockets(self) -> None:
        """Close the devices, which are gone then unless others have them."""
        for descriptor, _ in self._devices:
            os.close(descriptor)
        self._devices.clear()

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


def _opened(name: str, inherited: Inherited) -> tuple[int, str]:
    """Return the descriptor and name of a TUN device; the master opens it, if there is one.

    Raises:
        StartError: it can't be opened.
    """
    try:
        found = inherited.device(name)
    except ValueError as exc:
        raise StartError(str(exc)) from exc
    except OSError as exc:
        raise StartError(f"cannot open the TUN device {name}: the master process is gone") from exc
    return open_tun(name) if found is None else found
