"""The control socket: operators and announcing clients ask, one line each way (protocol/control.py).

A UNIX socket, so that the permissions of its file say who may connect; who may connect may drain. Nothing here can hold
up the router: few connections at once, the rest waits in the kernel's backlog; each question and each piece of an
answer has its time; all connections together get a small part of the event loop's time, however much they ask.
"""

import asyncio
import logging
import socket
import struct
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

from uwsgi_router.protocol.control import (
    MAX_QUESTION,
    ControlError,
    decode_question,
    encode_done,
    encode_line,
    encode_refusal,
)
from uwsgi_router.router.admin.control.operator import (
    DrainCancelled,
    Drained,
    DrainWait,
    NodeStatus,
    Operator,
    UnknownNode,
)
from uwsgi_router.router.core.log import RateLimited
from uwsgi_router.router.net.acceptor import Acceptor, Peer
from uwsgi_router.router.net.connect import to_socket
from uwsgi_router.router.net.listeners import BoundSocket

log = logging.getLogger("uwsgi-router.control")

_CREDENTIALS = struct.Struct("3i")


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits on the cost of one client, and of all together; times in seconds."""

    connections: int = 256
    """Served at once."""
    idle: float = 30.0
    """For a whole question, from the answer before it."""
    stalled: float = 10.0
    """For a client to take the next piece of an answer."""
    slice: float = 0.002
    """Time that everything else has to wait at once for all clients together; then it has ``pause`` for itself."""
    pause: float = 0.01


class ControlServer:
    """Answers questions.

    Args:
        listeners: the sockets, listening; closed with the server.
        operator: does what is asked.
        loop: the event loop.
        limits: see :class:`Limits`.
    """

    def __init__(
        self,
        listeners: Sequence[BoundSocket],
        operator: Operator,
        *,
        loop: asyncio.AbstractEventLoop,
        limits: Limits | None = None,
    ) -> None:
        self._operator = operator
        self._loop = loop
        self._limits = limits or Limits()
        self._acceptor = Acceptor(loop, listeners, self._connected)
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = False
        self._turn = asyncio.Lock()
        self._spent = 0.0
        self._limited = RateLimited(log)

    def start(self) -> None:
        """Begin to accept."""
        self._acceptor.start()

    async def close(self) -> None:
        """Close the sockets, and cut the clients there are."""
        self._closed = True
        self._acceptor.stop(drain=False)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _connected(self, bare: socket.SocketType, _peer: Peer) -> None:
        sock = to_socket(bare)
        task = self._loop.create_task(self._serve(sock))
        self._tasks.add(task)
        # Not in _serve: a task that is cancelled before its first step never gets to its "finally".
        task.add_done_callback(lambda done: self._ended(done, sock))
        if len(self._tasks) >= self._limits.connections:
            self._acceptor.pause()

    def _ended(self, task: "asyncio.Task[None]", sock: socket.socket) -> None:
        sock.close()
        self._tasks.discard(task)
        if not self._closed:
            self._acceptor.resume()

    async def _serve(self, sock: socket.socket) -> None:
        """One connection, to its end."""
        who = _who(sock)
        client = _Client(sock, self._loop)
        try:
            while True:
                async with asyncio.timeout(self._limits.idle):
                    line = await client.line()
                if line is None:
                    return
                if not await self._answer(client, line, who):
                    return
        except TimeoutError:
            self._limited.info(
                "slow", "cut off a control client, %s: nothing asked, or the answer not taken", who
            )
        except OSError:
            pass
        except Exception:
            log.exception("a bug: a question of %s was lost", who)

    async def _answer(self, client: "_Client", line: bytes, who: str) -> bool:
        """Answer a question; False if the client left meanwhile."""
        async with self._turn:
            began = self._loop.time()
            answer = self._begin(line, who)
            await self._rest(began)
        if isinstance(answer, _Wait):
            try:
                done = await self._waited(client, answer)
            except DrainCancelled as exc:
                answer = encode_refusal(str(exc))
            else:
                if done is None:
                    return False
                answer = encode_done(nodes=done.nodes, running=done.running, known=done.known)
        elif not isinstance(answer, bytes):
            count = 0
            while lines := await self._some(answer):
                count += len(lines)
                await self._send(client, b"".join(lines))
            answer = encode_done(nodes=count)
        await self._send(client, answer)
        return True

    def _begin(self, line: bytes, who: str) -> "bytes | _Wait | Iterator[NodeStatus]":
        """Do what can be done at once; return the answer, or what it is made of."""
        operator = self._operator
        try:
            question = decode_question(line)
            node, key = question.node, question.key
            match question.do:
                case "status":
                    return operator.status(key)
                case "enable":
                    return encode_done(nodes=operator.enable(node, key, by=who))
                case "weight":
                    return encode_done(nodes=operator.weigh(node, question.weight, key, by=who))
                case "drain" if question.wait_only:
                    return _Wait(operator.leaving(node, key), question.timeout)
                case "drain":
                    return _Wait(operator.drain(node, key, by=who), question.timeout)
        except ControlError as exc:
            text = "refused a question on the control socket, %s: %s"
            self._limited.warning("refused", text, who, exc)
            return encode_refusal(str(exc))
        except UnknownNode as exc:
            return encode_refusal(str(exc))

    async def _waited(self, client: "_Client", wait: "_Wait") -> Drained | None:
        """Wait for a node's last requests; None if the client left meanwhile."""
        ended = self._loop.create_task(wait.going.ended(wait.limit))
        left = self._loop.create_task(client.left())
        try:
            await asyncio.wait((ended, left), return_when=asyncio.FIRST_COMPLETED)
            return ended.result() if ended.done() else None
        finally:
            ended.cancel()
            left.cancel()
            await asyncio.gather(ended, left, return_exceptions=True)

    async def _some(self, nodes: Iterator[NodeStatus]) -> list[bytes]:
        """Return the next lines of a status, as many as a slice of time makes."""
        lines: list[bytes] = []
        async with self._turn:
            began = self._loop.time()
            for node in nodes:
                lines.append(encode_line({"node": asdict(node)}))
                if self._loop.time() - began > self._limits.slice:
                    break
            await self._rest(began)
        return lines

    async def _rest(self, began: float) -> None:
        """Leave the loop to others once all clients together had a slice of it."""
        self._spent += self._loop.time() - began
        if self._spent > self._limits.slice:
            self._spent = 0.0
            await asyncio.sleep(self._limits.pause)

    async def _send(self, client: "_Client", data: bytes) -> None:
        async with asyncio.timeout(self._limits.stalled):
            await client.send(data)


@dataclass(frozen=True, slots=True)
class _Wait:
    """An answer that has to be waited for, for ``limit`` seconds at most."""

    going: DrainWait
    limit: float


class _Client:
    """A connection, a line at a time."""

    def __init__(self, sock: socket.socket, loop: asyncio.AbstractEventLoop) -> None:
        self._sock = sock
        self._loop = loop
        self._received = b""

    async def line(self) -> bytes | None:
        """Return the next line, None at the end.

        Raises:
            OSError: the client reset the connection.
        """
        while True:
            line, end, rest = self._received.partition(b"\n")
            if end:
                self._received = rest
                return line
            if len(self._received) > MAX_QUESTION:
                await self.send(encode_refusal(f"the line is longer than {MAX_QUESTION} bytes"))
                return None
            if not await self._more():
                return None

    async def left(self) -> None:
        """Return when the client has closed the connection, or sends more than anybody has to say."""
        try:
            while len(self._received) <= MAX_QUESTION and await self._more():
                pass
        except OSError:
            pass

    async def _more(self) -> bool:
        data = await self._loop.sock_recv(self._sock, MAX_QUESTION)
        self._received += data
        return bool(data)

    async def send(self, data: bytes) -> None:
        """Send all of it."""
        await self._loop.sock_sendall(self._sock, data)


def _who(sock: socket.socket) -> str:
    """Say who connected, for the log."""
    try:
        raw = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    except OSError:
        return "somebody"
    pid, uid, _ = _CREDENTIALS.unpack(raw)
    return f"user {uid}, process {pid}"
