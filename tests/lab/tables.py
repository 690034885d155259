"""A table of announced nodes on a UDP port, without a router."""

import asyncio
import socket
import time
from collections.abc import Callable
from typing import Any

from tests.lab.messages import KEY
from uwsgi_router.protocol.subscription import Subscription, encode
from uwsgi_router.router.config.model import ProcessConfig, SubscriptionConfig
from uwsgi_router.router.net.activation import Inherited
from uwsgi_router.router.net.lanes import second_lane
from uwsgi_router.router.net.listeners import bind_datagram
from uwsgi_router.router.table.table import Table
from uwsgi_router.router.table.timing import TableTiming


class BoundTable:
    """A table that listens, and a socket that sends to it."""

    def __init__(
        self,
        *,
        port: int = 0,
        wall_clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
        timing: TableTiming | None = None,
        process: ProcessConfig | None = None,
        **options: Any,
    ) -> None:
        process = process or ProcessConfig()
        self.bound = bind_datagram(f"127.0.0.1:{port}", process, Inherited())
        for one in self.bound:
            one.second = second_lane(one)
        config, loop = SubscriptionConfig(**options), asyncio.get_running_loop()
        self.table = Table(config, loop, wall_clock=wall_clock, monotonic=monotonic, timing=timing)
        self.table.start(self.bound)
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.connect(self.where)

    @property
    def where(self) -> Any:
        return self.bound[0].sock.getsockname()

    def say(
        self, command: Any, address: str = "127.0.0.1:4001", key: bytes = KEY, **fields: Any
    ) -> None:
        """Send a datagram to it."""
        self.sock.send(encode(Subscription(command, key, address, **fields)))

    def nodes(self, key: bytes = KEY) -> list[str]:
        """The names of a key's nodes."""
        pool = self.table.registry.pools.get(key)
        return [] if pool is None else [node.name for node in pool.nodes]

    def close(self) -> None:
        self.table.close()
        self.sock.close()
        for bound in self.bound:
            bound.close()
