"""Forwarder base class: chooses nodes for requests, and records what became of them."""

from abc import abstractmethod
from collections.abc import Collection

from uwsgi_router.router.core import reasons
from uwsgi_router.router.core.failure import Failure
from uwsgi_router.router.core.request import Request
from uwsgi_router.subscriptions.node import Node


class Forwarder:
    """Forwarder: chooses nodes. Subclasses say which, and what they remember of failures.

    Attributes:
        unknown: why a key is not known here, for the log.
        down: why a key that is known has no node to try.
        asked_every: seconds between two calls of :meth:`announced_key` while a request waits for a node; 0: one call.
    """

    def __init__(
        self,
        unknown: str = "no node is configured",
        down: str = "no node of this key is up",
    ) -> None:
        self.unknown = unknown
        self.down = down
        self.asked_every = 0.0

    def for_request(self, request: Request) -> "Forwarder":  # noqa: ARG002
        """Return the forwarder that chooses the nodes of one request, all its attempts: usually this one."""
        return self

    @abstractmethod
    def choose(self, request: Request, tried: Collection[Node], now: float) -> Node | None:
        """Return a node that is not in ``tried``, or None. Never waits.

        Args:
            request: with the key and the client.
            tried: nodes that have failed for this request.
            now: the loop's clock, seconds.
        """

    def must_search(self, request: Request, now: float) -> bool:  # noqa: ARG002
        """Return True if :meth:`choose` found none because that takes time: :meth:`search` may find one."""
        return False

    async def search(self, request: Request, tried: Collection[Node]) -> Node | None:  # noqa: ARG002
        """Choose a node, and take the time it needs; runs in a task of asyncio's."""
        return None

    def is_known(self, request: Request, now: float) -> bool:  # noqa: ARG002
        """Return True if the key is served here, even if no node is up just now."""
        return True

    def has_nodes(self, request: Request, now: float) -> bool:
        """Return True if nodes of this key exist or existed lately: then fallbacks may stand in for them."""
        return self.is_known(request, now)

    def has_untried(self, request: Request, tried: Collection[Node]) -> bool:  # noqa: ARG002
        """Return True if a node of this request is not in ``tried``. Asking spends no turn.

        Asked only where nodes announce themselves (:meth:`awaited_keys`): others could be tried before one is awaited.
        """
        return False

    def awaited_keys(self, request: Request) -> frozenset[bytes]:  # noqa: ARG002
        """Return the keys under which a node for this request may announce itself; none: nobody ever will."""
        return frozenset()

    def announced_key(self, request: Request, now: float) -> bytes | None:  # noqa: ARG002
        """Return the key that has nodes for this request, or had some lately; None: none that was announced."""
        return None

    def settled_at(self, request: Request, now: float) -> float:  # noqa: ARG002
        """Return until when a request may wait because its nodes may not have announced themselves since the start.

        Returns:
            On the loop's clock; 0: no reason to wait.
        """
        return 0.0

    def connect_failed(self, node: Node, now: float, *, timed_out: bool) -> None:  # noqa: ARG002
        """Record that the node refused a connection, or did not answer in time."""
        node.connect_failed(timed_out=timed_out)

    def request_failed(self, node: Node, now: float) -> None:
        """Record that the node took a request and answered it not, not in time, or not well: it was its fault."""

    def request_answered(self, node: Node) -> None:
        """Record that the node has answered a request, to the last byte."""

    def why_none(self, request: Request) -> Failure:  # noqa: ARG002
        """Return the failure for a key that has or had nodes and has none to try."""
        return Failure(reasons.NO_NODE, self.down)

    def released(self, node: Node) -> None:
        """Note that the last exchange that held the node has ended."""

    def close(self) -> None:
        """Give up what is under way: the router stops."""
