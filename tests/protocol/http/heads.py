"""Heads of requests to try parsers on: recorded, realistic, and changed at random."""

import base64
import json
import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

VECTORS: Final = Path(__file__).parents[2] / "vectors" / "http-requests.jsonl"

BROWSER: Final = (
    b"GET /static/app.js?v=3 HTTP/1.1\r\n"
    b"Host: www.example.com\r\n"
    b"Connection: keep-alive\r\n"
    b"User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0\r\n"
    b"Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8\r\n"
    b"Accept-Encoding: gzip, deflate, br, zstd\r\n"
    b"Accept-Language: en-GB,en;q=0.9,de;q=0.8\r\n"
    b"Referer: https://www.example.com/articles/2026/11/21/\r\n"
    b"Cookie: sessionid=3yq0c1k2b4m5n6; csrftoken=abcdefghijklmnopqrstuvwxyz012345\r\n"
    b"Sec-Fetch-Mode: navigate\r\n"
    b"Upgrade-Insecure-Requests: 1\r\n\r\n"
)
REALISTIC: Final = (
    BROWSER,
    b"GET / HTTP/1.1\r\nHost: example.com\r\nUser-Agent: curl/8.5.0\r\nAccept: */*\r\n\r\n",
    b"GET /caf\xc3\xa9?q=\xe2\x82\xac HTTP/1.1\r\nHost: example.com\r\nUser-Agent: curl/8.5.0\r\n\r\n",
    b"HEAD /a%20b/./c/../d?x=%zz&y[]=1 HTTP/1.0\r\nHost: 10.0.0.1:8080\r\nConnection: Keep-Alive\r\n\r\n",
    (
        b"POST /api/v1/items HTTP/1.1\r\nhost: [::1]:8000\r\ncontent-type: application/json\r\n"
        b"content-length: 17\r\nauthorization: Bearer abc.def\r\n\r\n"
    ),
    (
        b"PUT /upload HTTP/1.1\r\nHost: up.example.com\r\nTransfer-Encoding: chunked\r\nTE: trailers\r\n"
        b"Trailer: X-Check\r\nExpect: 100-continue\r\n\r\n"
    ),
    (
        b"GET /ws HTTP/1.1\r\nHost: example.com\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    ),
    b"OPTIONS * HTTP/1.1\r\nHost: example.com\r\nOrigin: https://a.example\r\n\r\n",
    b"GET http://other.example:81?x=1 HTTP/1.1\r\nHost: example.com\r\nProxy-Connection: close\r\n\r\n",
    (
        b"DELETE /x HTTP/1.1\r\nHost: example.com\r\nCookie: a=1\r\nX-Forwarded-For: 1.2.3.4\r\nCookie: b=2\r\n"
        b"Connection: X-Secret, close\r\nX-Secret: 1\r\nX_Secret: 2\r\n\r\n"
    ),
    b"\r\nPATCH /a;b=c,d HTTP/1.1\r\nHost:example.com\r\nX-Empty:\r\nX-Tabs:\t a \t\r\n\r\n",
    b"GET / HTTP/1.0\r\n\r\n",
)

#: What the format is made of, and what has been used against parsers.
WORDS: Final = (
    *(
        b"\r\n",
        b"\n",
        b"\r",
        b"\r\n\r\n",
        b" ",
        b"\t",
        b":",
        b": ",
        b" :",
        b"\r\n ",
        b"\0",
        b"\x7f",
        b"\x0b",
    ),
    *(
        b"\x85",
        b"\xa0",
        b"\xff",
        b",",
        b";",
        b'"',
        b"#",
        b"?",
        b"%",
        b"%2e",
        b"%00",
        b"%2F",
        b"/..",
        b"/.",
        b"//",
    ),
    *(
        b"*",
        b"@",
        b"[::1]",
        b"http://",
        b"HTTPS://a.b",
        b"rtsp://h/",
        b"HTTP/1.1",
        b"HTTP/1.0",
        b"HTTP/1.2",
    ),
    *(
        b"HTTP/2.0",
        b"HTTP/0.9",
        b"RTSP/1.0",
        b"GET ",
        b"POST ",
        b"CONNECT ",
        b"SOURCE ",
        b"PRI * HTTP/2.0",
    ),
    *(
        b"Host",
        b"Content-Length",
        b"Transfer-Encoding",
        b"Connection",
        b"Upgrade",
        b"Expect",
        b"Cookie",
    ),
    *(
        b"chunked",
        b"identity",
        b"gzip, ",
        b"close",
        b"keep-alive",
        b"upgrade",
        b"websocket",
        b"100-continue",
    ),
    *(b"0", b"5", b"+5", b"-5", b"0x5", b"0_5", b"5, 5", b"18446744073709551621", b"_", b"-", b"X"),
)
LINES: Final = (
    *(b"Host: b.example", b"Host: ", b"Host : a", b"host:a.example:80", b"Content-Length: 5"),
    *(
        b"Content-Length: 0005",
        b"Content-Length: 5, 5",
        b"Content-Length:",
        b"Content-Length: 0",
        b"Content_Length: 7",
    ),
    *(
        b"Transfer-Encoding: chunked",
        b"transfer-encoding:\tChunked ",
        b"Transfer-Encoding: gzip, chunked",
    ),
    *(
        b"Transfer-Encoding: chunked, chunked",
        b"Transfer-Encoding: xchunked",
        b"Transfer-Encoding: ,chunked",
    ),
    *(
        b"Transfer-Encoding : chunked",
        b"Transfer-Encoding: \x0bchunked",
        b"Transfer_Encoding: chunked",
    ),
    *(b"Transfer-Encoding: chunked,", b"Transfer-Encoding:", b'Transfer-Encoding: "chunked"'),
    *(
        b"Connection: close",
        b"Connection: keep-alive, close",
        b"Connection:close,Keep-Alive",
        b"Connection: \t",
    ),
    *(
        b"Connection: Upgrade",
        b"Connection: X-A, Host, Content-Length",
        b"connection: clos",
        b"Connection: close x",
    ),
    *(
        b"Proxy-Connection: keep-alive",
        b"Keep-Alive: timeout=5",
        b"Upgrade: h2c",
        b"Upgrade: websocket",
    ),
    *(
        b"Expect: 100-continue",
        b"expect: 100-Continue",
        b"Expect: foo",
        b"Cookie: a=1",
        b"COOKIE: b=2",
        b"Proxy: x",
    ),
    *(
        b"X-A: a\tb",
        b"X-A:",
        b"X-A",
        b": a",
        b" X-A: b",
        b"X-A : b",
        b"X(A): b",
        b"X-\xc3\xa9: b",
        b"X-A: caf\xe9",
    ),
    *(
        b"X_Forwarded_For: 6.6.6.6",
        b"X-Forwarded-For: 1.2.3.4",
        b"Forwarded: for=1.2.3.4",
        b"X-A: \xa0b\x85",
    ),
    *(
        b"Content-Type: text/plain",
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        b"Sec-WebSocket-Version: 13",
    ),
)


def vectors() -> list[dict[str, Any]]:
    """Return the recorded requests; ``raw`` is decoded."""
    found = [json.loads(line) for line in VECTORS.read_text().splitlines()]
    return [{**vector, "raw": base64.b64decode(vector["raw"])} for vector in found]


def mutated(seed: int, count: int) -> Iterator[bytes]:
    """Make heads by changing the recorded and realistic ones; the same seed makes the same heads."""
    rng = random.Random(seed)
    corpus = [vector["raw"] for vector in vectors() if len(vector["raw"]) < 2_000]
    corpus += REALISTIC * 3
    for _ in range(count):
        data = rng.choice(corpus)
        for _ in range(rng.choice((1, 1, 1, 2, 2, 3, 5))):
            data = _changed(rng, data, corpus)
        yield data


def _changed(rng: random.Random, data: bytes, corpus: Sequence[bytes]) -> bytes:
    if rng.random() < 0.5:
        lines = data.split(b"\r\n")
        at = rng.randrange(1, len(lines)) if len(lines) > 1 else 0
        match rng.randrange(6):
            case 0 | 1 | 2:
                lines[at:at] = [rng.choice(LINES)]
            case 3:
                lines[at : at + 1] = []
            case 4:
                lines[at:at] = [rng.choice(lines)]
            case _:
                lines[at] = lines[at].swapcase()
        return b"\r\n".join(lines)
    at = rng.randrange(len(data) + 1)
    to = at + rng.choice((0, 0, 1, 1, 2, 4, 16))
    match rng.randrange(6):
        case 0:
            return data[:at] + data[to:]
        case 1:
            return data[:at] + bytes((rng.randrange(256),)) + data[to:]
        case 2:
            other = rng.choice(corpus)
            return data[:at] + other[rng.randrange(len(other) + 1) :]
        case _:
            return data[:at] + rng.choice(WORDS) + data[to:]
