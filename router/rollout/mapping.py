"""Mapping of vassals to nodes: by what was said, by process, by where the vassal listens, and last by name."""

import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

from uwsgi_router.protocol.address import Address, AddressError, InetAddress, parse_address
from uwsgi_router.router.rollout.views import NodePlace, SeenNode

Listeners = Callable[[int], Collection[str]]
"""Returns the addresses at which a process listens; none if that can't be seen."""


class AmbiguousNode(Exception):
    """Error: a node may belong to several vassals; ``str()`` says which."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """Vassal that may have announced nodes.

    Attributes:
        name: without the suffix of its file.
        id: in the Emperor's statistics.
        pid: of its process; 0 or less: it has none.
    """

    name: str
    id: str
    pid: int


class NodeMap:
    """Map of the nodes of vassals.

    Args:
        listeners: tells where a process listens.
        said: names of vassals by addresses of nodes, as an operator wrote them.
    """

    def __init__(self, listeners: Listeners, said: Mapping[str, str]) -> None:
        self._listeners = listeners
        self._said = said

    def places(
        self, vassals: Iterable[Candidate], nodes: Iterable[SeenNode]
    ) -> dict[str, frozenset[NodePlace]]:
        """Return the places of the nodes of each vassal, by name.

        Raises:
            AmbiguousNode: a node belongs to several.
        """
        vassals = tuple(vassals)
        found: dict[str, set[NodePlace]] = {one.name: set() for one in vassals}
        listening = {
            one.name: [_Where.of(text) for text in self._listeners(one.pid)]
            for one in vassals
            if one.pid > 0
        }
        for node in nodes:
            for names in self._guesses(node, vassals, listening):
                if len(names) > 1:
                    raise AmbiguousNode(
                        f"the node {node.place.address} may be of {' or '.join(sorted(names))}:"
                        " say whose it is with --node NAME=ADDRESS"
                    )
                if names:
                    found[names.pop()].add(node.place)
                    break
        return {name: frozenset(places) for name, places in found.items()}

    def _guesses(
        self,
        node: SeenNode,
        vassals: Collection[Candidate],
        listening: Mapping[str, Collection["_Where"]],
    ) -> Iterator[set[str]]:
        """Yield the vassals whose node it may be, the surest guess first."""
        said = self._said.get(node.place.address)
        if said is not None:
            yield {one.name for one in vassals if said in {one.name, one.id}}
            return
        if node.pid > 0:
            yield {one.name for one in vassals if one.pid == node.pid}
        if node.vassal:
            yield {one.name for one in vassals if node.vassal in {one.name, one.id}}
        where = _Where.of(node.place.address)
        yield {name for name, some in listening.items() if any(map(where.reaches, some))}
        base = node.place.address.rpartition("/")[2]
        yield {one.name for one in vassals if base == one.name or base.startswith(one.name + ".")}
        # As the script does, for files and sockets with other suffixes.
        yield {one.name for one in vassals if base.partition(".")[0] == one.name.partition(".")[0]}


@dataclass(frozen=True, slots=True)
class _Where:
    """Place where somebody listens, or is to be found."""

    text: str
    address: Address | None

    @classmethod
    def of(cls, text: str) -> "_Where":
        try:
            return cls(text, parse_address(text))
        except AddressError:
            return cls(text, None)

    def reaches(self, listener: "_Where") -> bool:
        """Return True if a connection to this one reaches that listener."""
        mine, other = self.address, listener.address
        if isinstance(mine, InetAddress) and isinstance(other, InetAddress):
            if mine.port != other.port:
                return False
            local = {"localhost": "127.0.0.1"}
            same = local.get(mine.host, mine.host) == other.host
            return same or other.is_every_interface or mine.is_every_interface
        if isinstance(mine, InetAddress) or isinstance(other, InetAddress):
            return False
        if mine == other:
            return mine is not None or self.text == listener.text
        files = self.text.startswith("/") and listener.text.startswith("/")
        return files and os.path.realpath(self.text) == os.path.realpath(listener.text)
