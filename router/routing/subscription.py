"""Forwarder ``subscription-server``: announced nodes, looked up by key (uWSGI: plugins/corerouter/cr_map.c)."""

from collections.abc import Callable, Collection

from uwsgi_router.protocol.key import key_forms, normal_key
from uwsgi_router.router.core import reasons
from uwsgi_router.router.core.failure import Failure
from uwsgi_router.router.core.request import Request
from uwsgi_router.router.routing.base import Forwarder
from uwsgi_router.router.routing.on_demand import OnDemandKeys
from uwsgi_router.subscriptions.events import Event
from uwsgi_router.subscriptions.keys import mountpoint_key
from uwsgi_router.subscriptions.node import DRAINED, UNHEALTHY, Node, SubscribedNode
from uwsgi_router.subscriptions.registry import Registry


class SubscriptionForwarder(Forwarder):
    """Forwarder by the table of announced nodes: looks the key up in its normal form, then without its port.

    Args:
        registry: the table.
        report: told what happened in the table because of a request.
        clock: the loop's clock, seconds.
        fallback_key: looked up when no form of the key has a node, or None.
        on_demand: keys of vassals that a request starts; None: there is no Emperor.
    """

    def __init__(
        self,
        registry: Registry,
        report: Callable[[list[Event]], None],
        clock: Callable[[], float],
        fallback_key: bytes | None = None,
        on_demand: OnDemandKeys | None = None,
    ) -> None:
        super().__init__(unknown="no node has announced this key within the last hour")
        self._registry = registry
        self._report = report
        self._clock = clock
        self._fallback_key = None if fallback_key is None else normal_key(fallback_key)
        self._on_demand = on_demand
        if on_demand is not None:
            # The Emperor may see the vassal's file, or be able to start it, only while requests wait.
            self.asked_every = 1.0

    def __repr__(self) -> str:
        return f"<SubscriptionForwarder {self._registry!r}>"

    def choose(self, request: Request, tried: Collection[Node], now: float) -> Node | None:  # noqa: ARG002
        """Return the balanced choice for the first form of the key that has a node left."""
        registry, client = self._registry, request.client
        if not registry.mountpoints:
            # Most hosts are written in the normal form: then nobody needs to make it.
            node = registry.choose_exactly(request.key, client, tried)
            if node is not None:
                return node
        return registry.choose_any(
            self._keys(request), client=client, tried=tried
        ) or self._choose_fallback(request, tried)

    def _choose_fallback(self, request: Request, tried: Collection[Node]) -> Node | None:
        if self._fallback_key is None or self._is_expected(self._keys(request)):
            return None
        return self._registry.choose(self._fallback_key, client=request.client, tried=tried)

    def _keys(self, request: Request) -> list[bytes]:
        keys = list(dict.fromkeys(key_forms(request.key)))
        segments = self._registry.mountpoints
        return [mountpoint_key(key, request.path, segments) for key in keys] if segments else keys

    def _announced_keys(self, request: Request) -> list[bytes]:
        keys = self._keys(request)
        if self._fallback_key is None or self._is_expected(keys):
            return keys
        return [*keys, self._fallback_key]

    def _is_expected(self, keys: list[bytes]) -> bool:
        """Return True if a key is known to be somebody's own: others do not answer in his absence."""
        expected = self._registry.expected
        if expected and any(key in expected for key in keys):
            return True
        return self._on_demand is not None and self._on_demand.has(keys)

    def is_known(self, request: Request, now: float) -> bool:
        """Return True if some form of the key has nodes, had some within an hour, or we have just started."""
        keys = self._announced_keys(request)
        if self._on_demand is not None and self._on_demand.has(keys):
            return True
        return any(self._registry.is_known(key, now) for key in keys)

    def has_nodes(self, request: Request, now: float) -> bool:
        """Return True if some form of the key has nodes or had some within an hour, or starts its vassal."""
        return self.announced_key(request, now) is not None

    def announced_key(self, request: Request, now: float) -> bytes | None:
        """Return the first key that has nodes for this request, or had some within an hour, or starts its vassal."""
        keys = self._announced_keys(request)
        if self._on_demand is not None:
            woken = self._on_demand.wake(keys)
            if woken is not None:
                return woken
        for key in keys:
            found = self._registry.announced_key(key, now)
            if found is not None:
                return found
        return None

    def has_untried(self, request: Request, tried: Collection[Node]) -> bool:
        """Return True if some form of the key has a node left."""
        return any(self._registry.has_untried(key, tried) for key in self._announced_keys(request))

    def awaited_keys(self, request: Request) -> frozenset[bytes]:
        """Return every key that may answer for the request's."""
        keys = self._announced_keys(request)
        return frozenset(keys).union(*(self._registry.related_keys(key) for key in keys))

    def settled_at(self, request: Request, now: float) -> float:
        """Return when the table is whole, if no form of the key was announced and the router has just started."""
        settled_at = self._registry.settled_at
        return 0.0 if now >= settled_at or self.has_nodes(request, now) else settled_at

    def connect_failed(self, node: Node, now: float, *, timed_out: bool) -> None:
        """Mark the node as gone: it is not chosen until it announces itself again."""
        assert isinstance(node, SubscribedNode)
        self._report(self._registry.connect_failed(node, now, timed_out=timed_out))

    def request_failed(self, node: Node, now: float) -> None:
        """Count the failure; the node is ejected for a while if it fails one request after the other."""
        assert isinstance(node, SubscribedNode)
        self._report(self._registry.health.request_failed(node, now))

    def request_answered(self, node: Node) -> None:
        """Forget the node's failures."""
        assert isinstance(node, SubscribedNode)
        if node.fails:
            self._report(self._registry.health.request_answered(node))

    def why_none(self, request: Request) -> Failure:
        """Return a failure that tells of nodes that fail their checks, or are drained."""
        drained: Node | None = None
        for key in self._announced_keys(request):
            for other in (key, *self._registry.related_keys(key)):
                pool = self._registry.pools.get(other)
                for node in () if pool is None else pool.nodes:
                    if node.rank == UNHEALTHY:
                        return Failure(
                            reasons.UNHEALTHY,
                            f"no node of this key passes its checks: {node.name}: {node.check_failure}",
                        )
                    if node.rank == DRAINED:
                        drained = drained or node
        if drained is not None:
            text = f"the nodes of this key that are up are drained: {drained.name}"
            return Failure(reasons.DRAINED, text)
        return super().why_none(request)

    def close(self) -> None:
        """Close the socket to the Emperor."""
        if self._on_demand is not None:
            self._on_demand.close()

    def released(self, node: Node) -> None:
        """Remove the node if it is gone; report a drained one that is idle."""
        if isinstance(node, SubscribedNode) and (node.death_mark or node.drained):
            self._report(self._registry.released(node, self._clock()))
