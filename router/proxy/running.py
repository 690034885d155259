"""Requests that run, by node: how many wait for an answer, or are streams; for operators, on the rare ways."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from uwsgi_router.router.net.fiber import Phase
from uwsgi_router.router.proxy.connection import Connections
from uwsgi_router.router.proxy.directions import Download
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


def end_streams_of(routers: Iterable[Connections], names: Collection[str]) -> int:
    """End the streams of events of nodes with these names behind an event, and their WebSockets with 1012.

    Returns:
        How many there were.
    """
    count = 0
    for connections in routers:
        for connection in connections.all():
            exchange = connection.exchange
            if not isinstance(exchange, Exchange) or exchange.lease is None:
                continue
            if exchange.lease.node.name in names:
                count += end_stream(exchange)
    return count


def end_stream(exchange: Exchange) -> bool:
    """End a stream of events behind an event, or a WebSocket with 1012; return False if a request is neither."""
    if exchange.client.tunnel is not None:
        exchange.client.send_close(None, restart=True)
        return True
    download = _stream_of(exchange)
    if download is None:
        return False
    download.end_events()
    return True


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
    elif _stream_of(exchange) is not None:
        load.streams += 1


def _stream_of(exchange: Exchange) -> Download | None:
    """Return what passes a stream of events to the client of a request; None: nothing does."""
    lease = exchange.lease
    if lease is None or lease.link is None:
        return None
    reader = lease.link.reader
    return reader if isinstance(reader, Download) and reader.events is not None else None
