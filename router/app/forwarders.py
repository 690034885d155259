"""Forwarder of a configuration, in uWSGI's order of precedence (uWSGI: plugins/corerouter/corerouter.c)."""

import asyncio
import logging
import time
from collections.abc import Sequence

from uwsgi_router.protocol.address import AddressError
from uwsgi_router.protocol.named_node import parse_node
from uwsgi_router.protocol.text import to_bytes
from uwsgi_router.router.config.errors import StartError
from uwsgi_router.router.config.model import RouterConfig
from uwsgi_router.router.net.poller import Poller
from uwsgi_router.router.net.resolver import Resolver
from uwsgi_router.router.routing.base import Forwarder
from uwsgi_router.router.routing.cache import CacheForwarder, RemoteCacheForwarder
from uwsgi_router.router.routing.cache_remote import RemoteCache
from uwsgi_router.router.routing.cache_store import Caches
from uwsgi_router.router.routing.code import build_code_forwarder
from uwsgi_router.router.routing.fixed import FixedForwarder
from uwsgi_router.router.routing.on_demand import OnDemandKeys
from uwsgi_router.router.routing.path import PathForwarder, PatternError
from uwsgi_router.router.routing.static import LeastLoadedForwarder, StaticForwarder
from uwsgi_router.router.routing.subscription import SubscriptionForwarder
from uwsgi_router.router.table.table import Table
from uwsgi_router.subscriptions.health import Ejections

log = logging.getLogger("uwsgi-router.fastrouter")


def build_forwarder(
    config: RouterConfig,
    worker_sockets: Sequence[str],
    table: Table | None,
    loop: asyncio.AbstractEventLoop,
    *,
    poller: Poller,
    caches: Caches,
    resolver: Resolver,
    ejections: Ejections,
    on_demand: OnDemandKeys | None = None,
) -> Forwarder:
    """Return the first forwarder that is configured; with none, every request is refused.

    Args:
        config: the router.
        worker_sockets: the file's ``socket`` lines, for ``use-socket=N``.
        table: where announced nodes are, if there is a subscription server.
        loop: for its clock.
        poller: has to know how late it is after an operator's function.
        caches: the caches of this process, for ``use-cache=NAME``.
        resolver: for the name of the server in ``use-cache=NAME@ADDRESS``.
        ejections: of configured nodes that fail requests.
        on_demand: keys of vassals that a request starts; None: there is no Emperor.

    Raises:
        StartError: if what is configured can't be used safely.
    """
    if config.use_cache is not None:
        return _cache_forwarder(config, config.use_cache, caches, loop, resolver, ejections)
    proto = config.default_proto
    try:
        if config.use_pattern is not None and "%s" not in config.use_pattern:
            return FixedForwarder([config.use_pattern], proto, ejections)
        if config.use_pattern is not None:
            return PathForwarder.from_pattern(config.use_pattern, proto)
        if table is not None:
            fallback_key = config.subscription_fallback_key
            return SubscriptionForwarder(
                table.registry,
                table.report,
                loop.time,
                to_bytes(fallback_key) if fallback_key else None,
                on_demand,
            )
        if config.use_base is not None:
            return PathForwarder.from_base(config.use_base, proto)
    except PatternError as exc:
        option = "use-pattern" if config.use_pattern is not None else "use-base"
        raise StartError(
            f"{config.kind}-{option} = {config.use_pattern or config.use_base}: {exc}"
        ) from exc
    if config.use_code_string is not None:
        return build_code_forwarder(config, poller.tick)
    if config.use_socket is not None:
        address = _worker_socket(config.use_socket, worker_sockets)
        if address is not None:
            return FixedForwarder([address], proto, ejections)
        log.warning(
            "%s-use-socket=%s: the configuration has %d socket lines, counted from 0%s",
            config.kind,
            config.use_socket,
            len(worker_sockets),
            "" if config.to else "; every request will be refused",
        )
    forwarder = LeastLoadedForwarder if config.to_algorithm == "least" else StaticForwarder
    return forwarder(
        config.to,
        config.gracetime,
        last_resort=not config.fallback,
        proto=proto,
        ejections=ejections,
    )


def _cache_forwarder(
    config: RouterConfig,
    use_cache: str,
    caches: Caches,
    loop: asyncio.AbstractEventLoop,
    resolver: Resolver,
    ejections: Ejections,
) -> Forwarder:
    last_resort = not config.fallback
    if "@" not in use_cache:
        cache = caches.find(to_bytes(use_cache))
        if cache is None:
            which = f"cache called {use_cache}" if use_cache else "cache"
            raise StartError(
                f"{config.kind}-use-cache: there is no {which}: cache2 = name=NAME,items=N makes one"
            )
        return CacheForwarder(
            cache,
            config.gracetime,
            last_resort=last_resort,
            proto=config.default_proto,
            ejections=ejections,
        )
    remote = RemoteCache(
        use_cache,
        loop=loop,
        resolver=resolver,
        deadline=config.connect_timeout,
        # The other server says when its items end in seconds since the epoch.
        wall_clock=time.time,  # noqa: TID251
    )
    return RemoteCacheForwarder(
        remote,
        loop,
        config.gracetime,
        last_resort=last_resort,
        deadline=config.connect_timeout,
        proto=config.default_proto,
        ejections=ejections,
    )


def _worker_socket(text: str, worker_sockets: Sequence[str]) -> str | None:
    """Return the address that ``use-socket`` means: itself, or the N-th ``socket`` line."""
    if text == "" or text.isdigit():
        index = int(text or "0")
        return worker_sockets[index] if index < len(worker_sockets) else None
    try:
        parse_node(text)
    except AddressError as exc:
        raise StartError(f"use-socket={text}: {exc}") from exc
    return text
