"""Control socket of an Emperor: shows vassals, and starts, stops, reloads and forgives them (protocol/control.py).

UNIX sockets that only our user may connect to. Clients are few, and each has its time and its number of bytes.
"""

import logging
import os
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from uwsgi_router.protocol.control import (
    MAX_QUESTION,
    ControlError,
    Order,
    Question,
    decode_question,
    encode_done,
    encode_line,
    encode_refusal,
)
from uwsgi_router.protocol.text import to_text
from uwsgi_router.router.emperor.accepting import accept_from
from uwsgi_router.router.emperor.document import vassal_members
from uwsgi_router.router.emperor.government import Government
from uwsgi_router.router.emperor.machine import LIVING, VassalEvent, VassalState
from uwsgi_router.router.emperor.sending import send_some
from uwsgi_router.router.emperor.vassal import Vassal
from uwsgi_router.router.supervision.loop import SelectorLoop, Timer
from uwsgi_router.subscriptions.application import runtime

log = logging.getLogger("uwsgi-router.emperor")

_CHUNK: Final = 65_536
_BACKLOG: Final = 64
_EVENTS: Final[dict[Order, VassalEvent]] = {
    "start": VassalEvent.START,
    "stop": VassalEvent.STOP,
    "reload": VassalEvent.RELOAD,
    "reset": VassalEvent.RESET,
}
# States in which an order changes nothing, and why.
_IN_VAIN: Final[dict[tuple[Order, VassalState], str]] = {
    ("reload", VassalState.HELD): "it is stopped: start it",
    ("reload", VassalState.ASLEEP): "it sleeps; its next start reads its file",
    ("reload", VassalState.WAITING): "it starts just now",
    ("reload", VassalState.STOPPING): "it stops just now",
    ("reload", VassalState.CURSED): "it ends just now",
    ("reload", VassalState.KILLED): "it ends just now",
}


@dataclass(frozen=True, slots=True)
class EmperorControlLimits:
    """Limits on the cost of clients; times in seconds."""

    clients: int = 64
    """Connected at once; more are turned away."""
    idle: float = 60.0
    """Until a question has come, or an answer was taken."""


class ControlListener:
    """Listening control socket, whose file goes with it.

    Raises:
        OSError: it can't listen there.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.sock = runtime.private_listener(path, _BACKLOG)

    def close(self) -> None:
        """Close it, and remove its file."""
        self.sock.close()
        try:
            os.unlink(self.path)
        except OSError:
            pass


class EmperorControl:
    """Server of the Emperor's control sockets.

    Args:
        loop: waits.
        listeners: closed with it.
        government: of the vassals.
        limits: see :class:`EmperorControlLimits`.

    Attributes:
        loop: see above.
        limits: see above.
        clients: that are connected.
    """

    def __init__(
        self,
        loop: SelectorLoop,
        listeners: Sequence[ControlListener],
        government: Government,
        limits: EmperorControlLimits | None = None,
    ) -> None:
        self.loop = loop
        self.limits = limits or EmperorControlLimits()
        self.clients: set[_Client] = set()
        self._listeners = listeners
        self._government = government
        for one in listeners:
            accept_from(loop, one.sock, self._take)

    def _take(self, sock: socket.socket) -> None:
        if len(self.clients) >= self.limits.clients:
            sock.close()
            return
        self.clients.add(_Client(self, sock))

    def answer(self, line: bytes) -> bytes:
        """Do what a question asks for, and return the answer."""
        try:
            question = decode_question(line)
            if question.do != "vassals":
                raise ControlError(f"this is an Emperor: {question.do} is for routers")
            return self._answer(question)
        except ControlError as exc:
            return encode_refusal(str(exc))

    def _answer(self, question: Question) -> bytes:
        chosen = self._chosen(question.vassal)
        lines: list[bytes] = []
        for vassal in chosen:
            if question.order == "log":
                lines += [
                    encode_line({"line": to_text(os.fsencode(text))})
                    for text in vassal.output.lines
                ]
            elif question.order:
                self._order(vassal, question.order)
            lines.append(encode_line({"vassal": vassal_members(vassal)}))
        return b"".join(lines) + encode_done(nodes=len(chosen))

    def _order(self, vassal: Vassal, order: Order) -> None:
        why = _IN_VAIN.get((order, vassal.machine.state))
        if why is not None:
            raise ControlError(f"{vassal.name}: {why}")
        if self._government.ending:
            raise ControlError("the Emperor ends")
        log.info("%s: an operator says %s", vassal.name, order)
        if order == "reload" and vassal.machine.state in LIVING:
            # What has changed until now is in it.
            chronicle = vassal.chronicle
            chronicle.modified = max(chronicle.modified, vassal.file.mtime)
        vassal.tell(_EVENTS[order])

    def _chosen(self, name: str) -> list[Vassal]:
        """Return the vassals that a question is about."""
        vassals = self._government.vassals
        if not name:
            return list(vassals.values())
        if name in vassals:
            return [vassals[name]]
        stems = [one for full, one in vassals.items() if os.path.splitext(full)[0] == name]
        if len(stems) > 1:
            names = ", ".join(sorted(one.name for one in stems))
            raise ControlError(f"{name} may be one of {names}")
        if not stems:
            raise ControlError(f"there is no vassal {name}")
        return stems

    def close(self) -> None:
        """End all connections, and remove the sockets."""
        for client in tuple(self.clients):
            client.close()
        for one in self._listeners:
            self.loop.remove_reader(one.sock.fileno())
            one.close()


class _Client:
    """Client of a control socket: a question is read, its answer is taken, then the next one."""

    def __init__(self, server: EmperorControl, sock: socket.socket) -> None:
        sock.setblocking(False)
        self._server = server
        self._sock = sock
        self._received = b""
        self._unsent = memoryview(b"")
        self._timer: Timer | None = None
        self._wait()

    def _wait(self) -> None:
        """Wait for bytes, or for room if an answer is not taken yet."""
        loop = self._server.loop
        loop.remove_reader(self._sock.fileno())
        if self._timer is not None:
            self._timer.cancel()
        self._timer = loop.call_later(self._server.limits.idle, self.close)
        if self._unsent:
            loop.add_writer(self._sock.fileno(), self._write)
        else:
            loop.add_reader(self._sock.fileno(), self._read)

    def _read(self) -> None:
        try:
            data = self._sock.recv(_CHUNK)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        self._received += data
        if not data:
            self.close()
        else:
            self._ask()

    def _ask(self) -> None:
        """Answer the next question, if it is whole."""
        line, found, rest = self._received.partition(b"\n")
        if found:
            self._received = rest
            self._unsent = memoryview(self._server.answer(line))
            self._wait()
        elif len(self._received) > MAX_QUESTION:
            self.close()

    def _write(self) -> None:
        try:
            self._unsent = send_some(self._sock, self._unsent)
        except OSError:
            self.close()
            return
        if not self._unsent:
            self._wait()
            self._ask()

    def close(self) -> None:
        """Close the connection."""
        if self in self._server.clients:
            self._server.clients.discard(self)
            if self._timer is not None:
                self._timer.cancel()
            self._server.loop.remove_reader(self._sock.fileno())
            self._sock.close()
