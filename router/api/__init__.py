"""Routers as Python objects: with uwsgiconf's names and parameters, to run in a program or to print as an ini file.

Example:
    A router in front of two nodes, inside a program's own event loop::

        import asyncio
        from router.api import RouterFast

        async def main() -> None:
            router = RouterFast("127.0.0.1:3031", forward_to=["127.0.0.1:3032", "127.0.0.1:3033"])
            router.set_connections_params(timeout_socket=30)
            async with router:
                print("listening on", *router.addresses)
                await asyncio.sleep(3600)

        asyncio.run(main())
"""

from uwsgi_router.router.admin.control.operator import NodeStatus, TakenBack, UnknownNode
from uwsgi_router.router.api.errors import ParameterError
from uwsgi_router.router.api.fast import RouterFast
from uwsgi_router.router.api.forwarders import (
    Forwarder,
    ForwarderCache,
    ForwarderCode,
    ForwarderPath,
    ForwarderSocket,
    ForwarderSubscriptionServer,
)
from uwsgi_router.router.api.http import RouterHttp
from uwsgi_router.router.config.errors import StartError

__all__ = [
    "Forwarder",
    "ForwarderCache",
    "ForwarderCode",
    "ForwarderPath",
    "ForwarderSocket",
    "ForwarderSubscriptionServer",
    "NodeStatus",
    "ParameterError",
    "RouterFast",
    "RouterHttp",
    "StartError",
    "TakenBack",
    "UnknownNode",
]
