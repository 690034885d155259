"""Replay protection: the times of signed packets that were used, so that none is obeyed twice.

uWSGI keeps the time of the packet that made a node, so anything recorded later works for ever, and
because the signature doesn't cover the command, a recorded subscribe works as an unsubscribe too
(core/subscription.c). Here each time is good for one packet, whatever its command,
for every node (key and announced address), also after the node has left.

A client dates an unsubscribe one second ahead, and a program that is started again at once announces
itself within that second. So the second before an unsubscribe's stays open, if it wasn't used.

A clock of ours that was ahead for a while has let times be used that lie ahead of us once it is right
again, and no announce would be new until then. When it goes back, that is forgiven
(:meth:`ReplayMemory.clock_went_back`): times up to now are used, later ones are good again, except those
of the last :data:`HISTORY` seconds that were really used. Only our clock leads to that, never a packet.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from uwsgi_router.protocol.subscription import Command

SignedNode = tuple[bytes, str]
"""Key and address, as they were signed."""

#: Nodes that are remembered for one key file. What is beyond is remembered summarily.
MAX_NODES: Final = 2_000
#: Seconds before the newest time of a node of which each used one is remembered.
HISTORY: Final = 3600
#: Times ahead of us that are remembered of one node, however often our clock went back.
MAX_AHEAD: Final = 2 * HISTORY
_WINDOW: Final = (1 << HISTORY) - 1


class UsedTimes:
    """Used times of one node; ``newest`` is the latest of them.

    Everything up to ``floor`` is used; so is ``hole``, if it is not None, and so are the times ``ahead`` of our clock,
    from before it went back. Bit n of ``recent`` tells that the time n seconds before ``newest`` was used.
    """

    __slots__ = ("ahead", "floor", "hole", "recent")

    def __init__(self, floor: int) -> None:
        self.floor = floor
        self.hole: int | None = None
        self.recent = 0
        self.ahead: frozenset[int] = frozenset()

    @property
    def newest(self) -> int:
        """Latest time that was used."""
        return self.floor if self.hole is None else self.hole

    def allow(self, command: Command, time: int) -> bool:
        """Return True if a packet of this time may be obeyed."""
        if time in self.ahead:
            return False
        if command == "unsubscribe":
            return time > self.newest
        return time > self.floor and time != self.hole

    def use(self, command: Command, time: int) -> None:
        """Note that a packet was obeyed; :meth:`allow` has been asked."""
        before = self.newest
        if command == "unsubscribe":
            self.floor = max(self.newest, time - 2)
            self.hole = time
        else:
            self.floor = time
            if self.hole is not None and self.hole < time:
                self.hole = None
        newest = self.newest
        self.recent = (self.recent << min(max(newest - before, 0), HISTORY)) & _WINDOW
        self.recent |= 1 << max(newest - time, 0)
        if self.ahead:
            self.ahead = frozenset(one for one in self.ahead if one > newest - HISTORY)

    def clock_went_back(self, wall: int) -> bool:
        """Forgive times later than ``wall``; return True if there were any."""
        newest = self.newest
        if newest <= wall:
            return False
        used = {
            newest - ago for ago in range(min(HISTORY, newest - wall)) if self.recent >> ago & 1
        }
        self.ahead = frozenset(sorted(self.ahead | used)[:MAX_AHEAD])
        self.floor = min(self.floor, wall)
        self.hole = None
        self.recent >>= newest - self.newest
        return True


@dataclass(frozen=True, slots=True)
class Used:
    """Record of used times, for the next run of the router.

    Attributes:
        signer: the key file.
        node: whom it is about; None: all nodes of the signer that are not remembered one by one.
        floor: everything up to here is used.
        hole: a later time that is used too.
        recent: likewise, the times of the last hour; see :class:`UsedTimes`.
        ahead: likewise, times that lay ahead of our clock when it went back.
    """

    signer: str
    node: SignedNode | None
    floor: int
    hole: int | None = None
    recent: int = 0
    ahead: tuple[int, ...] = ()


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

    Attributes:
        on_use: told of each use, with the arguments of :meth:`use`; None: nobody is.
    """

    def __init__(self, tolerance: float, *, max_nodes: int = MAX_NODES) -> None:
        self._tolerance = tolerance
        self._max_nodes = max_nodes
        self._signers: dict[str, _Signer] = {}
        self.on_use: Callable[[str, SignedNode, Command, int], None] | None = None

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
        if self.on_use is not None:
            self.on_use(signer, node, command, time)
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
                    ahead = tuple(sorted(used.ahead))
                    yield Used(name, node, max(0, used.floor), used.hole, used.recent, ahead)

    def restore(self, used: Used) -> None:
        """Remember what an earlier run did, in the order of :meth:`items`."""
        signer = self._signers.setdefault(used.signer, _Signer())
        if used.node is None:
            signer.floor = max(signer.floor, used.floor)
        else:
            times = signer.nodes[used.node] = UsedTimes(used.floor)
            times.hole = used.hole
            times.recent = used.recent & _WINDOW
            times.ahead = frozenset(used.ahead[:MAX_AHEAD])

    def clock_went_back(self, wall: float) -> int:
        """Forgive the times that were used while our clock was ahead; return how many nodes that concerns.

        Args:
            wall: seconds since the epoch, now that the clock has gone back.
        """
        now = int(wall)
        concerned = 0
        for signer in self._signers.values():
            signer.floor = min(signer.floor, now)
            concerned += sum(used.clock_went_back(now) for used in signer.nodes.values())
        return concerned

    def forget_old(self, wall: float) -> None:
        """Give back the space of what is too old to be accepted again anyway.

        Args:
            wall: seconds since the epoch.
        """
        oldest = wall - self._tolerance
        for name, signer in list(self._signers.items()):
            gone = [
                node
                for node, used in signer.nodes.items()
                if max(used.newest, *used.ahead, 0) < oldest
            ]
            for node in gone:
                del signer.nodes[node]
            if not signer.nodes and signer.floor < oldest:
                del self._signers[name]
