"""Replay protection: the times of signed packets that were used, so that none is obeyed twice.

uWSGI keeps the time of the packet that made a node, so anything recorded later works for ever, and
because the signature doesn't cover the command, a recorded subscribe works as an unsubscribe too
(core/subscription.c). Here each time is good for one packet, whatever its command,
for every node (key and announced address), also after the node has left.

A client dates an unsubscribe one second ahead, and a program that is started again at once announces
itself within that second. So the second before an unsubscribe's stays open, if it wasn't used.
"""

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from uwsgi_router.protocol.subscription import Command

SignedNode = tuple[bytes, str]
"""Key and address, as they were signed."""

#: Nodes that are remembered for one key file. What is beyond is remembered summarily.
MAX_NODES: Final = 2_000


class UsedTimes:
    """Used times of one node; ``newest`` is the latest of them.

    Everything up to ``floor`` is used; so is ``hole``, if it is not None.
    """

    __slots__ = ("floor", "hole")

    def __init__(self, floor: int) -> None:
        self.floor = floor
        self.hole: int | None = None

    @property
    def newest(self) -> int:
        """Latest time that was used."""
        return self.floor if self.hole is None else self.hole

    def allow(self, command: Command, time: int) -> bool:
        """Return True if a packet of this time may be obeyed."""
        if command == "unsubscribe":
            return time > self.newest
        return time > self.floor and time != self.hole

    def use(self, command: Command, time: int) -> None:
        """Note that a packet was obeyed; :meth:`allow` has been asked."""
        if command == "unsubscribe":
            self.floor = max(self.newest, time - 2)
            self.hole = time
        else:
            self.floor = time
            if self.hole is not None and self.hole < time:
                self.hole = None


@dataclass(frozen=True, slots=True)
class Used:
    """Record of used times, for the next run of the router.

    Attributes:
        signer: the key file.
        node: whom it is about; None: all nodes of the signer that are not remembered one by one.
        floor: everything up to here is used.
        hole: a later time that is used too.
    """

    signer: str
    node: SignedNode | None
    floor: int
    hole: int | None = None


class _Signer:
    """Nodes of one key file, in the order in which they were last heard of."""

    __slots__ = ("floor", "nodes")

    def __init__(self) -> None:
        self.nodes: OrderedDict[SignedNode, UsedTimes] = OrderedDict()
        # Of nodes that are not remembered one by one, everything up to here is used.
        self.floor = -1


class ReplayMemory:
    """Memory of used times, by key file and node.

    What one signer does can't make us forget anything of another: the memory is bounded for each
    key file, and there are as many signers as the operator has put files there.

    Args:
        tolerance: seconds; packets older than that are refused whatever is remembered here.
        max_nodes: how many nodes of one signer are remembered one by one.
    """

    def __init__(self, tolerance: float, *, max_nodes: int = MAX_NODES) -> None:
        self._tolerance = tolerance
        self._max_nodes = max_nodes
        self._signers: dict[str, _Signer] = {}

    def __len__(self) -> int:
        return sum(len(signer.nodes) for signer in self._signers.values())

    def allows(self, signer: str, node: SignedNode, command: Command, time: int) -> bool:
        """Return True if this time has not been used.

        Args:
            signer: the key file.
            node: whom the packet is about, as it was signed.
            command: what it asks for.
            time: its ``unix``.
        """
        known = self._signers.get(signer)
        if known is None:
            return True
        used = known.nodes.get(node)
        return time > known.floor if used is None else used.allow(command, time)

    def use(self, signer: str, node: SignedNode, command: Command, time: int) -> None:
        """Note that a packet was verified; :meth:`allows` has been asked."""
        known = self._signers.setdefault(signer, _Signer())
        used = known.nodes.get(node)
        if used is None:
            used = known.nodes[node] = UsedTimes(known.floor)
        used.use(command, time)
        known.nodes.move_to_end(node)
        if len(known.nodes) > self._max_nodes:
            _, oldest = known.nodes.popitem(last=False)
            known.floor = max(known.floor, oldest.newest)

    def items(self) -> Iterator[Used]:
        """Return what is remembered; what changes meanwhile may be left out or not."""
        for name, signer in list(self._signers.items()):
            if signer.floor >= 0:
                yield Used(name, None, signer.floor)
            for node, used in list(signer.nodes.items()):
                if used.floor >= 0 or used.hole is not None:
                    yield Used(name, node, max(0, used.floor), used.hole)

    def restore(self, used: Used) -> None:
        """Remember what an earlier run did, in the order of :meth:`items`."""
        signer = self._signers.setdefault(used.signer, _Signer())
        if used.node is None:
            signer.floor = max(signer.floor, used.floor)
        else:
            times = signer.nodes[used.node] = UsedTimes(used.floor)
            times.hole = used.hole

    def forget_old(self, wall: float) -> None:
        """Give back the space of what is too old to be accepted again anyway.

        Args:
            wall: seconds since the epoch.
        """
        oldest = wall - self._tolerance
        for name, signer in list(self._signers.items()):
            gone = [node for node, used in signer.nodes.items() if used.newest < oldest]
            for node in gone:
                del signer.nodes[node]
            if not signer.nodes and signer.floor < oldest:
                del self._signers[name]
