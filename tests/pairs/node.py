"""A node of a combination."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from tests.pairs.cases import Case
from tests.pairs.lab import Peer
from tests.pairs.reader import Ended, Wire
from tests.pairs.rules import Outcome, hears_of_ends
from tests.pairs.wire import BYE, CHUNKS, CONTINUE, EARLY, HELLO, Head, prelude_of, said_by


@dataclass
class Seen:
    """A request as a node read it.

    Attributes:
        node: its name.
        connection: of this node, from 0.
        head: of the request.
        framing: of what followed it.
        body: without its framing.
        ended: the client's end came behind it, before there was an answer.
        surplus: what came behind it all.
    """

    node: str
    connection: int
    head: Head
    framing: str = "nothing"
    body: bytes = b""
    ended: bool = False
    surplus: bytes = b""


class PairNode:
    """A node of a combination.

    Args:
        name: says itself with each answer.
        case: what it speaks and says.
        outcome: whether a stream is to be expected.
        seen: takes what it reads.
    """

    def __init__(self, name: str, case: Case, outcome: Outcome, seen: list[Seen]) -> None:
        self.name = name
        self.wires: list[Wire] = []
        self._case = case
        self._outcome = outcome
        self._seen = seen
        #: Waited for before the request before the first one is answered.
        self.before_prelude: Callable[[], Awaitable[object]] | None = None

    async def play(self, peer: Peer) -> None:
        """Serve one connection."""
        wire = Wire(peer)
        self.wires.append(wire)
        number = len(self.wires) - 1
        count = 0
        try:
            while True:
                count += 1
                if not await self._serve(wire, number, count):
                    return
        except Ended:
            assert not wire.pending

    async def _serve(self, wire: Wire, connection: int, count: int) -> bool:
        """Answer one request; True: there may be another."""
        http, case = self._case.back == "http", self._case
        head = await (wire.head() if http else wire.packet())
        seen = Seen(self.name, connection, head)
        self._seen.append(seen)
        prelude = any("/0?" in text for text in (head.start, *(value for _, value in head.fields)))
        if prelude:
            if self.before_prelude is not None:
                await self.before_prelude()
            answer = said_by(prelude_of(case), self.name)
            await wire.send(answer.head + answer.body)
            return case.pool != "closes"
        if self._outcome.gets == "stream":
            return await self._stream(wire, seen)
        await self._body(wire, seen)
        if self._case.end == "half-close" and not http and hears_of_ends(self._case):
            seen.surplus = await wire.rest()
            seen.ended = True
        if self.name == "quits" or (case.pool == "dies" and count == 2):
            return False
        answer = said_by(case, self.name)
        await wire.send(answer.head + answer.body)
        if http and not answer.closes:
            return True
        if not http or answer.closes:
            wire.peer.eof()
        seen.surplus += await wire.rest()
        return False

    async def _body(self, wire: Wire, seen: Seen) -> None:
        fields = {name.upper().replace("-", "_"): value for name, value in seen.head.fields}
        coding = fields.get("TRANSFER_ENCODING") or fields.get("HTTP_TRANSFER_ENCODING")
        length = fields.get("CONTENT_LENGTH")
        if (coding or length) and fields.get("EXPECT") and self._case.back == "http":
            await wire.send(CONTINUE)
        if self._outcome.gets == "as it comes":
            seen.framing = "as it comes"
            seen.body = await wire.exactly(len(CHUNKS))
        elif coding:
            seen.framing = coding
            while piece := await wire.chunk():
                seen.body += piece
        elif length and int(length):
            seen.framing = "length"
            try:
                seen.body = await wire.exactly(int(length))
            except Ended:
                seen.body = await wire.rest()
                raise

    async def _stream(self, wire: Wire, seen: Seen) -> bool:
        seen.framing = "stream"
        if self.name == "quits":
            await wire.whatever_is_there()
            return False
        if self._case.back == "http" and self._case.pool == "dies" and seen.connection == 0:
            return False
        answer = said_by(self._case, self.name)
        head = answer.head
        if self._case.body != "websocket":
            seen.body = await wire.exactly(len(EARLY))
            head = b"HTTP/1.0 200 OK\r\nX-Node: %b\r\n\r\n" % self.name.encode()
        await wire.send(head + HELLO)
        seen.body += await wire.rest()
        seen.ended = self._case.end == "half-close"
        await wire.send(BYE)
        return False
