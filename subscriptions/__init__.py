"""Subscriptions: registry of announced nodes, balancing, subscription server, announcing client."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from uwsgi_router.subscriptions.client.errors import SubscribeError
    from uwsgi_router.subscriptions.client.subscriber import Subscriber, subscribe

__all__ = ["SubscribeError", "Subscriber", "subscribe"]


def __getattr__(name: str) -> Any:
    """Load the client on demand: a router has no use for it."""
    if name == "SubscribeError":
        from uwsgi_router.subscriptions.client import errors  # noqa: PLC0415

        return errors.SubscribeError
    if name in __all__:
        from uwsgi_router.subscriptions.client import subscriber  # noqa: PLC0415

        return getattr(subscriber, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
