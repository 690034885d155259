"""Requests that run, by node: how many wait for an answer, or are streams; for operators, on the rare ways."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

from uwsgi_router.protocol.text import to_text
from uwsgi_router.router.net.fiber import Phase
from uwsgi_router.router.proxy.connection import Connection, Connections
from uwsgi_router.router.proxy.exchange import Exchange
from uwsgi_router.subscriptions.node import Node


@dataclass(slots=True)
class NodeLoad:
    """Load of a node: its running requests.

    Attributes:
        waiting: those that have no byte of an answer yet.
        waiting_since: seconds of silence of the one that was silent for the shortest; 0.0: none waits.
        streams: those whose answer is a stream of events.
        tunnels: WebSockets and other tunnels.
    """

    waiting: int = 0
    waiting_since: float = 0.0
    streams: int = 0
    tunnels: int = 0

    def add(self, other: "NodeLoad") -> None:
        """Add the load that a node has from somewhere else."""
        if other.waiting:
            silent = other.waiting_since
            self.waiting_since = min(self.waiting_since, silent) if self.waiting else silent
        self.waiting += other.waiting
        self.streams += other.streams
        self.tunnels += other.tunnels


def loads_of(routers: Iterable[Connections], now: float) -> Mapping[Node, NodeLoad]:
    """Return the loads of all nodes that have one.

    Args:
        routers: their open connections.
        now: on the loop's clock.
    """
    found: dict[Node, NodeLoad] = {}
    for connections in routers:
        for connection in connections.all():
            exchange = connection.exchange
            if isinstance(exchange, Exchange) and exchange.lease is not None:
                _add(found.setdefault(exchange.lease.node, NodeLoad()), exchange, now)
    return found


def named_loads(routers: Iterable[Connections], now: float) -> dict[tuple[str, str], NodeLoad]:
    """Return the same by key (as text; "" of a configured node) and name of the node."""
    found: dict[tuple[str, str], NodeLoad] = {}
    for node, load in loads_of(routers, now).items():
        key = to_text(getattr(node, "key", b""))
        found.setdefault((key, node.name), NodeLoad()).add(load)
    return found


def watch_streams_of(routers: Iterable[Connections], names: Collection[str]) -> None:
    """Note from now on where events end in the streams of nodes with these names; they are to be ended."""
    for connection in _of_nodes(routers, names):
        if connection.open_answer is not None:
            connection.open_answer.watch()


def end_streams_of(routers: Iterable[Connections], names: Collection[str]) -> None:
    """End the streams of events of nodes with these names behind an event, and their WebSockets with 1012."""
    for connection in _of_nodes(routers, names):
        exchange = connection.exchange
        if connection.open_answer is not None:
            connection.open_answer.end()
        elif isinstance(exchange, Exchange) and exchange.client.tunnel is not None:
            exchange.client.send_close(None, restart=True)


def _of_nodes(routers: Iterable[Connections], names: Collection[str]) -> Iterator[Connection]:
    """Yield the connections whose requests are with nodes of these names."""
    for connections in routers:
        for connection in connections.all():
            exchange = connection.exchange
            lease = exchange.lease if isinstance(exchange, Exchange) else None
            if lease is not None and lease.node.name in names:
                yield connection


def _add(load: NodeLoad, exchange: Exchange, now: float) -> None:
    client, fiber = exchange.client, exchange.fiber
    if client.tunnel is not None:
        load.tunnels += 1
    elif not client.begun:
        # Before that phase it connects, or sends again.
        answers = fiber.phase is Phase.ANSWER
        silent = max(0.0, now - (fiber.deadline - fiber.slides)) if answers else 0.0
        load.waiting_since = min(load.waiting_since, silent) if load.waiting else silent
        load.waiting += 1
    elif client.connection.open_answer is not None and client.connection.open_answer.has_events:
        load.streams += 1
