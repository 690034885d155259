"""Configurations of the processes of one program: what a worker and what the keeper has of the whole."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

from uwsgi_router.router.config.model import Configuration, RouterConfig
from uwsgi_router.subscriptions.shared_registry import share

#: Options whose limits are for all workers together: each of them gets its part, and has to get one at least.
_SHARED = ("max_connections", "backend_connections", "backend_queue", "hold_max")
#: Likewise, of bytes.
_SHARED_BYTES = ("hold_max_bytes", "post_buffering_max_bytes")


def worker_configuration(configuration: Configuration, number: int) -> Configuration:
    """Return the configuration of a worker beside a keeper.

    It serves requests and nothing else: datagrams, caches, statistics and the control socket are the
    keeper's, and so is whatever is told to others.

    Args:
        configuration: the whole.
        number: of the worker, from 0.
    """
    routers = tuple(
        _worker_router(router, number)
        for router in configuration.routers
        if router.workers > number
    )
    return replace(
        configuration,
        process=replace(configuration.process, control_socket=None, cache_sockets=()),
        subscription=replace(
            configuration.subscription, state=None, check=None, tee=(), resubscribe=()
        ),
        routers=routers,
    )


def _worker_router(router: RouterConfig, number: int) -> RouterConfig:
    parts: dict[str, Any] = {
        name: share(limit, router.workers, number)
        for name in (*_SHARED, *_SHARED_BYTES)
        if (limit := getattr(router, name))
    }
    return replace(router, stats=(), **parts)


def keeper_configuration(configuration: Configuration) -> Configuration:
    """Return the configuration of the keeper: it writes no access log, for it serves no requests."""
    routers = tuple(replace(router, access_log=None) for router in configuration.routers)
    return replace(configuration, routers=routers)


def too_few(routers: Iterable[RouterConfig]) -> Iterator[str]:
    """Yield why limits can't be shared out among workers, a line for each.

    Args:
        routers: with the numbers of their workers.
    """
    for router in routers:
        count = router.workers
        for name in _SHARED:
            limit = getattr(router, name)
            if limit and limit < count:
                option = f"{router.kind}-{name.replace('_', '-')}"
                yield (
                    f"{option} = {limit}: {count} workers share it, and each needs one at least:"
                    " raise it, or start fewer workers"
                )
