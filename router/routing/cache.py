"""Forwarder ``use-cache``: items of a cache name the nodes of a key (uWSGI: plugins/corerouter/cr_map.c)."""

import asyncio
import logging
from collections.abc import Collection
from http import HTTPStatus
from typing import Final

from uwsgi_router.protocol.bounded import Bounded
from uwsgi_router.protocol.cache_value import ValueProblem, parse_value
from uwsgi_router.protocol.named_node import NamedNode
from uwsgi_router.protocol.scheme import NodeProto
from uwsgi_router.protocol.text import show
from uwsgi_router.router.core import reasons
from uwsgi_router.router.core.failure import Failure
from uwsgi_router.router.core.log import RateLimited
from uwsgi_router.router.core.request import Request
from uwsgi_router.router.routing.cache_remote import NoAnswer, RemoteCache
from uwsgi_router.router.routing.cache_store import Cache, Item
from uwsgi_router.router.routing.configured import UnannouncedNode
from uwsgi_router.router.routing.rotation import RotatingForwarder
from uwsgi_router.subscriptions.health import Ejections
from uwsgi_router.subscriptions.node import Node

log = logging.getLogger("uwsgi-router.cache")

# Values that were read lately, and their nodes. A node that is forgotten loses its memory of failures, no more.
MAX_VALUES: Final = 4_096
MAX_NODES: Final = 16_384


class ItemForwarder(RotatingForwarder):
    """Forwarder by items of a cache, local or remote.

    Args:
        name: the cache's, for the log.
        gracetime: seconds for which a node is passed over after a failed connect.
        last_resort: no fallback is configured.
        proto: what nodes speak whose addresses do not say.
        ejections: of nodes that fail requests.
    """

    def __init__(
        self,
        name: str,
        gracetime: float,
        *,
        last_resort: bool,
        proto: NodeProto,
        ejections: Ejections | None = None,
    ) -> None:
        super().__init__(
            gracetime,
            last_resort=last_resort,
            ejections=ejections,
            unknown="the cache has no item of this key",
        )
        self._name = name or "(the first)"
        self._values: dict[bytes, tuple[UnannouncedNode, ...] | ValueProblem] = Bounded(MAX_VALUES)
        self._nodes: dict[NamedNode, UnannouncedNode] = Bounded(MAX_NODES)
        self._proto: NodeProto = proto
        self._limited = RateLimited(log)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._name}>"

    def _node_of(
        self, key: bytes, item: Item, tried: Collection[Node], now: float
    ) -> UnannouncedNode | None:
        """Return the node of the item whose turn it is.

        Raises:
            Failure: if the item does not name nodes.
        """
        nodes = self._nodes_of(item.value)
        if isinstance(nodes, ValueProblem):
            shown = show(key)
            self._limited.error(
                key,
                "the item %s of the cache %s names no nodes, requests for it fail: %r: %s",
                shown,
                self._name,
                item.value[:200],
                nodes,
            )
            text = f"the item {shown} of the cache {self._name} does not name nodes"
            raise Failure(reasons.BAD_ITEM, text)
        first = item.turn % len(nodes)
        index = self._in_turn(nodes, first, tried, now)
        if index is None:
            return None
        # One more, as uWSGI's hit counter; and those that were passed over have had their turn.
        item.turn += (index - first) % len(nodes) + 1
        return nodes[index]

    def _nodes_of(self, value: bytes) -> tuple[UnannouncedNode, ...] | ValueProblem:
        found = self._values.get(value)
        if found is None:
            try:
                targets = parse_value(value)
            except ValueProblem as problem:
                found = problem
            else:
                found = tuple(map(self._node_named, targets))
            self._values[value] = found
        return found

    def _node_named(self, target: NamedNode) -> UnannouncedNode:
        node = self._nodes.get(target)
        if node is None:
            node = self._nodes[target] = UnannouncedNode(
                target.name,
                target.address,
                modifier1=target.modifier1,
                proto=target.proto or self._proto,
            )
        return node


class CacheForwarder(ItemForwarder):
    """Forwarder by a cache of this process: looks the key up, in each of its forms."""

    def __init__(
        self,
        cache: Cache,
        gracetime: float,
        *,
        last_resort: bool,
        proto: NodeProto = "uwsgi",
        ejections: Ejections | None = None,
    ) -> None:
        super().__init__(
            cache.config.name,
            gracetime,
            last_resort=last_resort,
            proto=proto,
            ejections=ejections,
        )
        self._cache = cache

    def choose(self, request: Request, tried: Collection[Node], now: float) -> Node | None:
        """Return the next node of the first form of the key that has an item."""
        keys = request.keys()
        for key in keys:
            item = self._cache.get(key, now)
            if item is not None:
                return self._node_of(key, item, tried, now)
        return None

    def is_known(self, request: Request, now: float) -> bool:
        """Return True if there is an item."""
        keys = request.keys()
        return any(self._cache.holds(key, now) for key in keys)


class RemoteCacheForwarder(ItemForwarder):
    """Forwarder by a cache of another server: looks the key up, in each of its forms."""

    def __init__(
        self,
        remote: RemoteCache,
        loop: asyncio.AbstractEventLoop,
        gracetime: float,
        *,
        last_resort: bool,
        deadline: float,
        proto: NodeProto = "uwsgi",
        ejections: Ejections | None = None,
    ) -> None:
        super().__init__(
            remote.text, gracetime, last_resort=last_resort, proto=proto, ejections=ejections
        )
        self._remote = remote
        self._loop = loop
        self._deadline = deadline

    def choose(self, request: Request, tried: Collection[Node], now: float) -> Node | None:
        """Return the next node of the first form of the key that has an item, if that is remembered."""
        keys = request.keys()
        try:
            for key in keys:
                item = self._remote.remembered(key, now)
                if item is not None:
                    return self._node_of(key, item, tried, now)
        except KeyError:
            pass  # The server has to be asked.
        return None

    def must_search(self, request: Request, now: float) -> bool:
        """Return True if a form of the key is not remembered, before one that is."""
        keys = request.keys()
        try:
            for key in keys:
                if self._remote.remembered(key, now) is not None:
                    return False
        except KeyError:
            return True
        return False

    async def search(self, request: Request, tried: Collection[Node]) -> Node | None:
        """Ask the server.

        Raises:
            Failure: it does not answer, and there is no fallback.
        """
        keys = request.keys()
        try:
            for key in keys:
                item = await self._remote.get(key)
                if item is not None:
                    return self._node_of(key, item, tried, self._loop.time())
        except NoAnswer as exc:
            if self._last_resort:
                text = f"the cache {self._name} does not answer: {exc}"
                if exc.timed_out:
                    raise Failure(
                        reasons.CACHE, text, self._deadline, status=HTTPStatus.GATEWAY_TIMEOUT
                    ) from exc
                raise Failure(reasons.CACHE, text, option="") from exc
        return None

    def is_known(self, request: Request, now: float) -> bool:
        """Return False if the other server said a moment ago that there is no item."""
        keys = request.keys()
        try:
            return any(self._remote.remembered(key, now) is not None for key in keys)
        except KeyError:
            return True

    def close(self) -> None:
        """Give up the queries under way."""
        self._remote.close()
