"""DNS names of configured nodes (``to``): resolved at the start, and again at intervals."""

import asyncio
import logging
from collections.abc import Sequence

from uwsgi_router.router.app.gateway import Gateway
from uwsgi_router.router.core.log import RateLimited
from uwsgi_router.router.net.resolver import Resolver
from uwsgi_router.router.proxy.context import Timing
from uwsgi_router.router.routing.static import StaticForwarder

log = logging.getLogger("uwsgi-router")


class Names:
    """Refresher of the addresses of named nodes.

    Args:
        gateways: whose nodes these are.
        resolver: asks.
        loop: the event loop.
        timing: how long the first look may take, and when the next one is.
    """

    def __init__(
        self,
        gateways: Sequence[Gateway],
        resolver: Resolver,
        loop: asyncio.AbstractEventLoop,
        timing: Timing,
    ) -> None:
        self._gateways = gateways
        self._resolver = resolver
        self._loop = loop
        self._first_look = timing.first_look
        self._interval = timing.resolve_again
        self._refresher: asyncio.Task[None] | None = None
        self._limited = RateLimited(log, per_second=1 / 60)

    async def start(self) -> None:
        """Resolve each name once, for a while at most, and go on in the background."""
        if not any(_names_of(gateway) for gateway in self._gateways):
            return
        try:
            async with asyncio.timeout(self._first_look * 2):
                await self._resolve_all()
        except TimeoutError:
            log.warning("names are still being resolved; their nodes follow")
        self._refresher = self._loop.create_task(self._keep_resolving())

    def close(self) -> None:
        """Resolve no more."""
        if self._refresher is not None:
            self._refresher.cancel()

    async def _keep_resolving(self) -> None:
        while True:
            await asyncio.sleep(self._interval)
            await self._resolve_all()

    async def _resolve_all(self) -> None:
        # All at once: none waits for another one's name server.
        await asyncio.gather(
            *(
                self._resolve(gateway.name, forwarder, index)
                for gateway in self._gateways
                if isinstance(forwarder := gateway.forwarder, StaticForwarder)
                for index in forwarder.names
            )
        )

    async def _resolve(self, name: str, forwarder: StaticForwarder, index: int) -> None:
        address = forwarder.names[index]
        try:
            found = await self._resolver.resolve(address, self._first_look)
        except OSError as exc:
            why = exc.strerror or exc
            text = "%s-to = %s: its name can't be resolved: %s"
            self._limited.warning(address, text, name, address, why)
            return
        if forwarder.resolved(index, found):
            hosts = ", ".join(str(where[1][0]) for where in found if isinstance(where[1], tuple))
            log.info("%s-to = %s: now %s", name, address, hosts)


def _names_of(gateway: Gateway) -> bool:
    return isinstance(gateway.forwarder, StaticForwarder) and bool(gateway.forwarder.names)
