"""Answers of nodes that are unusual or wrong, by name; and how a client reads what comes of them."""

from dataclasses import dataclass

BODY = "hello"
TE = "Transfer-Encoding: chunked"


def says(start: str, *lines: str, body: str = BODY, length: bool = True) -> bytes:
    """An answer."""
    framing = [f"Content-Length: {len(body)}"] if length else []
    return ("\r\n".join((start, *lines, *framing, "", "")) + body).encode("latin-1")


def ok(*lines: str) -> bytes:
    return says("HTTP/1.1 200 OK", *lines)


def framed(*lines: str, body: str = BODY, version: str = "1.1") -> bytes:
    """An answer with no other framing than these lines."""
    return says(f"HTTP/{version} 200 OK", *lines, body=body, length=False)


def chunked(body: str) -> bytes:
    return framed(TE, body=body)


def bodiless(start: str, *lines: str) -> bytes:
    return says(start, *lines, body="", length=False)


_STATUSES = (
    *("000", "099", "100x", "199", "200", "299", "399", "451", "499", "599", "600", "699"),
    *("799", "999", "1000", "99", "20", "2000", " 200", "+200", "0200", "abc"),
)
_CHUNKS = "5\r\nhello\r\n0\r\n\r\n"
_HINTS = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
_GO_ON = "HTTP/1.1 100 Continue\r\n\r\n"

STATUS_LINES = {
    **{f"status {status}": says(f"HTTP/1.1 {status} X") for status in _STATUSES},
    "no reason, no blank": says("HTTP/1.1 200"),
    "no reason, a blank": says("HTTP/1.1 200 "),
    "no reason, blanks": says("HTTP/1.1 200  "),
    "reason of UTF-8": says("HTTP/1.1 200 \xc3\xbc\xe9"),
    "reason with a tab": says("HTTP/1.1 200 a\tb"),
    "reason with a control character": says("HTTP/1.1 200 a\x01b"),
    "reason with DEL": says("HTTP/1.1 200 a\x7fb"),
    "reason with NUL": says("HTTP/1.1 200 a\0b"),
    "reason with CR": says("HTTP/1.1 200 a\rb"),
    "reason of 3000 bytes": says("HTTP/1.1 200 " + "x" * 3000),
    "reason with blanks behind": says("HTTP/1.1 200 OK  "),
    "blanks before the status": says("HTTP/1.1  200 OK"),
    "blanks before the reason": says("HTTP/1.1 200  OK"),
    "tab before the reason": says("HTTP/1.1 200\tOK"),
    "tab before the status": says("HTTP/1.1\t200 OK"),
    "blank before the version": says(" HTTP/1.1 200 OK"),
    "empty line before": b"\r\n" + ok(),
    "LF before": b"\n" + ok(),
    **{
        f"version {version}": says(f"HTTP/{version} 200 OK")
        for version in ("1.0", "1.2", "1.9", "0.9", "2.0", "2", "1", "1.", "1.10", "01.1", "1.01")
    },
    "version in small letters": says("http/1.1 200 OK"),
    "Shoutcast": says("ICY 200 OK"),
    "CGI": b"Status: 404 Not Found\r\nContent-Type: a/b\r\n\r\nhello",
    "no HTTP": b"garbage\r\n\r\n",
    "a page without a head": b"<html>hello</html>",
    "nothing": b"",
    "part of a head": b"HTTP/1.1 200 OK\r\nX-A:",
    "part of a status line": b"HTTP/1.1 2",
}
FIELDS = {
    "LF lines": ok("X-A: b").replace(b"\r\n", b"\n"),
    "LF behind the status line": ok("X-A: b").replace(b"\r\n", b"\n", 1),
    "LF behind a field": ok("X-A: b").replace(b"b\r\n", b"b\n"),
    "LF at the end": ok("X-A: b").replace(b"\r\n\r\n", b"\r\n\n"),
    "folded": ok("X-A: b\r\n c"),
    "folded with a tab": ok("X-A: b\r\n\tc"),
    "folded first field": ok(" X-A: b"),
    "folded length": framed("Content-Length:\r\n 5"),
    "folded type": ok("Content-Type: text/html;\r\n charset=utf-8"),
    "blank before the colon": ok("X-A : b"),
    "tab before the colon": ok("X-A\t: b"),
    "blank before the colon of the length": framed("Content-Length : 5"),
    "blank in a name": ok("X A: b"),
    "empty name": ok(": b"),
    "no colon": ok("X-A"),
    **{f"{byte!r} in a name": ok(f"X{byte}A: b") for byte in '()@/"\xe9\x01\0'},
    **{f"{byte!r} in a name, which may be": ok(f"X{byte}A: b") for byte in "_.!#$%&'*+^`|~9"},
    "names in small letters": framed("content-length: 5", "x-a: b"),
    "names in capitals": framed("CONTENT-LENGTH: 5", "X-A: b"),
    "no value": ok("X-A:"),
    "value with blanks": ok("X-A:   b   "),
    "value without a blank": ok("X-A:b"),
    "value with tabs": ok("X-A:\tb\tc\t"),
    **{f"{byte!r} in a value": ok(f"X-A: b{byte}c") for byte in "\x01\x0b\x0c\x1b\x1c\x7f\0\r"},
    "value of Latin-1": ok("X-A: b\xe9c"),
    "value of UTF-8": ok("X-A: \xc3\xbc"),
    "value of 7000 bytes": ok("X-A: " + "b" * 7000),
    **{
        f"{count} fields": ok(*(f"X-{number}: b" for number in range(count)))
        for count in (50, 90, 300)
    },
    "Connection with a list": ok("Connection: close, X-Hop", "X-Hop: 1"),
    "Connection twice": ok("Connection: keep-alive", "Connection: close"),
    "Connection of two words": ok("Connection: foo bar"),
    "Connection without a value": ok("Connection:"),
    "type twice": ok("Content-Type: a/b", "Content-Type: c/d"),
    "location twice": says("HTTP/1.1 302 Found", "Location: /a", "Location: /b"),
    "cookies": ok("Set-Cookie: a=b", "Set-Cookie: c=d"),
    "dates": ok("Date: a", "Date: b"),
    "Status": ok("Status: 404 Not Found"),
    "Host": ok("Host: a"),
    "Expect": ok("Expect: 100-continue"),
    "426": says("HTTP/1.1 426 Upgrade Required", "Upgrade: HTTP/2.0", "Connection: Upgrade"),
    "200 with Upgrade": ok("Upgrade: h2,h2c", "Connection: Upgrade"),
}
LENGTHS = {
    "length twice": framed("Content-Length: 5", "Content-Length: 5"),
    "length twice, written in two ways": framed("Content-Length: 5", "Content-Length: 05"),
    "two lengths": framed("Content-Length: 5", "Content-Length: 4"),
    **{
        f"length {length!r}": framed(f"Content-Length:{length}")
        for length in (" 5, 5", " 5,5", " 5,", " 5, 4", " +5", " -5", " 0000005", "   5   ", "5")
    },
    **{
        f"length {length!r}": framed(f"Content-Length:{length}")
        for length in ("\t5", "", " 0x5", " 5;", " 5.0", " 5 5", f" {2**64 + 5}", f" {2**63}")
    },
    "no length": framed(),
    "too short": framed("Content-Length: 9"),
    "too long": framed("Content-Length: 3"),
    "length 0 with a body": framed("Content-Length: 0"),
}
CODINGS = {
    "chunked": chunked(_CHUNKS),
    **{
        f"coding {coding!r}": framed(f"Transfer-Encoding:{coding}", body=_CHUNKS)
        for coding in (" Chunked", "  chunked  ", " chunked, chunked", " identity, chunked")
    },
    **{
        f"coding {coding!r}": framed(f"Transfer-Encoding:{coding}", body=_CHUNKS)
        for coding in (" gzip, chunked", " chunked, gzip", " xchunked", ' "chunked"', "")
    },
    **{
        f"coding {coding!r}": framed(f"Transfer-Encoding:{coding}", body=_CHUNKS)
        for coding in (" chunked;q=1", " chunked,", " ,chunked", " \x0bchunked")
    },
    "name in small letters": framed("transfer-encoding: chunked", body=_CHUNKS),
    "chunked, version 1.0": framed(TE, body=_CHUNKS, version="1.0"),
    "chunked, version 2.0": framed(TE, body=_CHUNKS, version="2.0"),
    "chunked twice": framed(TE, TE, body=_CHUNKS),
    "chunked and a length": framed(TE, "Content-Length: 5", body=_CHUNKS),
    "a length and chunked": framed("Content-Length: 15", TE, body=_CHUNKS),
    "identity": framed("Transfer-Encoding: identity"),
    "identity and a length": framed("Transfer-Encoding: identity", "Content-Length: 5"),
    "gzip": framed("Transfer-Encoding: gzip"),
}
CHUNKS = {
    **{
        f"chunk size {size!r}": chunked(f"{size}\r\nhello\r\n0\r\n\r\n")
        for size in ("5;a=b", "5;a", '5;a="b\\"c"', "5 ; a=b", "5;", "0005", "0" * 20 + "5", "5 ")
    },
    **{
        f"chunk size {size!r}": chunked(f"{size}\r\nhello\r\n0\r\n\r\n")
        for size in ("5    ", "5\t", " 5", "0x5", "+5", "4", "g", "", "f" * 17)
    },
    "chunk size 'A'": chunked("A\r\nhellohello\r\n0\r\n\r\n"),
    "blanks behind the last size": chunked("5\r\nhello\r\n0  \r\n\r\n"),
    "LF in chunks": chunked("5\nhello\n0\n\n"),
    "LF behind a size": chunked("5\nhello\r\n0\r\n\r\n"),
    "LF behind an extension": chunked("5;a\nhello\r\n0\r\n\r\n"),
    "LF behind a chunk": chunked("5\r\nhello\n0\r\n\r\n"),
    "nothing behind a chunk": chunked("5\r\nhello0\r\n\r\n"),
    "trailer": chunked("5\r\nhello\r\n0\r\nX-T: u\r\n\r\n"),
    "trailer that is none": chunked("5\r\nhello\r\n0\r\nnonsense\r\n\r\n"),
    "no last chunk": chunked("5\r\nhello\r\n"),
    "no end of the trailers": chunked("5\r\nhello\r\n0\r\n"),
    "part of a chunk": chunked("5\r\nhel"),
    "bytes behind the last chunk": chunked(_CHUNKS + "more"),
}
SEQUENCES = {
    "100 before": _GO_ON.encode() + ok(),
    "100 twice before": _GO_ON.encode() * 2 + ok(),
    "102 before": b"HTTP/1.1 102 Processing\r\n\r\n" + ok(),
    "103 before": _HINTS.encode() + ok(),
    "103 twice before": _HINTS.encode() * 2 + ok(),
    "199 before": b"HTTP/1.1 199 X\r\n\r\n" + ok(),
    "100 of version 1.0 before": b"HTTP/1.0 100 Continue\r\n\r\n" + ok(),
    "101": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\nhello",
    "103 and an end": _HINTS.encode(),
}
BODILESS = {
    "204": bodiless("HTTP/1.1 204 No Content"),
    "204 with the length 0": bodiless("HTTP/1.1 204 No Content", "Content-Length: 0"),
    "204 with a length": bodiless("HTTP/1.1 204 No Content", "Content-Length: 5"),
    "204 with a body": says("HTTP/1.1 204 No Content"),
    "205 with a body": says("HTTP/1.1 205 Reset Content"),
    "304": bodiless("HTTP/1.1 304 Not Modified", "ETag: x"),
    "304 with a length": bodiless("HTTP/1.1 304 Not Modified", "Content-Length: 5"),
    "304 with a body": says("HTTP/1.1 304 Not Modified"),
}
ODD = {**STATUS_LINES, **FIELDS, **LENGTHS, **CODINGS, **CHUNKS, **SEQUENCES, **BODILESS}

#: Answers that end before they are whole; "nothing" is none.
ENDED = {
    *("part of a head", "part of a status line", "too short", "no last chunk"),
    *("no end of the trailers", "part of a chunk", "103 and an end"),
}
#: What both nginx and HAProxy pass and the router refuses: docs/compatibility.md has these words, and the reason.
REFUSED = {
    "a status below 100, or not of three digits": (
        *("status 000", "status 099", "status 99", "status 20", "status 2000", "status 0200"),
    ),
    "control characters in a reason phrase or a field": (
        *("reason with a control character", "reason with DEL", "reason with NUL"),
        *(f"{byte!r} in a value" for byte in "\x01\x0b\x0c\x1b\x1c\x7f"),
    ),
    "lines of a head that end with a LF alone": (
        *("LF lines", "LF behind the status line", "LF behind a field", "LF at the end"),
    ),
    "lines between chunks that end with a LF alone": (
        *("LF in chunks", "LF behind a size", "LF behind an extension", "LF behind a chunk"),
    ),
    "a chunk's size of more than 16 digits": (f"chunk size {'0' * 20 + '5'!r}",),
    "Content-Length and Transfer-Encoding": ("chunked and a length", "a length and chunked"),
    "Transfer-Encoding from other versions than HTTP/1.1": (
        *("chunked, version 1.0", "chunked, version 2.0"),
    ),
}


@dataclass(frozen=True)
class Read:
    """What a client makes of what it gets.

    Attributes:
        status: of the final answer; "" if there is none.
        body: without its framing.
        whole: the answer has come to its end.
    """

    status: str
    body: bytes
    whole: bool

    @property
    def passed(self) -> bool:
        """True if it is a node's answer, and all of it."""
        return self.whole and self.status not in {"", "502"}


def read(data: bytes, how: str) -> Read:
    """Read leniently, as browsers do, everything that came over a connection, which was "closed" or "reset"."""
    head, found, body = data.partition(b"\r\n\r\n")
    while found and head.startswith((b"HTTP/1.1 1", b"HTTP/1.0 1")) and head[9:12] != b"101":
        head, found, body = body.partition(b"\r\n\r\n")
    # With anything else nginx takes it for the body of HTTP/0.9, which has no head.
    if not (found and head.startswith(b"HTTP/") and head[8:9] == b" "):
        return Read("", b"", whole=False)
    lines = [line.lower().partition(b":") for line in head.split(b"\r\n")[1:]]
    fields = {name: value.strip() for name, _, value in lines}
    whole = how == "closed"
    if b"transfer-encoding" in fields:
        body, ended = _unchunked(body)
        whole = whole and ended
    elif head[9:12] not in {b"204", b"304"} and fields.get(b"content-length", b"").isdigit():
        whole = whole and len(body) >= int(fields[b"content-length"])
    return Read(head[9:12].decode("latin-1"), body, whole)


def _unchunked(data: bytes) -> tuple[bytes, bool]:
    body = b""
    while True:
        line, found, data = data.partition(b"\r\n")
        try:
            size = int(line.split(b";")[0], 16)
        except ValueError:
            return body, False
        if not size or not found:
            return body, bool(found)
        body, data = body + data[:size], data[size + 2 :]
