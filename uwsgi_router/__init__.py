"""uwsgi-router: an asyncio successor of uWSGI's gateways.

The classes have the names and parameters of uwsgiconf's dedicated routers.

Example:
    A router in front of two nodes, inside a program's own event loop::

        import asyncio
        from uwsgi_router import RouterFast

        async def main() -> None:
            router = RouterFast("127.0.0.1:3031", forward_to=["127.0.0.1:3032", "127.0.0.1:3033"])
            router.set_connections_params(timeout_socket=30)
            async with router:
                print("listening on", *router.addresses)
                await asyncio.sleep(3600)

        asyncio.run(main())
"""

from typing import TYPE_CHECKING, Any

from uwsgi_router.version import __version__

if TYPE_CHECKING:
    from uwsgi_router.router.api import (
        Application,
        CopyStatus,
        DrainCancelled,
        Forwarder,
        ForwarderCache,
        ForwarderCode,
        ForwarderPath,
        ForwarderSocket,
        ForwarderSubscriptionServer,
        NodeStatus,
        NoWeight,
        ParameterError,
        RolloutFailed,
        RouterFast,
        RouterForkPty,
        RouterHttp,
        RouterRaw,
        RouterSsl,
        RouterTunTap,
        StartError,
        UnknownNode,
    )
    from uwsgi_router.subscriptions import SubscribeError, Subscriber, subscribe

__all__ = [
    "Application",
    "CopyStatus",
    "DrainCancelled",
    "Forwarder",
    "ForwarderCache",
    "ForwarderCode",
    "ForwarderPath",
    "ForwarderSocket",
    "ForwarderSubscriptionServer",
    "NoWeight",
    "NodeStatus",
    "ParameterError",
    "RolloutFailed",
    "RouterFast",
    "RouterForkPty",
    "RouterHttp",
    "RouterRaw",
    "RouterSsl",
    "RouterTunTap",
    "StartError",
    "SubscribeError",
    "Subscriber",
    "UnknownNode",
    "__version__",
    "subscribe",
]


def __getattr__(name: str) -> Any:
    """Import a class on demand: an announcing client needs no router, and a router no client."""
    if name in {"SubscribeError", "Subscriber", "subscribe"}:
        from uwsgi_router import subscriptions  # noqa: PLC0415

        return getattr(subscriptions, name)
    if name in __all__:
        from uwsgi_router.router import api  # noqa: PLC0415

        return getattr(api, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
