"""A router of either kind in this process."""

import asyncio
from typing import Any, Self

from tests.lab.messages import KEY
from tests.lab.waiting import PATIENCE
from uwsgi_router.protocol.subscription import Subscription
from uwsgi_router.router.app.gateway import Gateway
from uwsgi_router.router.app.instance import Instance
from uwsgi_router.router.config.model import (
    Configuration,
    HttpRouterConfig,
    ProcessConfig,
    RouterConfig,
    SubscriptionConfig,
    TlsConfig,
)
from uwsgi_router.router.proxy.context import Timing
from uwsgi_router.router.report.counters import Counters
from uwsgi_router.router.table.table import Table
from uwsgi_router.router.table.timing import TableTiming
from uwsgi_router.subscriptions.node import SubscribedNode


class Router:
    """An instance with one router: HTTP, fastrouter or raw, as the configuration says."""

    gateway: Gateway

    def __init__(
        self,
        config: RouterConfig | HttpRouterConfig,
        timing: Timing,
        *,
        subscription: dict[str, Any] | None = None,
        process: dict[str, Any] | None = None,
        tls: dict[str, Any] | None = None,
        table_timing: TableTiming | None = None,
    ) -> None:
        self.config = config
        self.instance = Instance(
            Configuration(
                process=ProcessConfig(defer_accept=False, **(process or {})),
                subscription=SubscriptionConfig(**(subscription or {})),
                routers=(config,),
                tls=TlsConfig(**(tls or {})),
            ),
            timing=timing,
            table_timing=table_timing,
        )
        self.started = self.stopped = False

    async def start(self) -> Self:
        self.instance.bind()
        # Sockets that were only bound are closed by the instance; so note the address now.
        router = self.instance.routers[0]
        bound = [*router.streams, *(one for one, _files in router.secure)]
        self.address = bound[0].sock.getsockname()
        self.secure = [one.sock.getsockname() for one, _files in router.secure]
        await self.instance.start()
        (self.gateway,) = self.instance.gateways
        self.started = True
        return self

    @property
    def table(self) -> Table:
        return next(iter(self.instance.tables))

    def announce(self, address: str, key: bytes = KEY, **fields: Any) -> SubscribedNode:
        """What a datagram does."""
        table, now = self.table, asyncio.get_running_loop().time()
        subscription = Subscription("subscribe", key, address, **fields)
        table.report(table.registry.apply(subscription, source="127.0.0.1", now=now))
        node = table.registry.pools[subscription.key].get(address)
        assert node is not None
        return node

    def leave(self, address: str, key: bytes = KEY) -> None:
        table, now = self.table, asyncio.get_running_loop().time()
        subscription = Subscription("unsubscribe", key, address)
        table.report(table.registry.apply(subscription, source="127.0.0.1", now=now))

    @property
    def counters(self) -> Counters:
        return self.gateway.counters

    async def at_rest(self) -> Counters:
        """Wait for the last session; then every request must have been counted once."""
        async with asyncio.timeout(PATIENCE):
            await self.gateway.drained()
        counters = self.counters
        ended = counters.completed + counters.client_aborts + sum(counters.failed.values())
        assert counters.requests == ended
        assert counters.holding == 0
        return counters

    async def stop(self, mercy: float = 0) -> None:
        if not self.stopped:
            self.stopped = True
            await self.instance.stop(mercy)
