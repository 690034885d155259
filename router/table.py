"""One table of announced nodes, the datagram sockets that feed it, and the routers that use it.

Two routers that name the same subscription address share one table, so both are told what happens in it.
"""

import asyncio
import logging
from collections.abc import Sequence
from typing import Final

from router.config import SubscriptionConfig
from router.engine.gateway import Gateway, show
from router.log import RateLimited
from router.net.listeners import BoundSocket
from subscriptions.events import Event, NodeAdded, NodeFailed, PoolAdded, PoolRemoved
from subscriptions.registry import Registry
from subscriptions.server import SubscriptionServer

log = logging.getLogger("uwsgi-router.subscriptions")

#: Seconds between two looks for nodes that fell silent.
SWEEP: Final = 1.0

_REASONS: Final = {
    "connect": "a connect failed",
    "unsubscribe": "it unsubscribed",
    "silent": "it fell silent",
}


class Table:
    """The registry at work.

    Attributes:
        registry: the nodes.
    """

    def __init__(self, config: SubscriptionConfig, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._tolerance = config.tolerance
        self.registry = Registry(
            started=loop.time(),
            tolerance=config.tolerance,
            algorithm=config.algorithm,
            dotsplit=config.dotsplit,
            mountpoints=config.mountpoints,
            max_keys=config.max_keys,
            max_nodes_per_key=config.max_nodes_per_key,
            protocols=frozenset({"uwsgi", "http"}),
        )
        self._gateways: list[Gateway] = []
        self._servers: list[SubscriptionServer] = []
        self._timer: asyncio.TimerHandle | None = None
        self._limited = RateLimited(log)

    def __repr__(self) -> str:
        return f"<Table {self.registry!r} servers={len(self._servers)}>"

    def used_by(self, gateway: Gateway) -> None:
        """Tell ``gateway`` what happens from now on."""
        self._gateways.append(gateway)

    def start(self, sockets: Sequence[BoundSocket]) -> None:
        """Begin to listen to announces, and to notice silence."""
        for bound in sockets:
            server = SubscriptionServer(
                bound.sock, self.registry, self.report, self._refused, self._loop
            )
            server.start()
            self._servers.append(server)
        if self._timer is None:
            # Once, however many routers share the table.
            self._timer = self._loop.call_later(SWEEP, self._sweep)

    def close(self) -> None:
        """Listen no more."""
        for server in self._servers:
            server.close()
        self._servers.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _sweep(self) -> None:
        self._timer = self._loop.call_later(SWEEP, self._sweep)
        self.report(self.registry.sweep(self._loop.time()))

    def report(self, events: list[Event]) -> None:
        """Log what happened in the table and pass it on."""
        if not events:
            return
        for event in events:
            self._log(event)
        for gateway in self._gateways:
            gateway.table_changed(events)

    def _log(self, event: Event) -> None:
        match event:
            case PoolAdded(key, algorithm):
                log.info("new pool %s (%s)", show(key), algorithm)
            case NodeAdded(key, node):
                log.info(
                    "[%s] new node: %s (weight %d, backup %d)",
                    show(key),
                    node.name,
                    node.weight,
                    node.backup,
                )
            case NodeFailed(key, node, reason):
                text = _REASONS[reason]
                if reason == "silent":
                    text += f", no announce for {self._tolerance:g} s"
                # Leaving in good order is no reason to wake anybody.
                level = logging.INFO if reason == "unsubscribe" else logging.WARNING
                log.log(level, "[%s] marking %s as failed: %s", show(key), node.name, text)
            case PoolRemoved(key):
                log.info("[%s] no nodes left", show(key))
            case _:
                pass

    def _refused(self, sender: str, reason: str) -> None:
        for gateway in self._gateways:
            gateway.counters.refused_datagrams += 1
        self._limited.warning(sender, "refused a subscription datagram from %s: %s", sender, reason)
