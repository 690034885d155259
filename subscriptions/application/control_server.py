"""Control socket of the supervisor: copies and rollouts; other questions go on to the router's.

A UNIX socket that only our user may connect to. Clients are few, and each has its time and its number of bytes.
"""

import logging
import os
import socket
from collections.abc import Mapping, Sequence
from typing import Any, Final

from uwsgi_router.protocol.control import (
    MAX_QUESTION,
    OF_APPLICATIONS,
    ControlError,
    Question,
    decode_question,
    encode_done,
    encode_line,
    encode_refusal,
)
from uwsgi_router.subscriptions.application import runtime
from uwsgi_router.subscriptions.application.supervisor import RolloutRefused, Supervision

log = logging.getLogger("uwsgi-router.serve")

_MOST_CLIENTS: Final = 64
_CHUNK: Final = 65_536
# Unsent bytes at which a client, or the router, is read no further.
_MOST_UNSENT: Final = 1024 * 1024


class _End:
    """One end of a connection: what is to be sent to it, and what watches it."""

    def __init__(self, supervision: Supervision, sock: socket.socket) -> None:
        sock.setblocking(False)
        self.sock = sock
        self.unsent = b""
        self._supervision = supervision

    def send(self, data: bytes) -> None:
        """Send what is taken now, keep the rest.

        Raises:
            OSError: nobody takes it any more.
        """
        self.unsent += data
        while self.unsent:
            try:
                sent = self.sock.send(self.unsent)
            except BlockingIOError:
                break
            self.unsent = self.unsent[sent:]
        if len(self.unsent) > _MOST_UNSENT:
            raise ConnectionAbortedError

    def close(self) -> None:
        self._supervision.unwatch(self.sock.fileno())
        self.sock.close()


class _Client:
    """Client of the control socket: asks, or is connected through to the router."""

    def __init__(self, server: "ApplicationControl", sock: socket.socket) -> None:
        self._server = server
        self._end = _End(server.supervision, sock)
        self._received = b""
        self._router: _End | None = None
        self._awaited: dict[tuple[str, int], None] = {}
        self._failures: list[tuple[str, str, Sequence[str]]] = []
        self._count = 0
        self.wait()

    def wait(self) -> None:
        """Have the loop call us for what comes, or for room to send."""
        self._server.supervision.watch(
            self._end.sock.fileno(), self._ready, write=bool(self._end.unsent)
        )

    def _ready(self) -> None:
        try:
            if self._end.unsent:
                self._end.send(b"")
            else:
                self._read()
        except OSError:
            self.close()
            return
        if self in self._server.clients:
            self.wait()

    def _read(self) -> None:
        data = self._end.sock.recv(_CHUNK)
        if self._router is not None:
            if not data:
                self.close()
                return
            self._router.send(data)
            return
        self._received += data
        while (found := self._received.partition(b"\n"))[1] and self._router is None:
            line, _, self._received = found
            self._ask(line)
        if len(self._received) > MAX_QUESTION and self._router is None:
            self._end.send(encode_refusal(f"the line is longer than {MAX_QUESTION} bytes"))
            self.close()
        elif not data:
            self.close()

    def _ask(self, line: bytes) -> None:
        try:
            question = decode_question(line)
        except ControlError as exc:
            self._end.send(encode_refusal(str(exc)))
            return
        if question.do not in OF_APPLICATIONS and self._server.router is None:
            self._end.send(encode_refusal("there is no router: nobody is told of the copies"))
        elif question.do not in OF_APPLICATIONS:
            self._connect_through(line + b"\n" + self._received)
        elif question.do == "rollout":
            self._rollout(question)
        elif question.app and question.app not in self._server.supervision.applications:
            self._end.send(encode_refusal(f"there is no application {question.app}"))
        else:
            copies = self._server.copies(question.app)
            self._end.send(
                b"".join(encode_line({"copy": copy}) for copy in copies)
                + encode_done(nodes=len(copies))
            )

    def _rollout(self, question: Question) -> None:
        if self._awaited:
            self._end.send(encode_refusal("a rollout is being waited for on this connection"))
            return
        try:
            self._server.begin(self, question.app, question.surge)
        except RolloutRefused as exc:
            self._end.send(encode_refusal(str(exc)))

    def await_rollouts(self, generations: Mapping[str, int]) -> None:
        """Note rollouts whose end is to be told: the generation of each application."""
        self._failures, self._count = [], len(generations)
        self._awaited = dict.fromkeys(generations.items())

    def rollout_ended(
        self, name: str, generation: int, reason: str | None, lines: Sequence[str]
    ) -> None:
        """Tell how a rollout ended, once all that were asked for have."""
        if (name, generation) not in self._awaited:
            return
        del self._awaited[name, generation]
        if reason is not None:
            self._failures.append((name, reason, lines))
        if self._awaited:
            return
        answer = b"".join(
            encode_line({"line": line}) for *_, lines in self._failures for line in lines
        )
        if self._failures:
            what = "; ".join(f"rollout of {name} failed: {why}" for name, why, _ in self._failures)
            answer += encode_refusal(what)
        else:
            answer += encode_done(nodes=self._count)
        try:
            self._end.send(answer)
            self.wait()
        except OSError:
            self.close()

    # --- the router ---

    def _connect_through(self, data: bytes) -> None:
        self._received = b""
        sock = socket.socket(socket.AF_UNIX)
        assert self._server.router is not None
        try:
            sock.connect(self._server.router)
            self._router = _End(self._server.supervision, sock)
            self._router.send(data)
        except OSError as exc:
            sock.close()
            self._router = None
            self._end.send(encode_refusal(f"the router does not answer: {exc.strerror or exc}"))
            return
        self._wait_for_router()

    def _wait_for_router(self) -> None:
        assert self._router is not None
        self._server.supervision.watch(
            self._router.sock.fileno(), self._from_router, write=bool(self._router.unsent)
        )

    def _from_router(self) -> None:
        assert self._router is not None
        try:
            if self._router.unsent:
                self._router.send(b"")
            else:
                data = self._router.sock.recv(_CHUNK)
                if not data:
                    self.close()
                    return
                self._end.send(data)
                self.wait()
        except BlockingIOError:
            pass
        except OSError:
            self.close()
            return
        self._wait_for_router()

    def close(self) -> None:
        """Close the connection, and the router's."""
        if self in self._server.clients:
            self._server.clients.discard(self)
            self._end.close()
            if self._router is not None:
                self._router.close()


class ApplicationControl:
    """Server of the supervisor's control socket; a part of its loop.

    Args:
        path: where it listens; a socket that nobody listens on any more is replaced.
        router: path of the router's control socket; None: there is no router.

    Raises:
        OSError: it can't listen there.

    Attributes:
        supervision: what it speaks for, once it has started.
        clients: that are connected.
    """

    supervision: Supervision

    def __init__(self, path: str, router: str | None) -> None:
        self.path = path
        self.router = router
        self.clients: set[_Client] = set()
        self._sock = runtime.private_listener(path, _MOST_CLIENTS)

    def start(self, supervision: Supervision) -> None:
        """Begin to answer."""
        self.supervision = supervision
        supervision.listen(self._rollout_ended)
        supervision.watch(self._sock.fileno(), self._accept)

    def close(self) -> None:
        """End all connections, and remove the socket."""
        for client in tuple(self.clients):
            client.close()
        self.supervision.unwatch(self._sock.fileno())
        self._sock.close()
        try:
            os.unlink(self.path)
        except OSError:
            pass

    def copies(self, app: str) -> list[dict[str, Any]]:
        """Return the copies of an application; "": of all."""
        self.supervision.weigh_sooner()
        shells = self.supervision.applications
        return [
            line for name, shell in shells.items() if app in ("", name) for line in shell.status()
        ]

    def begin(self, client: _Client, app: str, surge: bool | None) -> None:
        """Begin a rollout whose end a client waits for; it may have ended when this returns.

        Raises:
            RolloutRefused: it can't begin.
        """
        early: list[tuple[str, int, str | None, Sequence[str]]] = []
        self._early, before = early, self._early
        try:
            generations = self.supervision.begin_rollout(app, surge=surge)
        finally:
            self._early = before
        client.await_rollouts(generations)
        for ended in early:
            client.rollout_ended(*ended)

    _early: list[tuple[str, int, str | None, Sequence[str]]] | None = None

    def _accept(self) -> None:
        try:
            sock, _ = self._sock.accept()
        except OSError:
            return
        if len(self.clients) >= _MOST_CLIENTS:
            sock.close()
            return
        self.clients.add(_Client(self, sock))

    def _rollout_ended(
        self, name: str, generation: int, reason: str | None, lines: Sequence[str]
    ) -> None:
        if self._early is not None:
            self._early.append((name, generation, reason, lines))
        for client in tuple(self.clients):
            client.rollout_ended(name, generation, reason, lines)
