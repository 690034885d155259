"""Hold: requests that wait until a node of their key announces itself (``*-hold``)."""

from uwsgi_router.router.proxy.waiter import Waiter


class Hold:
    """Held requests of one router, bounded in number and bytes.

    Args:
        max_requests: limit of requests that wait at once.
        max_bytes: limit of bytes of their heads and of what they may have sent of their bodies.
    """

    def __init__(self, max_requests: int, max_bytes: int) -> None:
        self._max_requests = max_requests
        self._max_bytes = max_bytes
        self._waiting: dict[Waiter, tuple[int, frozenset[bytes]]] = {}
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def enter(self, waiter: Waiter, size: int, keys: frozenset[bytes]) -> bool:
        """Let a request of ``size`` bytes wait for a node of one of ``keys``; False if there is no room."""
        if len(self._waiting) >= self._max_requests or self._bytes + size > self._max_bytes:
            return False
        self._waiting[waiter] = size, keys
        self._bytes += size
        return True

    def leave(self, waiter: Waiter) -> None:
        """Remove a request that goes on, or is gone."""
        size, _keys = self._waiting.pop(waiter)
        self._bytes -= size

    def node_announced(self, key: bytes) -> None:
        """Wake the requests that wait for the key of a node that announced itself, also again.

        Again counts too: the node may have died and come back so fast that the table noticed nothing.
        """
        for waiter, (_size, keys) in self._waiting.items():
            if key in keys:
                waiter.wake()
