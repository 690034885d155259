"""A reader of HTTP/1 that forgives nothing: a message is as RFC 9112 has it, or an error.

It shares no code with the router. It does no I/O: each method is a generator that yields when it needs bytes, and is
sent "" once they are in ``pending``, or how the connection ended.
"""

import re
from collections.abc import Generator
from typing import TypeVar

from tests.lab.messages import Message

T = TypeVar("T")
Steps = Generator[None, str, T]

_STATUS = re.compile(rb"HTTP/1\.[01] [1-5][0-9]{2} [\t\x20-\x7e\x80-\xff]*")
_REQUEST = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+ [\x21-\x7e\x80-\xff]+ HTTP/1\.1")
_FIELD = re.compile(
    rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*((?:[\x21-\x7e\x80-\xff]"
    rb"(?:[\t\x20-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff])?)?)[ \t]*"
)
_SIZE = re.compile(rb"[0-9a-fA-F]{1,16}")
_LENGTH = re.compile(rb"0|[1-9][0-9]{0,17}")
_LARGEST_HEAD = 65_536


class Bad(AssertionError):
    """What came is not one whole message; ``str()`` says why."""


class Cut(Bad, ConnectionError):
    """The connection ended inside a message.

    Attributes:
        how: "closed" or "reset".
    """

    def __init__(self, how: str, where: str) -> None:
        super().__init__(f"{how} {where}")
        self.how = how


class Ended(Cut):
    """The connection ended before the first byte of a message."""

    def __init__(self, how: str) -> None:
        super().__init__(how, "before a message")


class Reader:
    """The bytes of a connection that no message has taken yet, and the grammar of those that take them."""

    def __init__(self) -> None:
        self.pending = bytearray()

    def _more(self, where: str) -> Steps[None]:
        how = yield
        if how:
            raise Cut(how, f"{where}: {bytes(self.pending[:200])!r}")

    def _take(self, size: int) -> Steps[bytes]:
        while len(self.pending) < size:
            yield from self._more(f"after {len(self.pending)} of {size} bytes")
        data = bytes(self.pending[:size])
        del self.pending[:size]
        return data

    def _take_rest(self) -> Steps[bytes]:
        while not (how := (yield)):
            pass
        data = self._all()
        if how != "closed":
            raise Cut(how, f"after {len(data)} bytes of a body")
        return data

    def _all(self) -> bytes:
        data = bytes(self.pending)
        self.pending.clear()
        return data

    def _take_line(self, end: bytes = b"\r\n") -> Steps[bytes]:
        while (at := self.pending.find(end)) < 0:
            if len(self.pending) > _LARGEST_HEAD:
                raise Bad("a head of more than 64 KiB")
            if not self.pending and end == b"\r\n\r\n":
                if how := (yield):
                    raise Ended(how)
                continue
            yield from self._more("inside a head")
        data = bytes(self.pending[:at])
        del self.pending[: at + len(end)]
        return data

    def _take_head(self) -> Steps[Message]:
        """The head of a request or an answer."""
        start, *lines = (yield from self._take_line(b"\r\n\r\n")).split(b"\r\n")
        if not _STATUS.fullmatch(start) and not _REQUEST.fullmatch(start):
            raise Bad(f"a bad first line: {start[:200]!r}")
        fields = []
        for line in lines:
            if (found := _FIELD.fullmatch(line)) is None:
                raise Bad(f"a bad field: {line[:200]!r}")
            fields.append((found[1].lower(), found[2]))
        return Message(start, fields)

    def _take_chunk(self) -> Steps[bytes]:
        """One chunk; b"" is the last one. Neither extensions nor trailers: a router drops both."""
        size = yield from self._take_line()
        if not _SIZE.fullmatch(size):
            raise Bad(f"a bad chunk size: {size[:40]!r}")
        data = yield from self._take(int(size, 16))
        if (end := (yield from self._take(2))) != b"\r\n":
            raise Bad(f"behind a chunk of {len(data)}: {end!r}")
        return data

    def _take_chunks(self) -> Steps[bytes]:
        body = bytearray()
        while piece := (yield from self._take_chunk()):
            body += piece
        return bytes(body)

    def _take_body(self, message: Message) -> Steps[Message]:
        """The body that belongs to a head."""
        message.framing = framing_of(message)
        try:
            if message.framing == "chunked":
                message.body = yield from self._take_chunks()
            elif message.framing == "length":
                message.body = yield from self._take(int(message.get("content-length") or b""))
            elif message.framing == "end":
                message.body = yield from self._take_rest()
        except Cut:
            message.whole, message.body = False, bytes(self.pending)
            raise
        return message

    def _take_request(self) -> Steps[Message]:
        """A whole request, as a router may send it."""
        head = yield from self._take_head()
        check_request(head)
        return (yield from self._take_body(head))

    def _take_answer(self, method: str) -> Steps[Message]:
        """A whole answer, an interim one too, to a request with that method."""
        head = yield from self._take_head()
        framing = framing_of(head)
        if head.status < 200 or head.status in {204, 304}:
            if framing in {"length", "chunked"} and head.status != 304:
                raise Bad(f"{head.status} with framing: {head.fields}")
            return head
        return head if method == "HEAD" else (yield from self._take_body(head))


def framing_of(message: Message) -> str:
    """How the body ends: an answer's with the connection if nothing else says so."""
    codings, lengths = message.values("transfer-encoding"), message.values("content-length")
    answer = message.start.startswith(b"HTTP/")
    if len(codings) + len(lengths) > 1:
        raise Bad(f"more than one framing: {message.fields}")
    if codings:
        if codings != [b"chunked"] or message.start.startswith(b"HTTP/1.0 "):
            raise Bad(f"a bad coding: {message.start!r} {codings}")
        return "chunked"
    if lengths:
        if not _LENGTH.fullmatch(lengths[0]):
            raise Bad(f"Content-Length: {lengths[0]!r}")
        return "length"
    return "end" if answer else "none"


def check_request(head: Message) -> None:
    """What no router may send to a node."""
    if not _REQUEST.fullmatch(head.start):
        raise Bad(f"a bad request line: {head.start!r}")
    if len(head.values("host")) != 1:
        raise Bad(f"not one Host: {head.fields}")
    for name, _ in head.fields:
        if b"_" in name:
            raise Bad(f"a name with an underscore: {name!r}")
    framed = framing_of(head) != "none"
    if framed and head.values("expect") not in ([], [b"100-continue"]):
        raise Bad(f"Expect: {head.values('expect')}")
