"""What no socket tells of a router: phases, unsent bytes, what is kept, what is left."""

import gc
import os
from dataclasses import dataclass, field
from typing import TypeVar

from tests.lab.router import Router
from tests.lab.waiting import until
from uwsgi_router.router.net.link import Link
from uwsgi_router.router.proxy.directions import Upload
from uwsgi_router.router.proxy.lease import Lease
from uwsgi_router.router.proxy.route import Route
from uwsgi_router.router.proxy.upstream_pool import UpstreamPool
from uwsgi_router.subscriptions.node import Node

T = TypeVar("T")


def phases(router: Router) -> list[str]:
    """The phase of each open connection."""
    return [connection.fiber.phase.value for connection in router.gateway.connections.all()]


def client_link(router: Router) -> Link:
    """The router's end of the only connection of a client."""
    (connection,) = router.gateway.connections.all()
    return connection.link


def upload_of(router: Router) -> Upload:
    """What reads the only client."""
    link = client_link(router)
    (found,) = (pump for pump in living(Upload) if pump.source is link)
    return found


def node_links(router: Router) -> list[Link]:
    """The router's ends of the connections to nodes that are in use."""
    poller = router.gateway.context.poller
    leases = (lease for lease in living(Lease) if lease._context.poller is poller)
    return [lease.link for lease in leases if lease.link is not None]


def route(router: Router) -> Route:
    """Of the only request."""
    (found,) = routes(router)
    return found


def routes(router: Router) -> list[Route]:
    """Of all requests."""
    context = router.gateway.context
    return [one for one in living(Route) if one._context is context]


def living(kind: type[T]) -> list[T]:
    return [thing for thing in gc.get_objects() if isinstance(thing, kind)]


@dataclass
class Left:
    """What a router must not have any more when its clients have gone."""

    sessions: int = 0
    in_use: dict[str, int] = field(default_factory=dict)
    waiting: dict[str, int] = field(default_factory=dict)
    references: dict[str, int] = field(default_factory=dict)
    queueing: int = 0
    spooled_bytes: int = 0


def upstreams_of(router: Router) -> UpstreamPool:
    return router.gateway.upstreams


def nodes_of(router: Router) -> list[Node]:
    """All nodes that it knows."""
    nodes: list[Node] = [*(router.gateway.static_nodes or ())]
    for table in router.instance.tables:
        for pool in table.registry.pools.values():
            nodes += pool.nodes
    return nodes


def only_node(router: Router) -> Node:
    (node,) = nodes_of(router)
    return node


def left_of(router: Router) -> Left:
    """What the router still has of its requests."""
    connections = upstreams_of(router)._nodes.items()
    return Left(
        router.gateway.active_sessions,
        {node.name: of.in_use for node, of in connections if of.in_use},
        {repr(group): len(queue) for group, queue in upstreams_of(router)._queues.items()},
        {node.name: node.reference for node in nodes_of(router) if node.reference},
        router.gateway.counters.queueing,
        router.gateway.counters.spooled_bytes,
    )


async def counts(router: Router, node: Node) -> tuple[int, int]:
    """Connections of a node in use and idle, when the loop has seen what was sent."""
    await until(lambda: upstreams_of(router).counts(node)[0] == 0)
    return upstreams_of(router).counts(node)


def open_sockets() -> list[str]:
    """Every socket of this process."""
    names = []
    for number in os.listdir("/proc/self/fd"):
        try:
            names.append(os.readlink(f"/proc/self/fd/{number}"))
        except OSError:
            continue
    return [name for name in names if name.startswith("socket:")]
