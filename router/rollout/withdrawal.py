"""Withdrawal of a vassal's nodes: over control sockets of our routers, or over the vassal's own fifo."""

import queue
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from uwsgi_router.protocol.control import Question
from uwsgi_router.router.rollout.fifo_guard import PAUSE, FifoGuard, command
from uwsgi_router.router.rollout.views import Moment, NodePlace
from uwsgi_router.subscriptions.client.control import CannotAsk, Control

# Moments in a row at which a node has to have no requests: statistics are a little old.
_QUIET: Final = 2
# Seconds for an answer beyond the time that a drain may take.
_PATIENCE: Final = 15.0


Done = Callable[[str], object]
"""Called once, with "" or with why a withdrawal failed."""


@dataclass(frozen=True, slots=True)
class DrainLimits:
    """Limits of a drain, seconds.

    Attributes:
        requests: for the requests of a node to end.
        streams: after which event streams and WebSockets are ended.
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
                streams=self._limits.streams if timeout else None,
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

    def keep(self) -> bool:
        """Leave it drained; return False if there is nothing to be left."""
        try:
            with Control(self.control, _PATIENCE) as control:
                return bool(control.do(Question("drain", self.address))["nodes"])
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

    def keep_out(self) -> list[str]:
        """Leave out of service what failed; return the addresses that stay drained."""
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
            troubles.put(node.drain())

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

    def keep_out(self) -> list[str]:
        """Leave the nodes drained; return those that there are."""
        return [node.address for node in self._nodes if node.keep()]


class FifoWithdrawal(Withdrawal):
    """Withdrawal over the vassal's own fifo: it is paused, which unsubscribes its nodes, until it is reloaded.

    Args:
        fifo: its path.
        places: of its nodes.
        limit: seconds for their requests to end.
        guard: resumes it if we are killed.
    """

    def __init__(
        self, fifo: str, places: Iterable[NodePlace], limit: float, guard: FifoGuard
    ) -> None:
        self._fifo = fifo
        self._places = frozenset(places)
        self._limit = limit
        self._guard = guard
        self._paused = False
        self._quiet = 0
        self._deadline: float | None = None
        self._done: Done | None = None

    def begin(self, done: Done) -> None:
        """Pause it."""
        self._quiet = 0
        self._deadline = None
        self._paused = self._guard.pause(self._fifo)
        if self._paused:
            self._done = done
        else:
            done(f"no vassal reads {self._fifo}")

    def look(self, moment: Moment, now: float) -> None:
        """Look whether its nodes are gone, or have no requests."""
        done = self._done
        if done is None:
            return
        if self._deadline is None:
            self._deadline = now + self._limit
        nodes = moment.nodes()
        left = [nodes[one] for one in self._places if one in nodes]
        left = [node for node in left if node.running or node.alive]
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
                else "its nodes are announced although it is paused"
            )

    def touched(self) -> None:
        """Note that the pause ends by itself."""
        self._paused = False
        self._guard.forget(self._fifo)

    def restore(self) -> None:
        """Resume it, unless it is reloaded anyway."""
        self._done = None
        if self._paused:
            self._paused = False
            self._guard.resume(self._fifo)

    def keep_out(self) -> list[str]:
        """Pause what failed: it would announce itself again and again."""
        command(self._fifo, PAUSE)
        return []
