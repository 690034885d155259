"""What is fuzzed of HTTP: answers of nodes, chunked bodies, PROXY headers. The same shape as in targets.py."""

import base64
import json
from pathlib import Path

from tests.fuzz.target import Target, outcome
from uwsgi_router.protocol.http.body import Chunked, ChunkedEncoder, Decoder, Identity, Recoder
from uwsgi_router.protocol.http.content_coding import Gzip, gzip_lines
from uwsgi_router.protocol.http.errors import BodyError, ResponseError, Truncated
from uwsgi_router.protocol.http.response import parse_response
from uwsgi_router.protocol.http.response_head import ResponseHead, body_length
from uwsgi_router.protocol.proxy import (
    ProxyError,
    encode_proxy_v1,
    encode_proxy_v2,
    parse_proxy_header,
)

REQUESTS = Path(__file__).parent.parent / "vectors" / "http-requests.jsonl"


def http_response(data: bytes) -> str:
    """The first bytes of a node, of one that speaks HTTP and of one that speaks uwsgi."""
    word = ""
    for cgi in (False, True):
        try:
            head = parse_response(data, cgi=cgi)
        except ResponseError as exc:
            word += outcome(exc)
            continue
        if head is None:
            word += "more"
            continue
        word += f"accepted {head.status // 100} {len(head.lines) > 3} {head.chunked} {head.close}"
        _check_response(data, head, cgi=cgi)
    return word


def _check_response(data: bytes, head: ResponseHead, *, cgi: bool) -> None:
    assert data[: head.size].endswith(b"\r\n\r\n")
    assert data.count(b"\r\n\r\n", 0, head.size) == 1
    assert parse_response(data[: head.size - 1], cgi=cgi) is None
    assert parse_response(data[: head.size] + b"more", cgi=cgi) == head
    # Some nodes say statuses that HTTP does not know; they pass.
    assert 100 <= head.status <= 999
    assert not (head.chunked and head.content_length is not None)
    for method in (b"GET", b"HEAD"):
        length = body_length(head, method)
        assert length is None or length >= 0
    # What is passed on says the same when it is read again, and nothing of how this body was framed.
    passed = b"\r\n".join([b"HTTP/1.1 %d %b" % (head.status, head.reason), *head.lines, b"", b""])
    again = parse_response(passed)
    assert again is not None
    assert again.lines == head.lines
    assert (again.content_length, again.chunked, again.upgrade) == (None, False, b"")
    gzipped = parse_response(b"\r\n".join([b"HTTP/1.1 200 OK", *gzip_lines(head.lines), b"", b""]))
    assert gzipped is not None
    assert b"gzip" in gzipped.content_encoding
    assert not gzipped.gzip_wanted


def http_chunked(data: bytes) -> str:
    """A chunked body, whole, byte by byte and in two pieces; recoded it is the same."""
    decoder = Chunked()
    try:
        payload = _feed(decoder, data, len(data) or 1)
    except BodyError as exc:
        for size in (1, len(data) // 2 or 1):
            try:
                _feed(Chunked(), data, size)
            except BodyError:
                continue
            raise AssertionError("refused as a whole, but not in pieces") from exc
        return outcome(exc)
    for size in (1, len(data) // 2 or 1):
        other = Chunked()
        assert _feed(other, data, size) == payload
        assert (other.done, other.surplus) == (decoder.done, decoder.surplus)
    if not decoder.done:
        assert not decoder.surplus
        try:
            decoder.eof()
        except Truncated:
            return f"more {bool(payload)}"
        raise AssertionError("a chunked body ended with the connection")
    assert data.endswith(decoder.surplus)
    recoder = Recoder(Chunked(), ChunkedEncoder())
    sent = _feed(recoder, data, len(data))
    assert (recoder.done, recoder.payload) == (True, len(payload))
    assert recoder.surplus == decoder.surplus
    assert recoder.eof() == b""
    assert _feed(Recoder(Chunked(), Identity()), sent, len(sent)) == payload
    gzipped = _feed(Recoder(Chunked(), Gzip(Identity())), sent, len(sent))
    assert gzipped.startswith(b"\x1f\x8b\x08")
    return f"accepted {min(len(payload), 3)} {bool(decoder.surplus)}"


def _feed(feeder: Decoder | Recoder, data: bytes, size: int) -> bytes:
    """Feed all of it, in pieces of this size, each in as many turns as it takes."""
    taken: list[bytes] = []
    for at in range(0, len(data), size):
        taken.append(feeder.feed(data[at : at + size]))
        while feeder.more:
            taken.append(feeder.feed(b""))
    return b"".join(taken)


_PROXY_STARTS = (b"PROXY ", b"\r\n\r\n\0\r\nQUIT\n")


def proxy_header(data: bytes) -> str:
    """The first bytes of a connection from a balancer."""
    try:
        header = parse_proxy_header(data)
    except ProxyError as exc:
        return outcome(exc)
    if header is None:
        assert any(start.startswith(data[: len(start)]) for start in _PROXY_STARTS)
        return "more"
    assert data.startswith(_PROXY_STARTS)
    assert parse_proxy_header(data[: header.size - 1]) is None
    assert parse_proxy_header(data[: header.size]) == header
    assert parse_proxy_header(data[: header.size] + b"more") == header
    for encode in (encode_proxy_v1, encode_proxy_v2):
        # A header may name an IPv4 and an IPv6 address in IPv6 clothes; ours can't.
        try:
            raw = encode(header.source, header.destination)
        except ProxyError as exc:
            return outcome(exc)
        again = parse_proxy_header(raw)
        assert again is not None
        assert (again.source, again.destination) == (header.source, header.destination)
    return f"accepted {data[:1]!r} {header.source and ':' in header.source[0]}"


def responses(packet: bytes) -> list[bytes]:
    """Heads of many kinds, and the packet as a body behind one."""
    fields = (
        b"Content-Type: text/event-stream\r\nX-Accel-Buffering: no",
        b"Content-Length: 5\r\nConnection: keep-alive, X-Hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=5",
        b'Transfer-Encoding: chunked\r\nTrailer: X-Sum\r\nVary: Cookie\r\nETag: "a"',
        b"uWSGI-Encoding: gzip\r\nSet-Cookie: a=b\r\nSet-Cookie: c=d\r\nX-Empty:",
        b"Status: 404 Not Found\r\nContent-Encoding: br\r\nConnection: close",
        b"Upgrade: websocket\r\nConnection: Upgrade\r\nLocation: /elsewhere",
    )
    starts = (b"HTTP/1.1 200 OK\r\n", b"HTTP/1.0 503 Busy\r\n", b"HTTP/1.1 101 Go\r\n", b"")
    pairs = [(start, each) for each in fields for start in starts]
    return [b"%b%b\r\n\r\n%b" % (start, each, packet[:8]) for start, each in pairs]


def chunked_bodies(packet: bytes) -> list[bytes]:
    """The packet in chunks, and the bodies of recorded requests."""
    encoder = ChunkedEncoder()
    found = [encoder.encode(packet[:40]) + encoder.encode(packet[:2]) + encoder.finish() + packet]
    for line in REQUESTS.read_text().splitlines():
        head, _, body = base64.b64decode(json.loads(line)["raw"]).partition(b"\r\n\r\n")
        if b"chunked" in head and len(body) < 2_000:
            found.append(body)
    return found


def proxy_headers(packet: bytes) -> list[bytes]:
    """Headers of both versions, and the packet behind one."""
    ends = (
        (("192.0.2.7", 56324), ("198.51.100.1", 443)),
        (("2001:db8::7", 1), ("2001:db8::1", 65535)),
        (("::ffff:192.0.2.7", 0), ("::ffff:198.51.100.1", 443)),
        (None, None),
    )
    found = []
    for source, destination in ends:
        tlvs = ((1, b"h2"), (2, packet[:9]), (4, b"\0\0"))
        found.append(encode_proxy_v1(source, destination) + packet[:4])
        found.append(encode_proxy_v2(source, destination, tlvs) + packet[:4])
    return found


TARGETS = (
    Target("http-response", http_response, responses),
    Target("http-chunked", http_chunked, chunked_bodies),
    Target("proxy-header", proxy_header, proxy_headers),
)

#: For the mutations: what these formats are made of.
WORDS = (
    *(b"\r\n", b"\n", b"\r", b"\r\n\r\n", b"\r\n ", b": ", b":", b";", b",", b" ", b"\t", b"\0"),
    *(b"HTTP/1.1 200 OK\r\n", b"HTTP/1.0 ", b"HTTP/2.0 ", b"Status: ", b"Connection: ", b"close"),
    *(
        b"Content-Length: ",
        b"Transfer-Encoding: chunked\r\n",
        b"Upgrade: ",
        b"Keep-Alive: timeout=",
    ),
    *(
        b"0\r\n",
        b"0\r\n\r\n",
        b"5\r\nhello\r\n",
        b"ffffffffffffffff",
        b"00000000000000005",
        b";a=b",
    ),
    *(
        b"PROXY ",
        b"TCP4 ",
        b"TCP6 ",
        b"UNKNOWN",
        b"\r\n\r\n\0\r\nQUIT\n",
        b"\x21\x11\0\x0c",
        b"\x20",
    ),
)
