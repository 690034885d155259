"""Requests that are valid and as odd as they may be, and what was recorded of tricky ones."""

import base64
import json
from dataclasses import dataclass
from pathlib import Path

from hypothesis import strategies as st

from uwsgi_router.protocol.http.errors import HttpError
from uwsgi_router.protocol.http.request import parse_request
from uwsgi_router.protocol.http.request_head import RequestHead

VECTORS = Path(__file__).parent.parent.parent / "vectors" / "http-requests.jsonl"

#: What a browser sends.
BROWSER = (
    b"GET /items/42?page=2&sort=name HTTP/1.1\r\n"
    b"Host: www.example.com\r\n"
    b"User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n"
    b"Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n"
    b"Accept-Language: en-GB,en;q=0.5\r\n"
    b"Accept-Encoding: gzip, deflate, br, zstd\r\n"
    b"Referer: https://www.example.com/items\r\n"
    b"Connection: keep-alive\r\n"
    b"Cookie: session=8f14e45fceea167a5a36dedd4bea2543; theme=dark\r\n"
    b"Upgrade-Insecure-Requests: 1\r\n"
    b"Cache-Control: max-age=0\r\n"
    b"\r\n"
)
HANDSHAKE = (
    b"GET /chat HTTP/1.1\r\nHost: example.com\r\nUpgrade: WebSocket, h2c\r\n"
    b"Connection: keep-alive, Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)

_METHODS = st.sampled_from(
    [b"GET", b"POST", b"HEAD", b"OPTIONS", b"PROPFIND", b"get", b"!#$%&'*+-.^_`|~0"]
)
_TARGETS = st.builds(
    b"".join,
    st.tuples(
        st.sampled_from([b"/", b"http://real.example/", b"https://real.example:8443/", b"//"]),
        st.lists(
            st.sampled_from(
                [
                    b"a",
                    b"%41",
                    b"%2e%2E",
                    b"..",
                    b".",
                    b"/",
                    b"%2F",
                    b"\xc3\xbc",
                    b"%C3%BC",
                    b"+",
                    b":",
                    b"@",
                ]
            ),
            max_size=6,
        ).map(b"".join),
        st.sampled_from([b"", b"?", b"?q=1", b"?a=/../b?c", b"?\xff%zz"]),
    ),
) | st.sampled_from([b"http://real.example", b"http://real.example?q"])
_VALUES = st.sampled_from(
    [b"", b"1", b"\t a, b ", b'"x;y"', b"caf\xc3\xa9", b"a: b", b"close", b"x" * 300]
)
_NAMES = st.sampled_from(
    [
        *(
            b"Accept",
            b"accept",
            b"X-A",
            b"x-a",
            b"X-B",
            b"Authorization",
            b"If-None-Match",
            b"X.Y",
            b"~",
        ),
        *(
            b"Uwsgi-File",
            b"UWSGI-SCRIPT",
            b"Http-Host",
            b"Http-Uwsgi-File",
            b"Request-Method",
            b"Script-Name",
        ),
        *(
            b"Proxy",
            b"proxy",
            b"X_A",
            b"Content_Length",
            b"UWSGI_FILE",
            b"Keep-Alive",
            b"TE",
            b"Trailer",
        ),
        *(
            b"Proxy-Authorization",
            b"Proxy-Connection",
            b"HTTP2-Settings",
            b"Remote-Addr",
            b"HTTPS",
            b"Https",
        ),
    ]
)
_FORWARDING = st.tuples(
    st.sampled_from(
        [
            b"X-Forwarded-For",
            b"x-forwarded-proto",
            b"X-Forwarded-Host",
            b"X-Forwarded-Ssl",
            b"Forwarded",
            b"X-Real-IP",
        ]
    ),
    st.sampled_from(
        [b"1.1.1.1", b"https", b"on", b"1.1.1.1, 10.0.0.9", b"unknown", b"for=1.1.1.1"]
    ),
)
_ONCE = st.lists(
    st.sampled_from(
        [
            (b"Content-Type", b"text/plain"),
            (b"Connection", b"close, X-A, Authorization, x-forwarded-for"),
            (b"Upgrade", b"h2c"),
            (b"Expect", b"100-Continue"),
        ]
    ),
    unique=True,
)
_COOKIES = st.lists(st.sampled_from([(b"Cookie", b"a=1"), (b"cookie", b"b=2; c=3")]), max_size=3)
_FRAMINGS = st.sampled_from(
    [
        [],
        [(b"Content-Length", b"0")],
        [(b"content-length", b"0005")],
        [(b"Transfer-Encoding", b"Chunked")],
    ]
)


@st.composite
def valid_requests(draw: st.DrawFn) -> bytes:
    """Return a head that is accepted."""
    asterisk = draw(st.integers(0, 9)) == 0
    method = b"OPTIONS" if asterisk else draw(_METHODS)
    target = b"*" if asterisk else draw(_TARGETS)
    framing = draw(_FRAMINGS)
    old = draw(st.booleans()) and (b"Transfer-Encoding", b"Chunked") not in framing
    fields = [
        *draw(st.lists(st.tuples(_NAMES, _VALUES), max_size=6)),
        *draw(st.lists(_FORWARDING, max_size=3)),
        *draw(_ONCE),
        *draw(_COOKIES),
        *framing,
    ]
    if not old or draw(st.booleans()):
        fields.append(
            (b"Host", draw(st.sampled_from([b"example.com", b"EXAMPLE.com.:80", b"[::1]:8080"])))
        )
    lines = [
        b" ".join((method, target, b"HTTP/1.0" if old else b"HTTP/1.1")),
        *(name + b": " + value for name, value in draw(st.permutations(fields))),
    ]
    return b"\r\n".join(lines) + b"\r\n\r\n"


def parsed(data: bytes) -> RequestHead:
    """Read a head that has to be valid and whole."""
    head = parse_request(data)
    assert head is not None
    return head


@dataclass(frozen=True, slots=True)
class Vector:
    """A recorded request that may be accepted, with its head."""

    name: str
    must: str
    raw: bytes
    head: RequestHead


def accepted_vectors() -> list[Vector]:
    """Return the recorded requests whose head we accept."""
    found: list[Vector] = []
    for line in VECTORS.read_text().splitlines():
        row = json.loads(line)
        raw = base64.b64decode(row["raw"])
        try:
            head = parse_request(raw)
        except HttpError:
            continue
        if head is not None:
            found.append(Vector(row["name"], row.get("must", ""), raw, head))
    return found
