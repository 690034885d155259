"""Slow start: nodes that come, or come back, get their part of the requests little by little."""

from typing import Final

from uwsgi_router.subscriptions.node import FULL_SHARE, SubscribedNode

#: Part of its share with which a node begins, in hundredths.
FIRST_SHARE: Final = 10


class SlowStart:
    """Slow start of the nodes of one table.

    Args:
        seconds: until a node that came has its whole share; 0: it has that at once.
        settled_at: until then nodes are not new: the table is being filled.
    """

    __slots__ = ("_seconds", "_settled", "_settled_at", "_since")

    def __init__(self, seconds: float = 0.0, settled_at: float = 0.0) -> None:
        self._seconds = seconds
        self._settled_at = settled_at
        self._settled = False
        # When it was first looked at, by node; None: it was not yet.
        self._since: dict[SubscribedNode, float | None] = {}

    def __len__(self) -> int:
        """Return how many nodes have not their whole share."""
        return len(self._since)

    @property
    def on(self) -> bool:
        """True if nodes that come begin slowly."""
        return self._settled and self._seconds > 0

    def begin(self, node: SubscribedNode) -> None:
        """Give ``node`` the smallest share."""
        node.share = FIRST_SHARE
        self._since[node] = None

    def end(self, node: SubscribedNode) -> None:
        """Give ``node`` its whole share, or forget it."""
        if node.share < FULL_SHARE:
            node.share = FULL_SHARE
            del self._since[node]

    def advance(self, now: float) -> None:
        """Give each node the share that it has come to; to be called about once a second."""
        self._settled = self._settled or now >= self._settled_at
        for node, since in list(self._since.items()):
            if since is None:
                self._since[node] = now
                continue
            share = int(FULL_SHARE * (now - since) / self._seconds)
            if share >= FULL_SHARE:
                self.end(node)
            else:
                node.share = max(FIRST_SHARE, share)
            node.rank_changed()
