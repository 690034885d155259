"""Summary of a router for the log of its start: where it listens, and where requests go."""

from collections.abc import Iterator, Sequence

from uwsgi_router.protocol.text import show
from uwsgi_router.router.app.assembly import AssembledRouter
from uwsgi_router.router.config.crosschecks import PRECEDENCE
from uwsgi_router.router.config.model import RouterConfig
from uwsgi_router.router.net.listeners import BoundSocket

# More addresses than these are counted only.
_SHOWN = 5


def summary(router: AssembledRouter, servers: Sequence[BoundSocket]) -> Iterator[str]:
    """Yield one line that says where a router listens, and one that says where requests go.

    Args:
        router: bound already.
        servers: its subscription servers.
    """
    parts = [_all(router.streams)] if router.streams else []
    if router.secure:
        spoken = "https" if router.config.kind == "http" else "TLS"
        parts.append(f"{spoken} on {_all([bound for bound, _files in router.secure])}")
    if router.redirecting:
        redirecting = _all([bound for bound, _port in router.redirecting])
        parts.append(f"redirecting to https on {redirecting}")
    if router.stats:
        parts.append(f"statistics on {_all(router.stats)}")
    yield f"listening on {'; '.join(parts)}"
    config = router.config
    where = f"requests go to {_nodes(config, servers)}"
    if config.fallback:
        where += f"; fallback: {_some(config.fallback)}"
    yield where


def _nodes(config: RouterConfig, servers: Sequence[BoundSocket]) -> str:
    """Return which nodes a router has, by the option that decides."""
    for field, option in PRECEDENCE:
        value = getattr(config, field)
        if value in (None, ()):
            continue
        if field == "subscription_servers":
            return f"nodes that announce themselves at {_all(servers)}"
        if field == "to":
            return _some(config.to)
        return f"where {config.kind}-{option} = {show(str(value))} says"
    return "no node: none is configured"


def _all(sockets: Sequence[BoundSocket]) -> str:
    return _some([bound.address for bound in sockets])


def _some(texts: Sequence[str]) -> str:
    more = f" and {len(texts) - _SHOWN} more" if len(texts) > _SHOWN else ""
    return ", ".join(texts[:_SHOWN]) + more
