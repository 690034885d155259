"""The control socket: operators and announcing clients ask, one line each way (protocol/control.py).

A UNIX socket, so that the permissions of its file say who may connect; who may connect may drain. Each question and
each piece of an answer has its time; all connections together get a small part of the event loop's time, however much
they ask.
"""

import asyncio
import logging
import os
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from typing import Any, Final

from uwsgi_router.protocol.control import (
    MAX_QUESTION,
    ControlError,
    Do,
    decode_question,
    encode_done,
    encode_line,
    encode_refusal,
)
from uwsgi_router.protocol.text import to_text
from uwsgi_router.router.admin.control.nodes import NoWeight
from uwsgi_router.router.admin.control.operator import (
    DrainCancelled,
    DrainWait,
    Operator,
    UnknownNode,
)
from uwsgi_router.router.core.log import RateLimited
from uwsgi_router.router.net.listeners import BoundSocket
from uwsgi_router.router.net.service import BoundedService, ServiceClient, ServiceLimits
from uwsgi_router.version import __version__, build

log = logging.getLogger("uwsgi-router.control")


#: Names of nodes that one connection may withhold.
MAX_WITHHELD: Final = 1000

Reload = Callable[[str, socket.socket | None], bool]


class ConnectionHandedOver(OSError):
    """Outcome: another process has the connection of a client; ours is closed without another word."""


@dataclass(frozen=True, slots=True)
class ControlLimits(ServiceLimits):
    """Limits on the cost of one client, and of all together; times in seconds."""

    connections: int = 256
    total: float | None = None
    idle: float = 30.0
    """For a whole question, from the answer before it."""
    stalled: float = 10.0
    """For a client to take the next piece of an answer."""
    slice: float = 0.002
    """Time that everything else has to wait at once for all clients together; then it has ``pause`` for itself."""
    pause: float = 0.01


class ControlServer(BoundedService):
    """Answers questions.

    Args:
        listeners: the sockets, listening; closed with the server.
        operator: does what is asked.
        loop: the event loop.
        limits: see :class:`ControlLimits`.
        reload: asks the master for a reload, for whom, and with the connection that gets the outcome, or None; returns
            False if there is no master.
        emperor: path of the control socket of this program's Emperor; None: there is none.
    """

    def __init__(
        self,
        listeners: Sequence[BoundSocket],
        operator: Operator,
        *,
        loop: asyncio.AbstractEventLoop,
        limits: ControlLimits | None = None,
        reload: Reload = lambda _who, _sock: False,
        emperor: str | None = None,
    ) -> None:
        self._limits = limits or ControlLimits()
        super().__init__(listeners, loop, self._limits)
        self._operator = operator
        self._reload = reload
        self._emperor = emperor
        self._turn = asyncio.Lock()
        self._spent = 0.0
        self._limited = RateLimited(log)

    async def serve(self, client: ServiceClient) -> None:
        """Answer one question after the other."""
        with ExitStack() as stack:
            await self._serve(client, _Withheld(stack))

    async def _serve(self, client: ServiceClient, withheld: "_Withheld") -> None:
        questions = _Questions(client)
        idle: float | None = self._limits.idle
        while True:
            try:
                async with asyncio.timeout(idle):
                    line = await questions.next()
            except ControlError as exc:
                await self._send(client, encode_refusal(str(exc)))
                return
            if line is None:
                return
            async with self._turn:
                began = self._loop.time()
                answer = self._begin(line, client, withheld)
                await self._rest(began)
            if isinstance(answer, _Running):
                nodes = await self._operator.running(answer.key)
                answer = ({"node": asdict(one)} for one in nodes)
            if isinstance(answer, _Wait):
                if answer.holds:
                    # Its connection is what holds them.
                    idle = None
                done = await self._waited(questions, answer)
                if done is None:
                    return
                answer = done
            elif not isinstance(answer, bytes):
                answer = await self._listed(client, answer)
            await self._send(client, answer)

    def cut_off(self, client: ServiceClient) -> None:
        """Log that a client was too slow."""
        text = "cut off a control client, %s: nothing asked, or the answer not taken"
        self._limited.info("slow", text, client)

    def _begin(
        self, line: bytes, client: ServiceClient, withheld: "_Withheld"
    ) -> "bytes | _Wait | _Running | Iterator[_Line]":
        """Do what can be done at once; return the answer, or what it is made of.

        Raises:
            ConnectionHandedOver: somebody else answers.
        """
        operator, who = self._operator, str(client)
        try:
            question = decode_question(line)
            node, key = question.node, question.key
            match question.do:
                case "status":
                    nodes = operator.status(key)
                    every = ({"node": asdict(one)} for one in nodes)
                    return _Running(key) if question.running else every
                case "certificates":
                    return ({"certificate": asdict(one)} for one in operator.certificates())
                case "enable":
                    return encode_done(nodes=operator.enable(node, key, by=who))
                case "weight":
                    return encode_done(nodes=operator.weigh(node, question.weight, key, by=who))
                case "vassals" | "apps" | "rollout":
                    return self._elsewhere(question.do)
                case "reload":
                    return self._begin_reload(client, who, wait=question.timeout > 0)
                case "drain" if question.wait_only:
                    going = operator.leaving(node, key)
                case "drain" if question.while_connected:
                    withheld.check_room()
                    held = operator.withhold(node, by=who, streams=question.streams)
                    withheld.add(held.close)
                    going = held.going
                case "drain":
                    going = operator.drain(node, key, by=who, streams=question.streams)
            return _Wait(going, question.timeout, holds=question.while_connected)
        except ControlError as exc:
            text = "refused a question on the control socket, %s: %s"
            self._limited.warning("refused", text, who, exc)
            return encode_refusal(str(exc))
        except (UnknownNode, NoWeight) as exc:
            return encode_refusal(str(exc))

    def _elsewhere(self, word: Do) -> bytes:
        """Answer what is not for a router."""
        if word != "vassals":
            return encode_refusal("this router runs no applications")
        if self._emperor is None:
            return encode_refusal("there is no Emperor beside this router")
        return encode_line({"emperor": to_text(os.fsencode(self._emperor))}) + encode_done(nodes=0)

    def _begin_reload(self, client: ServiceClient, who: str, *, wait: bool) -> bytes:
        """Ask for a reload; return that it was asked for.

        Raises:
            ConnectionHandedOver: the client waits for the outcome.
        """
        if not self._reload(who, client.sock if wait else None):
            return encode_refusal("there is no master process that could reload: restart it")
        if wait:
            raise ConnectionHandedOver
        return encode_done(nodes=0)

    async def _waited(self, questions: "_Questions", wait: "_Wait") -> bytes | None:
        """Wait for a node's last requests; return the answer, None if the client left meanwhile."""
        ended = self._loop.create_task(wait.going.ended(wait.limit))
        left = self._loop.create_task(questions.end())
        try:
            await asyncio.wait((ended, left), return_when=asyncio.FIRST_COMPLETED)
            if not ended.done():
                return None
            done = ended.result()
            return encode_done(nodes=done.nodes, running=done.running, known=done.known)
        except DrainCancelled as exc:
            return encode_refusal(str(exc))
        finally:
            ended.cancel()
            left.cancel()
            await asyncio.gather(ended, left, return_exceptions=True)

    async def _listed(self, client: ServiceClient, listed: "Iterator[_Line]") -> bytes:
        """Send the lines of a list, and return the last one."""
        count = 0
        while lines := await self._some(listed):
            count += len(lines)
            await self._send(client, b"".join(lines))
        return encode_done(nodes=count, program={"version": __version__, "build": build()})

    async def _some(self, listed: "Iterator[_Line]") -> list[bytes]:
        """Return the next lines of a list, as many as a slice of time makes."""
        lines: list[bytes] = []
        async with self._turn:
            began = self._loop.time()
            for members in listed:
                lines.append(encode_line(members))
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

    async def _send(self, client: ServiceClient, data: bytes) -> None:
        async with asyncio.timeout(self._limits.stalled):
            await client.send(data)


_Line = dict[str, dict[str, Any]]


@dataclass(frozen=True, slots=True)
class _Running:
    """Question for nodes and what their running requests are; the processes that serve these have to be asked."""

    key: bytes | None


@dataclass(frozen=True, slots=True)
class _Wait:
    """An answer that has to be waited for, for ``limit`` seconds at most; ``holds``: while its client is connected."""

    going: DrainWait
    limit: float
    holds: bool = False


class _Withheld:
    """Names that are withheld while a client is connected."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self._count = 0

    def check_room(self) -> None:
        """Check that there is room for one more.

        Raises:
            ControlError: there is not.
        """
        if self._count >= MAX_WITHHELD:
            raise ControlError(f"one connection may withhold {MAX_WITHHELD} nodes")

    def add(self, close: Callable[[], None]) -> None:
        """Note one more, and what ends it."""
        self._count += 1
        self._stack.callback(close)


class _Questions:
    """Questions of a client, a line at a time."""

    def __init__(self, client: ServiceClient) -> None:
        self._client = client
        self._received = b""

    async def next(self) -> bytes | None:
        """Return the next line, None at the end.

        Raises:
            OSError: the client reset the connection.
            ControlError: the line is too long.
        """
        while True:
            line, end, rest = self._received.partition(b"\n")
            if end:
                self._received = rest
                return line
            if len(self._received) > MAX_QUESTION:
                raise ControlError(f"the line is longer than {MAX_QUESTION} bytes")
            if not await self._more():
                return None

    async def end(self) -> None:
        """Return when the client has closed the connection, or sends more than anybody has to say."""
        try:
            while len(self._received) <= MAX_QUESTION and await self._more():
                pass
        except OSError:
            pass

    async def _more(self) -> bool:
        data = await self._client.recv(MAX_QUESTION)
        self._received += data
        return bool(data)
