"""The heads of nodes' answers."""

import contextlib
import re

import h11
import httptools
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.compiled import LINES_ONLY
from uwsgi_router.protocol.http import response
from uwsgi_router.protocol.http.errors import ResponseError
from uwsgi_router.protocol.http.fields import HOP_BY_HOP
from uwsgi_router.protocol.http.response import parse_response
from uwsgi_router.protocol.http.response_head import ResponseHead, body_length

FIELDS = [
    b"Content-Type: text/html; charset=utf-8",
    b"content-type:text/event-stream",
    b"Content-Length: 5",
    b"Content-Length:  0005\t",
    b"Transfer-Encoding: Chunked",
    b"Connection: close",
    b"Connection: keep-alive, X-Hop",
    b"Keep-Alive: timeout=5, max=100",
    b"X-Hop: 1",
    b"X-Empty:",
    b"X_Under: \xe9",
    b"Set-Cookie: a=b; Path=/",
    b"Set-Cookie: c=d",
    b"Upgrade: websocket",
    b"uWSGI-Encoding: gzip",
    b"Content-Encoding: br",
    b"Status: 404 Not Found",
    b"Location: /elsewhere",
]
STATUS_LINES = [b"HTTP/1.1 200 OK", b"HTTP/1.0 404 Not Found", b"HTTP/1.1 204 ", b"HTTP/1.1 599"]


@st.composite
def heads(draw: st.DrawFn) -> bytes:
    lines = draw(st.lists(st.sampled_from(FIELDS), max_size=6))
    return b"\r\n".join([draw(st.sampled_from(STATUS_LINES)), *lines, b"", b""])


@st.composite
def broken_heads(draw: st.DrawFn) -> bytes:
    """Return a head with something else in one place; it may still be right."""
    raw = draw(heads())
    start = draw(st.integers(0, len(raw)))
    end = draw(st.integers(start, min(start + 3, len(raw))))
    new = [
        b"",
        b"\r",
        b"\n",
        b"\r\n",
        b"\r\n ",
        b"5",
        b":",
        b",",
        b" ",
        b"\t",
        b"\0",
        b"/",
        b"\x7f",
        b"\xff",
    ]
    return raw[:start] + draw(st.sampled_from(new)) + raw[end:]


def outcome(data: bytes, *, cgi: bool = False, bytewise: bool = False) -> ResponseHead | str | None:
    """Return the head, "refused", or None; byte by byte: of the first bytes that are enough."""
    try:
        for size in range(len(data)) if bytewise else ():
            if (head := parse_response(data[:size], cgi=cgi)) is not None:
                return head
        return parse_response(data, cgi=cgi)
    except ResponseError:
        return "refused"


def parsed(data: bytes, *, cgi: bool = False) -> ResponseHead:
    head = parse_response(data, cgi=cgi)
    assert head is not None
    return head


def with_fields(*lines: bytes, version: bytes = b"1.1") -> bytes:
    return b"\r\n".join([b"HTTP/%b 200 OK" % version, *lines, b"", b""])


# --------------------------------------------------------------------------------- whole, byte by byte


@settings(max_examples=400)
@given(broken_heads(), st.binary(max_size=30), st.booleans())
def test_a_head_is_read_in_one_way_only(raw: bytes, body: bytes, cgi: bool) -> None:
    whole = outcome(raw, cgi=cgi)
    if whole is None:
        # Cut off, so it could go on; what follows may refuse it.
        assert outcome(raw, cgi=cgi, bytewise=True) is None
        return
    for data in (raw, raw + body):
        assert outcome(data, cgi=cgi) == whole
        assert outcome(data, cgi=cgi, bytewise=True) == whole
    if isinstance(whole, ResponseHead):
        assert raw[: whole.size].endswith(b"\r\n\r\n")
        assert outcome(raw[: whole.size - 1], cgi=cgi) is None


@given(st.binary(max_size=60).map(lambda tail: b"HTTP/1.1 200 OK\r\nA: " + tail), st.booleans())
def test_garbage_is_refused_or_read(data: bytes, cgi: bool) -> None:
    for some in (data, data[17:], data[20:]):
        found = outcome(some, cgi=cgi)
        if isinstance(found, ResponseHead):
            assert not any(b"\r" in line or b"\n" in line or b"\0" in line for line in found.lines)


# ----------------------------------------------------------------------------------------- the oracles


def by_h11(data: bytes) -> tuple[int, bytes, list[tuple[bytes, bytes]]] | None:
    connection = h11.Connection(h11.CLIENT)
    connection.send(
        h11.Request(method="GET", target="/", headers=[("Host", "a"), ("Upgrade", "x")])
    )
    connection.send(h11.EndOfMessage())
    connection.receive_data(data)
    try:
        event = connection.next_event()
    except h11.RemoteProtocolError:
        return None
    assert isinstance(event, h11.Response)
    return event.status_code, event.reason, list(event.headers)


class Heard:
    """What httptools (llhttp) tells."""

    def __init__(self) -> None:
        self.fields: list[tuple[bytes, bytes]] = []
        self.complete = False

    def on_header(self, name: bytes, value: bytes) -> None:
        self.fields.append((name.lower(), value.strip(b" \t")))

    def on_headers_complete(self) -> None:
        self.complete = True


def by_httptools(data: bytes) -> tuple[int, list[tuple[bytes, bytes]]] | None:
    heard = Heard()
    parser = httptools.HttpResponseParser(heard)
    with contextlib.suppress(httptools.HttpParserError, httptools.HttpParserUpgrade):
        parser.feed_data(data)
    return (parser.get_status_code(), heard.fields) if heard.complete else None


def expected_of(fields: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """Return those of the oracle's fields that we pass on."""
    gone = HOP_BY_HOP | {b"content-length"}
    if any(name == b"connection" and b"X-Hop" in value for name, value in fields):
        gone |= {b"x-hop"}
    return [(name, value) for name, value in fields if name not in gone]


def split(lines: list[bytes]) -> list[tuple[bytes, bytes]]:
    cut = [line.partition(b":") for line in lines]
    return [(name.lower(), value.strip(b" \t")) for name, _, value in cut]


@settings(max_examples=400)
@given(st.one_of(heads(), broken_heads()))
def test_what_is_accepted_is_what_h11_and_httptools_read(data: bytes) -> None:
    ours = outcome(data)
    if not isinstance(ours, ResponseHead):
        return
    connections = [value for name, value in split(data.split(b"\r\n")[1:]) if name == b"connection"]
    if any(value not in {b"close", b"keep-alive, X-Hop"} for value in connections):
        return
    if data.lower().count(b"content-length") > 1 or not re.match(rb"HTTP/1\.\d \d+( |\r)", data):
        # Said twice in two ways, or with more blanks: neither of them reads that, nginx and HAProxy do.
        return
    theirs = by_h11(data[: ours.size])
    if theirs is not None:
        # Blanks before the phrase are more of what separates it (RFC 9112 section 4).
        assert (theirs[0], theirs[1].lstrip(b" \t")) == (ours.status, ours.reason)
        assert expected_of(theirs[2]) == split(ours.lines)
    llhttp = by_httptools(data[: ours.size])
    if llhttp is not None:
        assert llhttp[0] == ours.status
        assert expected_of(llhttp[1]) == split(ours.lines)
    assert theirs or llhttp


# -------------------------------------------------------------------------------------- what it means


def test_a_usual_answer() -> None:
    raw = with_fields(
        b"Server: node",
        b"Content-Type: text/html",
        b"Content-Length: 12",
        b"Connection: keep-alive",
        b"Keep-Alive: timeout=65",
        b"X-Thing:  two  words ",
    )
    head = parsed(raw + b"hello, world")
    assert head == ResponseHead(
        status=200,
        reason=b"OK",
        minor=1,
        lines=[b"Server: node", b"Content-Type: text/html", b"X-Thing:  two  words "],
        content_length=12,
        keep_alive=65.0,
        size=len(raw),
    )


@given(st.lists(st.one_of(heads(), broken_heads()), min_size=1, max_size=5), st.booleans())
def test_remembered_lines_are_read_as_they_were_before(raw: list[bytes], cgi: bool) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(response, "_remembers", lambda: True)
        for data in raw:
            response._lines.clear()
            unknown = outcome(data, cgi=cgi)
            assert outcome(data, cgi=cgi) == unknown
            for other in raw:
                outcome(other)
                outcome(other, cgi=True)
            assert outcome(data, cgi=cgi) == unknown


@LINES_ONLY
def test_what_is_remembered_of_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(response, "_remembers", lambda: True)
    response._lines.clear()
    lines = (b"Server: x", b"Content-Type: a/b", b'ETag:  "1"')
    parsed(with_fields(*lines, b"Status: 404", b"Upgrade: y", b"Content-Length: 5"))
    parsed(with_fields(b"Content-Type: text/event-stream", b"Connection: close"))
    assert tuple(response._lines) == lines
    for number in range(3_000):
        parsed(with_fields(b"X-Request-Id: %d" % number, b"X-Long: " + b"x" * 300))
    assert len(response._lines) <= 1_024
    assert max(map(len, response._lines)) < 300


@pytest.mark.parametrize(
    ("raw", "start"),
    [
        (b"HTTP/1.1 200 OK\r\n\r\n", b"HTTP/1.1 200 OK"),
        (b"HTTP/1.0 404 \r\n\r\n", b"HTTP/1.1 404 "),
        (b"HTTP/1.2 404\r\n\r\n", b"HTTP/1.1 404 "),
        (b"Status: 503 Not now\r\n\r\n", b"HTTP/1.1 503 Not now"),
        (b"Location: /\r\n\r\n", b"HTTP/1.1 302 Found"),
    ],
)
def test_the_status_line_to_pass_on(raw: bytes, start: bytes) -> None:
    assert parsed(raw, cgi=True).start == start


def test_an_answer_without_fields() -> None:
    head = parsed(b"HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1")
    assert (head.status, head.reason, head.lines, head.size) == (204, b"No Content", [], 27)


@pytest.mark.parametrize(
    ("line", "status", "reason", "minor"),
    [
        (b"HTTP/1.1 200 OK", 200, b"OK", 1),
        (b"HTTP/1.0 200 OK", 200, b"OK", 0),
        (b"HTTP/1.2 200 OK", 200, b"OK", 1),
        (b"HTTP/1.1 404 ", 404, b"", 1),
        (b"HTTP/1.1 404", 404, b"", 1),
        (b"HTTP/1.1 418 I'm a \xf0\x9f\xab\x96", 418, b"I'm a \xf0\x9f\xab\x96", 1),
        (b"HTTP/1.1 599 Two  words", 599, b"Two  words", 1),
        (b"HTTP/1.1 600 No", 600, b"No", 1),
        (b"HTTP/1.1 999", 999, b"", 1),
        (b"HTTP/1.1   200 \t OK", 200, b"OK", 1),
        (b"HTTP/1.1 200\tOK", 200, b"OK", 1),
        (b"HTTP/2.0 200 OK", 200, b"OK", 0),
        (b"HTTP/0.9 200 OK", 200, b"OK", 0),
    ],
)
def test_status_lines(line: bytes, status: int, reason: bytes, minor: int) -> None:
    head = parsed(line + b"\r\n\r\n")
    assert (head.status, head.reason, head.minor) == (status, reason, minor)


@pytest.mark.parametrize(
    "line",
    [
        *(b"HTTP/2 200 OK", b"HTTP/1.10 200 OK", b"HTTP/1.1200 OK", b"http/1.1 200 OK"),
        *(b"HTTP/1.1 99 OK", b"HTTP/1.1 099 OK", b"HTTP/1.1 2000 OK", b"HTTP/1.1 20x", b"HTTP/1.1"),
        *(
            b"HTTP/1.1 200OK",
            b"HTTP/1.1 200 O\0K",
            b"HTTP/11 200 OK",
            b"HTTP/1.1\t200 OK",
            b"ICY 200 OK",
        ),
        *(
            b"",
            b" HTTP/1.1 200 OK",
            b"<html>",
            b"SSH-2.0-OpenSSH",
            b"HTTP/1.1 \xd9\xa2\xd9\xa2\xd9\xa2",
        ),
    ],
)
@pytest.mark.parametrize("cgi", [False, True])
def test_what_is_no_status_line(line: bytes, cgi: bool) -> None:
    """Known as soon as the line has come."""
    assert outcome(line + b"\r\n", cgi=cgi) == "refused"
    assert outcome(line + b"\r\n\r\n", cgi=cgi) == "refused"


@pytest.mark.parametrize(
    "line",
    [
        *(b"No colon", b": no name", b"Space : x", b" X: y", b"\tfolded", b"X(y): z", b"X\0: y"),
        *(
            b"\xc3\xa9: x",
            b"X: a\0b",
            b"X: a\x0bb",
            b"X: a\x7f",
            b"X: a\rb",
            b"X: a\nY: b",
            b"X: a\r",
        ),
        *(b"Content-Length", b"Connection", b"\r\rX: a", b"X: a\n"),
    ],
)
def test_what_is_no_field(line: bytes) -> None:
    assert outcome(with_fields(b"A: b", line, b"C: d")) == "refused"
    assert outcome(with_fields(b"A: b", line)) == "refused"
    assert outcome(with_fields(line)) == "refused"


def test_a_lone_lf_is_refused_at_once() -> None:
    assert outcome(b"HTTP/1.1 200 OK\n") == "refused"
    assert outcome(b"HTTP/1.1 200 OK\r\nServer: node\n") == "refused"
    assert outcome(b"Status: 200\n", cgi=True) == "refused"


@pytest.mark.parametrize(
    "lines",
    [
        [b"Content-Length: 5", b"Content-Length: 6"],
        [b"Content-Length: 5, 6"],
        [b"Content-Length: 5,"],
        [b"Content-Length: ,"],
        [b"Content-Length: 5", b"Content-Length: 5, 6"],
        [b"Content-Length: x, x"],
        [b"Content-Length:"],
        [b"Content-Length: -5"],
        [b"Content-Length: +5"],
        [b"Content-Length: 0x5"],
        [b"Content-Length: 5 5"],
        [b"Content-Length: 18446744073709551621"],
        [b"Content-Length: 5", b"Transfer-Encoding: chunked"],
        [b"Transfer-Encoding: chunked", b"Content-Length: 0"],
        [b"Transfer-Encoding: gzip"],
        [b"Transfer-Encoding: identity"],
        [b"Transfer-Encoding: gzip, chunked"],
        [b"Transfer-Encoding: chunked, chunked"],
        [b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked"],
        [b"Transfer-Encoding:"],
        [b'Transfer-Encoding: "chunked"'],
        [b"Transfer-Encoding: ,"],
        [b"Transfer-Encoding: chunked,", b"Transfer-Encoding: chunked"],
    ],
)
def test_an_end_that_is_ambiguous(lines: list[bytes]) -> None:
    assert outcome(with_fields(*lines)) == "refused"
    assert outcome(with_fields(*lines), cgi=True) == "refused"


@pytest.mark.parametrize(
    "lines",
    [
        [b"Content-Length: 5", b"Content-Length: 5"],
        [b"Content-Length: 5", b"Content-Length: 05"],
        [b"Content-Length: 5, 5"],
        [b"Content-Length: 5,005 ,5", b"Content-Length: 5"],
    ],
)
def test_lengths_that_say_the_same(lines: list[bytes]) -> None:
    head = parsed(with_fields(*lines))
    assert (head.content_length, head.lines) == (5, [])


@pytest.mark.parametrize("value", [b"chunked,", b", chunked ,"])
def test_empty_elements_of_a_list_mean_nothing(value: bytes) -> None:
    assert parsed(with_fields(b"Transfer-Encoding: " + value)).chunked


@pytest.mark.parametrize("cgi", [False, True])
@pytest.mark.parametrize("status_first", [False, True])
def test_426_says_what_should_have_been_asked_for(cgi: bool, status_first: bool) -> None:
    lines = [b"Upgrade: TLS/1.2", b"upgrade: HTTP/2.0", b"Connection: close, Upgrade"]
    if cgi:
        status = b"Status: 426 Upgrade Required"
        lines = [status, *lines] if status_first else [*lines, status]
        raw = b"\r\n".join([*lines, b"", b""])
    else:
        raw = b"\r\n".join([b"HTTP/1.1 426 Upgrade Required", *lines, b"", b""])
    head = parsed(raw, cgi=cgi)
    upgrades = b", ".join(value for name, value in split(head.lines) if name == b"upgrade")
    assert upgrades == b"TLS/1.2, HTTP/2.0"
    assert head.lines.count(b"Connection: Upgrade") == 1


def test_other_answers_offer_no_other_protocol() -> None:
    assert parsed(with_fields(b"Upgrade: h2,h2c", b"Connection: Upgrade")).lines == []


def test_framing() -> None:
    head = parsed(with_fields(b"transfer-encoding:\tCHUNKED "))
    assert (head.chunked, head.content_length, head.lines) == (True, None, [])
    head = parsed(with_fields(b"CONTENT-LENGTH:\t007 "))
    assert (head.chunked, head.content_length, head.lines) == (False, 7, [])
    # Names with underscores are other fields.
    head = parsed(with_fields(b"Content_Length: 5", b"Transfer_Encoding: chunked"))
    assert (head.chunked, head.content_length, len(head.lines)) == (False, None, 2)


def test_chunked_is_not_for_http_1_0() -> None:
    raw = with_fields(b"Transfer-Encoding: chunked", version=b"1.0")
    with pytest.raises(ResponseError, match=r"no version HTTP/1\.1"):
        parse_response(raw)


@pytest.mark.parametrize(
    ("version", "lines", "close"),
    [
        (b"1.1", [], False),
        (b"1.1", [b"Connection: Close"], True),
        (b"1.1", [b"Connection: keep-alive"], False),
        (b"1.1", [b"Connection: keep-alive, close"], True),
        (b"1.1", [b"Connection: keep-alive", b"Connection: close"], True),
        (b"1.1", [b"Connection: closed"], False),
        (b"1.0", [], True),
        (b"1.0", [b"Connection: Keep-Alive"], False),
        (b"1.0", [b"Connection: keep-alive", b"Connection: close"], True),
        (b"1.0", [b"Keep-Alive: timeout=5"], True),
    ],
)
def test_whether_the_node_closes(version: bytes, lines: list[bytes], close: bool) -> None:
    head = parsed(with_fields(*lines, version=version))
    assert head.close is close
    assert head.lines == []


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (b"timeout=5, max=100", 5.0),
        (b"max=100, Timeout = 15", 15.0),
        (b'timeout="7"', 7.0),
        (b"max=3", None),
        (b"timeout=-1", None),
        (b"5", None),
    ],
)
def test_how_long_the_node_keeps_the_connection(value: bytes, seconds: float | None) -> None:
    assert parsed(with_fields(b"Keep-Alive: " + value)).keep_alive == seconds


def test_fields_of_the_connection_stay_on_it() -> None:
    head = parsed(
        with_fields(
            b"X-Secret: a",
            b"Connection: X-Secret, upgrade, Content-Type",
            b"x-secret: b",
            b"Trailer: X-Sum",
            b"Proxy-Connection: close",
            b"TE: trailers",
            b"Upgrade: h2c",
            b"Proxy-Authenticate: Basic",
            b"Content-Type: text/plain",
            b"X-Public: c",
        )
    )
    # What the body is cannot be said of the connection only.
    assert head.lines == [b"Content-Type: text/plain", b"X-Public: c"]
    assert head.upgrade == b"h2c"
    assert not head.close


@pytest.mark.parametrize(
    ("lines", "unbuffered", "gzip_wanted", "content_encoding"),
    [
        ([b"Content-Type: text/event-stream"], True, False, b""),
        ([b"Content-Type: Text/Event-Stream;charset=utf-8"], True, False, b""),
        ([b"Content-Type: text/plain"], False, False, b""),
        ([b"X-Accel-Buffering: no"], True, False, b""),
        ([b"X-Accel-Buffering: yes"], False, False, b""),
        ([b"uWSGI-Encoding: gzip"], False, True, b""),
        ([b"uWSGI-Encoding: br"], False, False, b""),
        ([b"Content-Encoding: br"], False, False, b"br"),
        ([b"Content-Encoding: br", b"Content-Encoding: gzip"], False, False, b"br, gzip"),
        ([b"Content-Encoding: identity"], False, False, b""),
    ],
)
def test_what_is_said_about_the_body(
    lines: list[bytes], unbuffered: bool, gzip_wanted: bool, content_encoding: bytes
) -> None:
    head = parsed(with_fields(*lines))
    assert (head.unbuffered, head.gzip_wanted) == (unbuffered, gzip_wanted)
    assert head.content_encoding == content_encoding
    assert head.lines == lines


@pytest.mark.parametrize(
    ("status", "method", "expected"),
    [
        (200, b"GET", 5),
        (200, b"HEAD", 0),
        (101, b"GET", 0),
        (103, b"GET", 0),
        (204, b"POST", 0),
        (304, b"GET", 0),
        (404, b"GET", 5),
    ],
)
def test_how_long_the_body_is(status: int, method: bytes, expected: int) -> None:
    head = parsed(b"HTTP/1.1 %d Any\r\nContent-Length: 5\r\n\r\n" % status)
    assert body_length(head, method) == expected
    head = parsed(b"HTTP/1.1 %d Any\r\n\r\n" % status)
    assert body_length(head, method) == (None if expected else 0)


# ----------------------------------------------------------------------------------------- uwsgi nodes


@pytest.mark.parametrize(
    ("lines", "status", "reason"),
    [
        ([b"Status: 404 Not Found"], 404, b"Not Found"),
        ([b"A: b", b"status:503"], 503, b""),
        ([b"A: b"], 200, b"OK"),
        ([b"Location: /elsewhere"], 302, b"Found"),
        ([b"Location: /elsewhere", b"Status: 201 Created"], 201, b"Created"),
    ],
)
def test_a_head_without_a_status_line(lines: list[bytes], status: int, reason: bytes) -> None:
    raw = b"\r\n".join([*lines, b"Content-Length: 2", b"", b""])
    head = parsed(raw + b"hi", cgi=True)
    assert (head.status, head.reason, head.content_length) == (status, reason, 2)
    assert head.lines == [line for line in lines if not line.lower().startswith(b"status")]
    assert (head.minor, head.close, head.size) == (0, True, len(raw))
    # Only uwsgi nodes may.
    assert outcome(raw) == "refused"


def test_a_status_line_outdoes_a_status_field() -> None:
    raw = with_fields(b"Status: 404 Not Found")
    assert (parsed(raw, cgi=True).status, parsed(raw, cgi=True).lines) == (200, [])
    # Of a node that speaks HTTP it is a field like others.
    assert parsed(raw).lines == [b"Status: 404 Not Found"]


@pytest.mark.parametrize("value", [b"", b"OK", b"42", b"099 No", b"2000", b"200OK"])
def test_a_status_field_that_is_none(value: bytes) -> None:
    assert outcome(b"Status: %b\r\n\r\n" % value, cgi=True) == "refused"


def test_two_status_fields() -> None:
    assert outcome(b"Status: 200 OK\r\nStatus: 404 Not Found\r\n\r\n", cgi=True) == "refused"


@pytest.mark.parametrize("start", [b"", b"H", b"HTTP", b"HTTP/", b"HTTPS: x", b"Stat", b"Status:"])
def test_a_uwsgi_node_may_still_say_anything(start: bytes) -> None:
    assert outcome(start, cgi=True) is None


# -------------------------------------------------------------------------------------------- limits


def test_a_head_has_at_most_so_many_bytes() -> None:
    raw = with_fields(b"X: " + b"x" * 100)
    head = parse_response(raw + bytes(1000), max_head=len(raw))
    assert head is not None
    for data in (raw, raw[:-1], raw + bytes(1000)):
        with pytest.raises(ResponseError, match="larger than"):
            parse_response(data, max_head=len(raw) - 1)


def test_a_head_has_at_most_so_many_fields() -> None:
    raw = with_fields(*[b"X: y"] * 200)
    assert len(parsed(raw).lines) == 200
    with pytest.raises(ResponseError, match="201 fields; at most 200"):
        parse_response(with_fields(*[b"X: y"] * 201))
