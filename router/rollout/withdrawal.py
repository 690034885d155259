"""Withdrawal of a vassal's nodes: over control sockets of our routers, or over the vassal's own fifo."""

import queue
import socket
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from uwsgi_router.protocol.address import AddressError, InetAddress, parse_address
from uwsgi_router.protocol.control import Question
from uwsgi_router.protocol.text import to_bytes
from uwsgi_router.protocol.uwsgi import MODIFIER_SUBSCRIPTION, encode_packet
from uwsgi_router.router.rollout.fifo_guard import TOGGLE, FifoGuard, command
from uwsgi_router.router.rollout.views import Moment, NodePlace, SeenNode
from uwsgi_router.subscriptions.client.control import CannotAsk, Control

# Moments in a row at which a node has to have no requests: statistics are a little old.
_QUIET: Final = 2
# Seconds between two questions for a node that is not there yet.
_PAUSE: Final = 0.1
# The second modifier of a datagram of a node that leaves.
_UNSUBSCRIBE: Final = 1
# Seconds for an answer beyond the time that a drain may take.
_PATIENCE: Final = 15.0


Done = Callable[[str], object]
"""Called once, with "" or with why a withdrawal failed."""


@dataclass(frozen=True, slots=True)
class DrainLimits:
    """Limits of a drain, seconds.

    Attributes:
        requests: for the requests of a node to end.
        streams: after which event streams and WebSockets are ended, if that is before.
    """

    requests: float = 60.0
    streams: float = 10.0


class WithheldNode:
    """Node that a router withholds as long as a connection to its control socket is open.

    Args:
        control: path of the socket.
        address: of the node.
        limits: of the drain.
    """

    def __init__(self, control: str, address: str, limits: DrainLimits) -> None:
        self.control = control
        self.address = address
        self._limits = limits
        self._open: Control | None = None
        self._lock = threading.Lock()
        self._closed = False

    def drain(self) -> str:
        """Take the node out of service, and wait for its requests; return why that failed, or ""."""
        try:
            done = self._withhold(self._limits.requests)
        except CannotAsk as exc:
            return str(exc)
        if done["running"]:
            return f"{self.address} still has {done['running']} requests after {self._limits.requests:g} s"
        return ""

    def hold(self) -> None:
        """Withhold it again if the connection has ended: its router was restarted."""
        with self._lock:
            opened = self._open
        if opened is None or self._closed or not opened.ended:
            return
        try:
            self._withhold(0.0)
        except CannotAsk:
            # It is tried again.
            pass

    def _withhold(self, timeout: float) -> dict[str, object]:
        opened = Control(self.control, _PATIENCE)
        with self._lock:
            if self._closed:
                opened.close()
                raise CannotAsk("it is not to be withdrawn any more")
            if self._open is not None:
                self._open.close()
            self._open = opened
        return opened.do(
            Question(
                "drain",
                self.address,
                timeout=timeout,
                streams=min(timeout, self._limits.streams) if timeout else None,
                while_connected=True,
            )
        )

    def enable(self) -> str:
        """Let it have requests again; return why that failed, or ""."""
        try:
            with Control(self.control, _PATIENCE) as control:
                control.do(Question("enable", self.address))
        except CannotAsk as exc:
            return str(exc)
        finally:
            self.close()
        return ""

    def keep(self, patience: float) -> bool:
        """Leave it drained; return False if there is nothing to be left.

        Args:
            patience: seconds in which it may announce itself.
        """
        end = time.monotonic() + patience
        try:
            with Control(self.control, _PATIENCE) as control:
                while not control.do(Question("drain", self.address))["nodes"]:
                    if time.monotonic() >= end:
                        return False
                    time.sleep(_PAUSE)
                return True
        except CannotAsk:
            return False
        finally:
            self.close()

    def close(self) -> None:
        """Withhold it no more."""
        with self._lock:
            self._closed = True
            if self._open is not None:
                self._open.close()
                self._open = None


class Withdrawal:
    """Withdrawal of the nodes of one vassal; this one does nothing: the vassal itself unsubscribes, if it does."""

    def begin(self, done: Done) -> None:
        """Begin; ``done`` is called once, in any thread or by :meth:`look`, with why it failed or ""."""
        done("")

    def look(self, moment: Moment, now: float) -> None:
        """Look at what has become of the nodes."""

    def touched(self) -> None:
        """Note that the vassal is reloaded from now on."""

    def hold(self) -> None:
        """Withhold again what a restarted router has forgotten."""

    def restore(self) -> None:
        """Give back what was withdrawn, as it was before."""

    def give_back(self) -> list[str]:
        """Let its nodes have requests again; return what went wrong."""
        return []

    def keep_out(self, _moment: Moment | None, _patience: float) -> list[str]:
        """Leave out of service what failed; return the addresses that stay drained.

        Args:
            _moment: as it is, if that is known.
            _patience: seconds in which its nodes may come yet.
        """
        return []


class ControlWithdrawal(Withdrawal):
    """Withdrawal over control sockets of our routers.

    Args:
        nodes: (control socket, address) of each node.
        limits: of the drain.
    """

    def __init__(self, nodes: Iterable[tuple[str, str]], limits: DrainLimits) -> None:
        self._nodes = [WithheldNode(path, address, limits) for path, address in sorted(nodes)]

    def begin(self, done: Done) -> None:
        """Drain all nodes at once, in threads."""
        threading.Thread(target=self._drain, args=(done,), daemon=True).start()

    def _drain(self, done: Done) -> None:
        troubles: queue.SimpleQueue[str] = queue.SimpleQueue()

        def drain(node: WithheldNode) -> None:
            trouble = f"{node.address} could not be drained"
            try:
                trouble = node.drain()
            finally:
                troubles.put(trouble)

        for node in self._nodes:
            threading.Thread(target=drain, args=(node,), daemon=True).start()
        found = sorted(filter(None, (troubles.get() for _ in self._nodes)))
        done(found[0] if found else "")

    def hold(self) -> None:
        """Withhold again what a restarted router has forgotten."""
        for node in self._nodes:
            node.hold()

    def restore(self) -> None:
        """End the connections that withhold the nodes."""
        for node in self._nodes:
            node.close()

    def give_back(self) -> list[str]:
        """Enable all nodes, also those that were drained before."""
        return [trouble for trouble in (node.enable() for node in self._nodes) if trouble]

    def keep_out(self, _moment: Moment | None, patience: float) -> list[str]:
        """Leave the nodes drained; return those that there are."""
        return [node.address for node in self._nodes if node.keep(patience)]


class FifoWithdrawal(Withdrawal):
    """Withdrawal over the vassal's own fifo: it announces nothing until it is reloaded, and we unsubscribe its nodes.

    Args:
        fifo: its path.
        nodes: for each place of a node the addresses where its router may take datagrams.
        limit: seconds for their requests to end.
        guard: takes it back if we are killed.
    """

    def __init__(
        self, fifo: str, nodes: Mapping[NodePlace, Sequence[str]], limit: float, guard: FifoGuard
    ) -> None:
        self._fifo = fifo
        self._nodes = dict(nodes)
        self._limit = limit
        self._guard = guard
        self._silenced = False
        self._quiet = 0
        self._deadline: float | None = None
        self._done: Done | None = None

    def begin(self, done: Done) -> None:
        """Silence it."""
        self._quiet = 0
        self._deadline = None
        self._silenced = self._guard.silence(self._fifo)
        if self._silenced:
            self._done = done
        else:
            done(f"no vassal reads {self._fifo}")

    def look(self, moment: Moment, now: float) -> None:
        """Unsubscribe its nodes if they are there, and look whether they have no requests."""
        done = self._done
        if done is None:
            return
        if self._deadline is None:
            self._deadline = now + self._limit
        left = self._left(moment)
        # Again and again: its last announce may have come behind the first datagram.
        self._unsubscribe(node.place for node in left if node.alive)
        self._quiet = 0 if left else self._quiet + 1
        if self._quiet >= _QUIET:
            self._done = None
            done("")
        elif now >= self._deadline:
            self._done = None
            running = sum(node.running for node in left)
            done(
                f"its nodes still have {running} requests after {self._limit:g} s"
                if running
                else "its router takes no unsubscribe from us"
            )

    def _left(self, moment: Moment) -> list[SeenNode]:
        nodes = moment.nodes()
        found = [nodes[one] for one in self._nodes if one in nodes]
        return [node for node in found if node.running or node.alive]

    def _unsubscribe(self, places: Iterable[NodePlace]) -> None:
        for place in places:
            for address in self._nodes[place]:
                unsubscribe(address, place)

    def touched(self) -> None:
        """Note that a reload ends it by itself."""
        self._silenced = False
        self._guard.forget(self._fifo)

    def restore(self) -> None:
        """Let it announce itself again, unless it is reloaded anyway."""
        self._done = None
        if self._silenced:
            self._silenced = False
            self._guard.resume(self._fifo)

    def keep_out(self, moment: Moment | None, _patience: float) -> list[str]:
        """Silence what failed if it announces itself, and unsubscribe it."""
        nodes = [] if moment is None else [node for node in self._left(moment) if node.alive]
        if nodes:
            command(self._fifo, TOGGLE)
            self._unsubscribe(node.place for node in nodes)
        return []


def unsubscribe(address: str, place: NodePlace) -> None:
    """Tell a router that a node leaves; nothing happens where nobody takes datagrams."""
    variables = [(b"key", to_bytes(place.key)), (b"address", to_bytes(place.address))]
    packet = encode_packet(variables, MODIFIER_SUBSCRIPTION, _UNSUBSCRIBE)
    try:
        where = parse_address(address)
        if isinstance(where, InetAddress):
            host = "127.0.0.1" if where.is_every_interface else where.host
            family, target = socket.AF_INET6 if ":" in host else socket.AF_INET, (host, where.port)
            with socket.socket(family, socket.SOCK_DGRAM) as sock:
                sock.sendto(packet, target)
        else:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
                sock.sendto(packet, where.path)
    except (OSError, AddressError):
        pass
