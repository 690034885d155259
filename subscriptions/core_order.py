"""Core order: the nodes with the fewest running requests per core, for the algorithm ``least``."""

from collections.abc import Collection, Sequence
from random import random
from typing import Final

from uwsgi_router.subscriptions.node import Node

# Level of a node that is not chosen now, above every other.
_NOBODY: Final = 1 << 62
# Capacities are in hundredths.
_UNITS: Final = 100


class CoreOrder:
    """Order of nodes by running requests per core: a tree that is corrected when asked.

    A node's *level* is how many requests each of its cores has at least, and its *free* units are what is
    missing until each has one more. Among the nodes of the lowest level chance decides, each core that is
    free being as likely as any other: so each core gets its part of the requests, whether few are running or
    many, and a node whose requests take longer gets fewer. A choice costs O(log n).

    Args:
        nodes: the candidates, at least one.
    """

    __slots__ = ("_free", "_index", "_levels", "_moved", "_nodes", "_seen", "_size")

    def __init__(self, nodes: Sequence[Node]) -> None:
        self._nodes = nodes
        self._index = {node: index for index, node in enumerate(nodes)}
        # Nodes whose requests have become more or fewer since the last choice; those with fewer add themselves.
        self._moved: list[Node] = []
        for node in nodes:
            node.freed = self._moved
        size = 1
        while size < len(nodes):
            size *= 2
        self._size = size
        # A binary tree in a list: the first is the root, the children of i are 2i and 2i + 1.
        self._levels = [_NOBODY] * (2 * size)
        self._free = [0] * (2 * size)
        # Requests that a node had when it was looked at.
        self._seen = [0] * len(nodes)
        for index in range(len(nodes)):
            self._look_at(index)
        for inner in range(size - 1, 0, -1):
            self._combine(inner)

    @property
    def lowest(self) -> tuple[int, int]:
        """Lowest level, and the free units of all nodes that are on it."""
        self._update_moved()
        return self._levels[1], self._free[1]

    def choose(self, excluded: Collection[Node]) -> Node | None:
        """Return one of the least loaded nodes, to which the caller gives a request; None: all are excluded."""
        self._update_moved()
        hidden: list[int] = []
        found: Node | None = None
        while self._levels[1] != _NOBODY:
            index = self._at(int(random() * self._free[1]))  # noqa: S311
            node = self._nodes[index]
            if excluded and node in excluded:
                hidden.append(index)
                self._set(index, _NOBODY, 0)
            elif node.reference != self._seen[index]:
                self._update(index)
            else:
                found = node
                break
        for index in hidden:
            self._update(index)
        if found is not None:
            self._moved.append(found)
        return found

    def at(self, unit: int) -> Node:
        """Return the node whose is the free unit of this number, of those on the lowest level, from 0."""
        self._update_moved()
        return self._nodes[self._at(unit)]

    def _at(self, unit: int) -> int:
        """Return the index of the node whose is the free unit of this number."""
        place = 1
        levels, free = self._levels, self._free
        while place < self._size:
            lowest = levels[place]
            place *= 2
            if levels[place] == lowest:
                if unit < free[place]:
                    continue
                unit -= free[place]
            place += 1
        return place - self._size

    def _update_moved(self) -> None:
        for node in self._moved:
            self._update(self._index[node])
        self._moved.clear()

    def _update(self, index: int) -> None:
        self._look_at(index)
        self._combine_above(index)

    def _set(self, index: int, level: int, free: int) -> None:
        place = self._size + index
        self._levels[place] = level
        self._free[place] = free
        self._combine_above(index)

    def _look_at(self, index: int) -> None:
        node = self._nodes[index]
        capacity, reference = node.capacity, node.reference
        level = reference * _UNITS // capacity
        place = self._size + index
        self._seen[index] = reference
        self._levels[place] = level
        self._free[place] = (level + 1) * capacity - reference * _UNITS

    def _combine_above(self, index: int) -> None:
        place = (self._size + index) // 2
        while place:
            self._combine(place)
            place //= 2

    def _combine(self, place: int) -> None:
        left, right = 2 * place, 2 * place + 1
        levels, free = self._levels, self._free
        if levels[left] < levels[right]:
            levels[place], free[place] = levels[left], free[left]
        elif levels[right] < levels[left]:
            levels[place], free[place] = levels[right], free[right]
        else:
            levels[place], free[place] = levels[left], free[left] + free[right]
