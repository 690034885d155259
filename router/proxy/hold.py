"""Hold: requests that wait until a node of their key announces itself (``*-hold``)."""

from uwsgi_router.router.proxy.waiter import Waiter


class HeldRequest:
    """Held request as it is accounted for."""

    __slots__ = ("keys", "share", "size")

    def __init__(self, size: int, keys: frozenset[bytes], share: "HoldShare") -> None:
        self.size = size
        self.keys = keys
        self.share = share


class HoldShare:
    """Share that the requests of one key have in a hold, in the order in which they came."""

    __slots__ = ("bytes", "key", "waiting")

    def __init__(self, key: bytes | None) -> None:
        self.key = key
        self.waiting: dict[Waiter, int] = {}
        self.bytes = 0


class Hold:
    """Held requests of one router, bounded in number and bytes, and shared fairly between keys.

    When there is no room, a request of a key that has less takes the place of the last ones of the key that has most.

    Args:
        max_requests: limit of requests that wait at once.
        max_bytes: limit of bytes of their heads and of what they may have sent of their bodies.
    """

    def __init__(self, max_requests: int, max_bytes: int) -> None:
        self._max_requests = max_requests
        self._max_bytes = max_bytes
        self._waiting: dict[Waiter, HeldRequest] = {}
        self._shares: dict[bytes | None, HoldShare] = {}
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def enter(self, waiter: Waiter, size: int, keys: frozenset[bytes], key: bytes | None) -> bool:
        """Let a request wait, perhaps in the place of others, which are woken.

        Args:
            waiter: the request.
            size: its bytes.
            keys: it waits for a node of one of these.
            key: whose share it counts against: one that was announced, or clients could make up any number of them;
                None: none was.

        Returns:
            False if there is no room.
        """
        share = self._shares.get(key)
        victims = self._victims(size, share)
        if victims is None:
            return False
        for victim in victims:
            self.leave(victim)
            victim.notified = True
            victim.wake()
        share = self._shares.get(key)
        if share is None:
            share = self._shares[key] = HoldShare(key)
        share.waiting[waiter] = size
        share.bytes += size
        self._waiting[waiter] = HeldRequest(size, keys, share)
        self._bytes += size
        return True

    def _victims(self, size: int, own: HoldShare | None) -> list[Waiter] | None:
        """Return which requests have to go for one of ``size`` bytes; None: none that would do have to."""
        count, kept = (0, 0) if own is None else (len(own.waiting), own.bytes)
        victims: list[Waiter] = []
        over = self._bytes + size - self._max_bytes
        if len(self._waiting) >= self._max_requests:
            largest = self._most_requests()
            if largest is None or count + 1 >= len(largest.waiting):
                return None
            last = next(reversed(largest.waiting))
            victims.append(last)
            over -= largest.waiting[last]
        if over <= 0:
            return victims
        largest = self._most_bytes()
        if largest is None:
            return None
        left = largest.bytes
        for waiter in reversed(largest.waiting):
            if over <= 0:
                break
            if kept + size >= left:
                return None
            left -= largest.waiting[waiter]
            if waiter not in victims:
                victims.append(waiter)
                over -= largest.waiting[waiter]
        return victims if over <= 0 else None

    def _most_requests(self) -> HoldShare | None:
        found: HoldShare | None = None
        for share in self._shares.values():
            if found is None or len(share.waiting) > len(found.waiting):
                found = share
        return found

    def _most_bytes(self) -> HoldShare | None:
        found: HoldShare | None = None
        for share in self._shares.values():
            if found is None or share.bytes > found.bytes:
                found = share
        return found

    def leave(self, waiter: Waiter) -> bool:
        """Remove a request that goes on, or is gone; False if it has had to make room."""
        held = self._waiting.pop(waiter, None)
        if held is None:
            return False
        self._bytes -= held.size
        share = held.share
        share.bytes -= held.size
        del share.waiting[waiter]
        if not share.waiting:
            del self._shares[share.key]
        return True

    def node_announced(self, key: bytes) -> None:
        """Wake the requests that wait for the key of a node that announced itself, also again.

        Again counts too: the node may have died and come back so fast that the table noticed nothing.
        """
        for waiter, held in self._waiting.items():
            if key in held.keys:
                waiter.wake()
