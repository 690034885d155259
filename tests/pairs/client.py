"""The client of a combination."""

from dataclasses import dataclass

from tests.pairs.cases import Case
from tests.pairs.lab import Peer, a_few_turns
from tests.pairs.reader import Ended, Wire
from tests.pairs.rules import Outcome
from tests.pairs.wire import HELLO, LATE, Head, Request

_INTERIM = {"100", "103"}
_BODILESS = {"204", "304"}


@dataclass
class Answer:
    """An answer as the client read it."""

    head: Head
    framing: str = "nothing"
    body: bytes = b""


@dataclass
class Talk:
    """A request and what came back.

    Attributes:
        answers: interim ones too.
        end: how the connection ended; "kept": it did not.
        sent: bytes of the request.
        received: bytes of the answers.
        port: of the client.
        id: what the router calls the request.
    """

    answers: list[Answer]
    end: str = ""
    sent: int = 0
    received: int = 0
    port: int = 0
    id: str = ""


class PairClient:
    """A client of a combination, which asks over one connection as long as it is kept."""

    def __init__(self, case: Case, outcome: Outcome, peer: Peer, name: str) -> None:
        self.wire = Wire(peer)
        self.name = name
        self.talks: list[Talk] = []
        self._case = case
        self._outcome = outcome

    async def ask(self, request: Request) -> Talk:
        """Send a request, and read what comes to its end."""
        wire, case = self.wire, self._case
        said, heard = wire.said, len(wire.heard)
        talk = Talk([], id=f"{self.name}.{len(self.talks)}" if self.talks else self.name)
        talk.port = wire.peer.sock.getsockname()[1]
        self.talks.append(talk)
        await wire.send(request.head + (b"" if request.waits else request.body))
        if case.end:
            wire.peer.eof()
        try:
            while True:
                answer = Answer(await wire.head())
                talk.answers.append(answer)
                status = answer.head.start.split(" ")[1]
                if status not in _INTERIM:
                    break
                if status == "100":
                    await wire.send(request.body)
            await self._read(answer, request, status)
        except Ended:
            assert not wire.pending
        talk.end = wire.end or await self._still_open()
        talk.sent, talk.received = wire.said - said, len(wire.heard) - heard
        return talk

    async def _read(self, answer: Answer, request: Request, status: str) -> None:
        wire, fields = self.wire, dict(answer.head.fields)
        if self._outcome.gets == "stream" and not self._outcome.reason:
            answer.framing = "stream"
            answer.body = await wire.exactly(len(HELLO))
            if not self._case.end:
                await wire.send(LATE)
                wire.peer.eof()
            answer.body += await wire.rest()
        elif request.method == "HEAD" or status in _BODILESS:
            if fields.get("connection") == "close" or self._case.front == "uwsgi":
                assert await wire.rest() == b""
        elif self._case.front == "http" and "transfer-encoding" in fields:
            answer.framing = fields["transfer-encoding"]
            while piece := await wire.chunk():
                answer.body += piece
        elif self._case.front == "http" and "content-length" in fields:
            answer.framing = "length"
            answer.body = await wire.exactly(int(fields["content-length"]))
        else:
            answer.framing = "end"
            answer.body = await wire.rest()
        if fields.get("connection") == "close" and not wire.end:
            assert await wire.rest() == b""

    async def _still_open(self) -> str:
        await a_few_turns()
        return self.wire.peer.now()
