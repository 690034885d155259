"""Room in a router's queue of requests that wait for a connection: bounded, and shared fairly between keys."""

from collections import OrderedDict

from uwsgi_router.router.proxy.waiter import Waiter


class QueueRoom:
    """Room for a number of waiting requests, of several groups of nodes.

    When it is full, a request of a group with a shorter queue takes the place of the last one of the group with the
    longest: so those who have too many requests for their nodes wait, and are turned away, on their own account.

    Args:
        most: limit of requests that wait at once, of all groups together.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._count = 0
        self._groups: dict[object, OrderedDict[Waiter, None]] = {}
        # The groups by how many of their requests wait, and the largest of these numbers.
        self._by_length: dict[int, OrderedDict[object, None]] = {}
        self._longest = 0

    def __len__(self) -> int:
        """Return how many requests wait."""
        return self._count

    def has_room_for(self, group: object) -> bool:
        """Return True if one more request of ``group`` may wait."""
        if self._count < self._most:
            return True
        waiting = self._groups.get(group)
        return (0 if waiting is None else len(waiting)) + 1 < self._longest

    def enter(self, waiter: Waiter, group: object) -> bool:
        """Let a request of ``group`` wait, perhaps in the place of another, which is woken; False: there is no room."""
        if not self.has_room_for(group):
            return False
        if self._count >= self._most:
            longest = next(iter(self._by_length[self._longest]))
            last = next(reversed(self._groups[longest]))
            self.leave(last, longest)
            if last.granted is None:
                last.notified = True
                last.wake()
        waiting = self._groups.get(group)
        if waiting is None:
            waiting = self._groups[group] = OrderedDict()
        self._moved(group, len(waiting), len(waiting) + 1)
        waiting[waiter] = None
        self._count += 1
        return True

    def leave(self, waiter: Waiter, group: object) -> bool:
        """Remove a request; False if it is not there: it had to make room, or never entered."""
        waiting = self._groups.get(group)
        if waiting is None or waiter not in waiting:
            return False
        self._moved(group, len(waiting), len(waiting) - 1)
        del waiting[waiter]
        self._count -= 1
        if not waiting:
            del self._groups[group]
        return True

    def _moved(self, group: object, before: int, after: int) -> None:
        """Note that one more or one less of ``group`` waits."""
        if before:
            equals = self._by_length[before]
            del equals[group]
            if not equals:
                del self._by_length[before]
        if after:
            self._by_length.setdefault(after, OrderedDict())[group] = None
        # The lengths go up and down by one.
        if after > self._longest or (before == self._longest and before not in self._by_length):
            self._longest = after
