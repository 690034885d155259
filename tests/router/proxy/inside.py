"""What no socket tells of a router: phases, unsent bytes, what is kept."""

import gc
from typing import TypeVar

from tests.router.proxy.nodes import Router
from uwsgi_router.router.net.link import Link
from uwsgi_router.router.proxy.lease import Lease
from uwsgi_router.router.proxy.pump import Upload
from uwsgi_router.router.proxy.route import Route

T = TypeVar("T")


def phases(router: Router) -> list[str]:
    """The phase of each open connection."""
    return [connection.fiber.phase.value for connection in router.gateway.connections.all()]


def client_link(router: Router) -> Link:
    """The router's end of the only connection of a client."""
    (connection,) = router.gateway.connections.all()
    return connection.link


def upload(router: Router) -> Upload:
    """What reads the only client."""
    link = client_link(router)
    (found,) = (pump for pump in _living(Upload) if pump.source is link)
    return found


def node_links(router: Router) -> list[Link]:
    """The router's ends of the connections to nodes that are in use."""
    poller = router.gateway.context.poller
    leases = (lease for lease in _living(Lease) if lease._context.poller is poller)
    return [lease.link for lease in leases if lease.link is not None]


def route(router: Router) -> Route:
    """Of the only request."""
    (found,) = routes(router)
    return found


def routes(router: Router) -> list[Route]:
    """Of all requests."""
    context = router.gateway.context
    return [one for one in _living(Route) if one._context is context]


def _living(kind: type[T]) -> list[T]:
    return [thing for thing in gc.get_objects() if isinstance(thing, kind)]
