"""Configured nodes (``to``, ``fallback``, ``use-socket``, caches): drained, weighed, ejected after failed requests."""

import logging
from collections.abc import Callable, Sequence
from typing import ClassVar

from uwsgi_router.protocol.address import Address
from uwsgi_router.protocol.scheme import NodeProto
from uwsgi_router.router.core import reasons
from uwsgi_router.router.core.failure import Failure
from uwsgi_router.router.core.request import Request
from uwsgi_router.router.routing.base import Forwarder
from uwsgi_router.subscriptions.health import Ejections
from uwsgi_router.subscriptions.node import FULL_SHARE, Node

log = logging.getLogger("uwsgi-router.nodes")


class UnannouncedNode(Node):
    """Node that was configured or named by a cache, with the time of its last failed connect.

    Attributes:
        failed_at: loop time of its last failed connect; None once a connect has succeeded.
        drained: an operator wants it to get no new requests.
        weight: its share of the requests; 1 unless an operator set another one.
        passed_over: it is drained or ejected: others come first.
    """

    __slots__ = ("drained", "failed_at", "passed_over", "weight")

    def __init__(
        self, name: str, address: Address, *, modifier1: int = 0, proto: NodeProto = "uwsgi"
    ) -> None:
        super().__init__(name, address, modifier1=modifier1, proto=proto)
        self.failed_at: float | None = None
        self.drained = False
        self.weight = 1
        self.passed_over = False

    @property
    def takes_requests(self) -> bool:
        """False if it is drained."""
        return not self.drained

    @property
    def capacity(self) -> int:
        """Its weight, in hundredths: what it has of cores nobody tells."""
        return FULL_SHARE * self.weight

    def connected(self) -> None:
        """Record a connect that succeeded."""
        super().connected()
        self.failed_at = None

    def rank_changed(self) -> None:
        """Note whether others come first from now on."""
        self.passed_over = self.drained or self.ejected


class ConfiguredForwarder(Forwarder):
    """Forwarder to nodes that do not announce themselves.

    Args:
        ejections: of its nodes; None: with the defaults.
        unknown: as for :class:`Forwarder`.

    Attributes:
        weighted: each node has a share of the requests; else their order decides.
    """

    weighted: ClassVar[bool] = False

    def __init__(
        self, ejections: Ejections | None = None, unknown: str = "no node is configured"
    ) -> None:
        super().__init__(unknown=unknown)
        self._ejections = Ejections() if ejections is None else ejections
        self._watchers: list[Callable[[], None]] = []

    # --- what the operator wants ---

    def steered(self) -> Sequence[UnannouncedNode]:
        """Return the nodes that an operator sees and steers; none that a cache names."""
        return ()

    def drain(self, node: UnannouncedNode, drained: bool) -> bool:
        """Let a node have no new requests, or have them again; True if that is a change."""
        if node.drained == drained:
            return False
        node.drained = drained
        node.rank_changed()
        self._tell()
        return True

    def weigh(self, node: UnannouncedNode, weight: int) -> bool:
        """Give a node a share of the requests; True if that is a change."""
        if node.weight == weight:
            return False
        node.weight = weight
        self._tell()
        return True

    def state_of(self, node: UnannouncedNode, now: float) -> str:
        """Return the word for a node's state."""
        self._ejections.sweep(now)
        if node.drained:
            return "drained"
        if node.ejected:
            return "ejected"
        return "slow-connect" if node.connecting_slowly else "ready"

    def watch(self, watcher: Callable[[], None]) -> None:
        """Call ``watcher`` when a node is drained, enabled or weighed, or nothing holds it any more."""
        self._watchers.append(watcher)

    def unwatch(self, watcher: Callable[[], None]) -> None:
        """Call it no more."""
        self._watchers.remove(watcher)

    def _tell(self) -> None:
        for watcher in tuple(self._watchers):
            watcher()

    # --- what became of nodes ---

    def request_failed(self, node: Node, now: float) -> None:
        """Count the failure; the node is ejected for a while if it fails one request after the other."""
        if self._ejections.failed(node, now):
            log.warning(
                "%s is ejected for %g s: it failed %d requests in a row",
                node.name,
                node.ejection,
                node.fails,
            )

    def request_answered(self, node: Node) -> None:
        """Forget the node's failures."""
        if node.fails and self._ejections.answered(node):
            log.info("%s answers again", node.name)

    def released(self, node: Node) -> None:  # noqa: ARG002
        """Tell who waits for the node's last request."""
        if self._watchers:
            self._tell()

    def why_none(self, request: Request) -> Failure:
        """Return a failure that tells of drained nodes."""
        for node in self.steered():
            if node.drained:
                text = f"the nodes of this key that are up are drained: {node.name}"
                return Failure(reasons.DRAINED, text)
        return super().why_none(request)
