"""Waiter: a request that waits for a node to announce itself or a connection to become free."""

from abc import abstractmethod

from uwsgi_router.subscriptions.node import Node


class Waiter:
    """Waiter: a request that waits.

    Attributes:
        granted: the node for which a connection was reserved for this request; set by the upstream pool.
        notified: there is a reason to look again; whoever waits takes it back.
    """

    __slots__ = ("granted", "notified")

    def __init__(self) -> None:
        self.granted: Node | None = None
        self.notified = False

    @abstractmethod
    def wake(self) -> None:
        """Wake the request, which looks again."""

    @abstractmethod
    def accepts(self, node: Node) -> bool:
        """Return True if a connection to ``node`` would do: the request has not tried it in vain."""

    @abstractmethod
    def limit_of(self, node: Node) -> int | None:
        """Return how many connections ``node`` may have; None: any number."""
