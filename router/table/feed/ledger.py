"""Ledger of a worker: the nodes that it holds, and what it was asked about them."""

from uwsgi_router.subscriptions.node import SubscribedNode


class Ledger:
    """Ledger of one worker: what it holds of each node, by the node's order.

    Attributes:
        held: requests that hold the node.
        kept: idle connections to it.
        suspect: whether its connects are not answered, as the worker sees it.
        asked: numbers of the questions that the worker has not answered yet; each counts as held once more.
    """

    __slots__ = ("asked", "held", "kept", "suspect")

    def __init__(self) -> None:
        self.held: dict[int, int] = {}
        self.kept: dict[int, int] = {}
        self.suspect: dict[int, bool] = {}
        self.asked: dict[int, int] = {}


def announced_by(node: SubscribedNode) -> tuple[object, ...]:
    """Return what an announce may change of a node that lives, but for its time and load."""
    return (
        node.modifier1,
        node.modifier2,
        node.proto,
        node.cores,
        node.announced_weight,
        node.backup,
        node.vassal,
        node.via,
        node.source,
        node.credentials,
        node.socket_owner,
        node.sni,
    )
