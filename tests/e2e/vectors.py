"""The vectors ``tests/vectors/http-requests.jsonl``: read, sent, and what comes of each."""

import base64
import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tests.lab.clients import Client
from tests.lab.messages import Message
from tests.lab.reader import Bad, Ended

PATH = Path(__file__).parent.parent / "vectors" / "http-requests.jsonl"
#: A path that tests ask for besides the vectors' own.
AFTER = "/after-the-vector"
#: Seconds that an answer or an end may take. The router's deadline for heads must be shorter.
PATIENCE = 5.0


@dataclass(frozen=True, slots=True)
class Vector:
    """One line of the file.

    Attributes:
        steps: (seconds to wait unless bytes come before, what to send).
        half_close: end sending after the last step.
        accepted: each a list of statuses in order, 1xx too, that is right.
        rejected: statuses that are right as the only answer; 0 is none at all.
        responses: final responses, if it is accepted.
        close_after: the connection has to end.
    """

    name: str
    note: str
    steps: tuple[tuple[float, bytes], ...]
    half_close: bool
    accepted: tuple[tuple[int, ...], ...]
    rejected: frozenset[int]
    responses: int
    close_after: bool
    must: str

    @property
    def raw(self) -> bytes:
        """All bytes."""
        return b"".join(data for _, data in self.steps)

    @property
    def http10(self) -> bool:
        """True if the client speaks HTTP/1.0."""
        return self.raw.partition(b"\r\n")[0].endswith(b"HTTP/1.0")


@dataclass(slots=True)
class Exchange:
    """What a client saw.

    Attributes:
        responses: in order, 1xx too.
        ending: "closed", "reset"; "kept" if another request was answered; "open" if it hung.
        problems: what no client should see, whatever was sent.
    """

    responses: list[Message] = field(default_factory=list)
    ending: str = "open"
    problems: list[str] = field(default_factory=list)

    @property
    def statuses(self) -> tuple[int, ...]:
        """The statuses in order."""
        return tuple(response.status for response in self.responses)

    @property
    def final(self) -> list[Message]:
        """The responses that are not interim ones."""
        return [response for response in self.responses if _final(response.status)]


def _final(status: int) -> bool:
    return status >= 200 or status == 101


def load() -> list[Vector]:
    """Read the file."""
    return [_vector(json.loads(line)) for line in PATH.read_text().splitlines()]


def _vector(line: dict[str, Any]) -> Vector:
    responses = line.get("responses", 1)
    outcomes = [line["expectation"], *([line["also_ok"]] if "also_ok" in line else [])]
    accepted = []
    for outcome in outcomes:
        if statuses := outcome.get("accept"):
            final = sum(_final(status) for status in statuses)
            accepted.append((*statuses, *statuses[-1:] * (responses - final)))
    steps = line.get("steps") or [{"delay_ms": 0, "b64": line["raw"]}]
    return Vector(
        line["name"],
        line["note"],
        tuple((step["delay_ms"] / 1000, base64.b64decode(step["b64"])) for step in steps),
        line.get("half_close", False),
        tuple(accepted),
        frozenset(status for outcome in outcomes for status in outcome.get("reject", ())),
        responses,
        line.get("close_after", False),
        line.get("must", ""),
    )


def alone(vector: Vector) -> Vector:
    """The same without keepalive: only the first request is answered, and then it ends."""
    accepted = []
    for statuses in vector.accepted:
        first = next(n for n, status in enumerate(statuses) if _final(status))
        accepted.append(statuses[: first + 1])
    return replace(
        vector,
        accepted=tuple(accepted),
        responses=1,
        close_after=(101,) not in accepted,
    )


def in_pieces(vector: Vector, size: int) -> Vector:
    """The same, sent in pieces of so many bytes, unless it is huge."""
    steps = [
        (0.0 if start else delay, data[start : start + size])
        for delay, data in vector.steps
        for start in range(0, len(data), size)
    ]
    return replace(vector, steps=tuple(steps)) if 0 < len(vector.raw) < 2000 else vector


def exchange(vector: Vector, address: str) -> Exchange:
    """Send a vector over a connection of its own; read what comes, and then see what it is good for.

    A connection that is kept is asked for :data:`AFTER`: its answer, and nothing else, must come.
    """
    seen = Exchange()
    with Client(address, PATIENCE) as client:
        _send(vector, client)
        try:
            while len(seen.final) < vector.responses:
                seen.responses.append(client.answer())
            _finish(vector, client, seen)
        except Ended as exc:
            seen.ending = exc.how
        except TimeoutError:
            seen.problems.append("nothing came, and no end")
        except Bad as exc:
            seen.problems.append(str(exc))
            seen.ending = "closed"
    return seen


def _send(vector: Vector, client: Client) -> None:
    for delay, data in vector.steps:
        client.readable(delay)
        try:
            client.send(data)
        except (BrokenPipeError, ConnectionResetError):
            return  # It was refused before all was sent: what came says so.
    if vector.half_close:
        try:
            client.eof()
        except OSError:
            pass


def _finish(vector: Vector, client: Client, seen: Exchange) -> None:
    last = seen.responses[-1]
    if last.status == 101:
        client.send(b"raw \0 bytes")
        if client.exactly(11) != b"raw \0 bytes":
            seen.problems.append("the tunnel changed what went through it")
        seen.ending = "kept"
        return
    if vector.http10:
        tokens = (last.get("connection") or b"").lower()
        closes = b"keep-alive" not in tokens
    else:
        closes = last.closes
    if closes or vector.close_after or vector.half_close:
        rest, seen.ending = client.ending()
        if rest:
            seen.problems.append(f"{len(rest)} bytes after the last answer: {rest[:80]!r}")
        if seen.ending == "open":
            seen.problems.append("the connection should have ended")
        if vector.close_after and not closes:
            seen.problems.append("it closed without having said so")
        return
    client.request("GET", AFTER, "Connection: close")
    answer = client.answer()
    rest, _ = client.ending()
    if answer.status != 200 or AFTER.encode() not in answer.body or rest:
        seen.problems.append(f"then another request got {answer!r} {answer.body!r} {rest!r}")
    seen.ending = "kept"
