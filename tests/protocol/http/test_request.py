"""The head of a request: what is taken, what is refused, with which status, and how soon."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.compiled import LINES_ONLY
from tests.protocol.http.heads import BROWSER, REALISTIC, mutated, vectors
from uwsgi_router.protocol.http import request_lines
from uwsgi_router.protocol.http.errors import HttpError
from uwsgi_router.protocol.http.fields import BoundedCache
from uwsgi_router.protocol.http.request import parse_request
from uwsgi_router.protocol.http.request_head import RequestHead
from uwsgi_router.protocol.http.request_lines import known_lines

VECTORS = {vector["name"]: vector for vector in vectors()}
#: Refused for what comes behind a head that is fine, or for what does not come.
BODIES = {
    *(name for name, vector in VECTORS.items() if vector["group"] == "chunked"),
    "body-short-halfclose",
}
SILENT = {"head-silent"}


def parsed(data: bytes, **options: Any) -> RequestHead:
    head = parse_request(data, **options)
    assert head is not None
    return head


def refused(data: bytes, **options: Any) -> HttpError:
    with pytest.raises(HttpError) as caught:
        parse_request(data, **options)
    return caught.value


def get(*lines: bytes, version: bytes = b"HTTP/1.1", method: bytes = b"GET") -> bytes:
    return b"\r\n".join((method + b" / " + version, b"Host: example.com", *lines)) + b"\r\n\r\n"


def outcome(data: bytes, **options: Any) -> object:
    """Return a head, None, or all that an error says."""
    try:
        return parse_request(data, **options)
    except HttpError as exc:
        return exc.status, exc.reason, exc.text


def byte_by_byte(data: bytes, *, tell: bool, **options: Any) -> object:
    """Return the first outcome that is not "more", as a client would see who sends each byte alone."""
    seen = 0
    for size in range(1, len(data) + 1):
        found = outcome(data[:size], seen=seen if tell else 0, **options)
        if found is not None:
            return found
        seen = size
    return None


# --- recorded requests ---


@pytest.mark.parametrize("name", VECTORS)
def test_recorded_requests(name: str) -> None:
    vector = VECTORS[name]
    if name in SILENT:
        assert parse_request(vector["raw"]) is None
    elif "accept" in vector["expectation"] or name in BODIES:
        head = parsed(vector["raw"])
        if vector.get("responses") == 2:
            parsed(vector["raw"][head.size :])
    else:
        assert refused(vector["raw"]).status in vector["expectation"]["reject"]


#: What the notes of vectors want to hold of a head.
MUST: dict[str, dict[str, object]] = {
    "cl-ows": {"content_length": 5, "chunked": False, "has_body": True},
    "cl-leading-zeros": {"content_length": 5},
    "te-upper": {"content_length": None, "chunked": True, "has_body": True},
    "te-underscore": {"content_length": 5, "chunked": False, "fields": []},
    "cl-underscore-name": {"content_length": None, "has_body": False, "fields": []},
    "get-with-cl-body": {"content_length": 5},
    "obs-text-value": {"fields": [(b"x-foo", b"caf\xe9")]},
    "underscore-name": {"fields": [(b"x-forwarded-for", b"1.2.3.4")], "forwarded": True},
    "proxy-header": {"fields": []},
    "dup-cookie": {"fields": [(b"cookie", b"a=1; b=2")], "lines": [b"Cookie: a=1; b=2"]},
    "conn-nominated": {"fields": [], "lines": [], "keep_alive": False},
    "leading-crlf": {"method": b"GET", "size": 39},
    "method-lower": {"method": b"get"},
    "absolute-form-no-path": {"path": b"/", "target": b"/", "host": b"real.example"},
    "options-star": {"path": b"*", "target": b"*"},
    "target-pct-dotdot": {"path": b"/etc/passwd", "target": b"/a/%2e%2e/%2e%2e/etc/passwd"},
    "target-dotdot": {"path": b"/b"},
    "target-double-slash": {"path": b"//evil.example/x", "host": b"example.com"},
    "host-upper": {"host": b"EXAMPLE.COM"},
    "ka-10": {"keep_alive": True, "minor": 0, "protocol": b"HTTP/1.0"},
    "ka-10-default": {"keep_alive": False},
    "expect-100": {"expect_continue": True, "fields": []},
    "expect-100-case": {"expect_continue": True},
    "expect-100-http10": {"expect_continue": False, "fields": []},
    "expect-100-no-body": {"expect_continue": True, "has_body": False},
    "ws-handshake": {"websocket": True, "upgrade": b"websocket", "has_body": False},
    "h2c-upgrade": {"websocket": False, "fields": []},
}


@pytest.mark.parametrize("name", MUST)
def test_what_recorded_requests_mean(name: str) -> None:
    head = parsed(VECTORS[name]["raw"])
    assert {key: getattr(head, key) for key in MUST[name]} == MUST[name]


# --- how the bytes come ---

OPTIONS: list[dict[str, Any]] = [{}, {"max_head": 70}, {"max_fields": 2}, {"rtsp": True}]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("tell", [True, False], ids=["with seen", "without seen"])
def test_byte_by_byte_is_the_same_as_whole(options: dict[str, Any], tell: bool) -> None:
    recorded = [vector["raw"][:700] for vector in VECTORS.values()]
    for data in (*recorded, *REALISTIC, *(data[:700] for data in mutated(1, 400))):
        assert byte_by_byte(data, tell=tell, **options) == outcome(data, **options), data


@given(st.sampled_from(REALISTIC), st.binary(max_size=40))
@settings(deadline=None)
def test_what_follows_changes_nothing(data: bytes, after: bytes) -> None:
    head = parsed(data)
    assert head.size == len(data)
    assert parsed(data + after) == head
    assert parsed(data + data + after) == head


@given(st.integers(0, 10**6))
@settings(max_examples=200, deadline=None)
def test_what_follows_an_error_changes_nothing(seed: int) -> None:
    for data in mutated(seed, 3):
        found = outcome(data)
        if found is not None:
            assert outcome(data + b"\r\nX: \0\n\r\n\r\n") == found, data


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"\x16", 400),  # a TLS hello
        (b"GET / HTTP/1.1\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\rb", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\n ", 400),
        (b"GET / HTTP/1.1\r\nHost ", 400),
        (b"GET / HTTP/1.1\r\nHost\r", 400),
        (b"GET / HTTP/1.1\r\n:", 400),
        (b"GET / HTTP/1.1\r\nX: \0", 400),
        (b"GET / HTTP/1.1\r\n\rx", 400),
        (b"GET  ", 400),
        (b" ", 400),
        (b"GET / h", 400),
        (b"GET / HTTP/1.1x", 400),
        (b"GET / HTTP/11", 400),
        (b"GET / HTTP/1\r", 400),
        (b"GET / \r", 400),
        (b"GET /\r", 400),
        (b"GET /\t", 400),
        (b"PROXY TCP4 1", 400),
        (b"PROXY UNKNOWN\r", 400),
        (b"\r\n\r\n\0", 400),  # PROXY protocol version 2
        (b"\r\n\r\n\r", 400),
        (b"\n", 400),
        (b"GET / HTTP/2.0\r\n", 505),
        (b"CONNECT a:1 HTTP/1.1\r\n", 405),
        (b"GET foo HTTP/1.1\r\n", 400),
    ],
)
def test_an_error_is_found_as_soon_as_its_byte_is_there(data: bytes, status: int) -> None:
    assert refused(data).status == status
    if data[:-1]:
        assert parse_request(data[:-1]) is None


def test_first_error_counts() -> None:
    # The lengths could only be judged at the end of the head; the colon that is missing was noticed before.
    both = get(b"Content-Length: x", b"broken")
    assert refused(both).reason == "bad-field"
    assert refused(both.replace(b"broken", b"X: y")).reason == "bad-length"


def test_an_error_quotes_little_and_escapes_it() -> None:
    text = refused(b"GET / HTTP/1.1\r\nX: " + b"\x1b" * 2 + b"a" * 5000).text
    assert "byte 0x1b" in text
    assert text.isprintable()
    assert len(refused(b"GET /" + b"a" * 5000 + b"#b HTTP/1.1\r\n").text) < 120


# --- limits ---


def test_a_head_may_be_as_large_as_the_limit() -> None:
    data = get(b"X: " + b"a" * 500)
    assert parsed(data, max_head=len(data)).size == len(data)
    error = refused(data, max_head=len(data) - 1)
    assert (error.status, error.reason) == (431, "head-too-large")
    assert f"{len(data) - 1} bytes" in error.text


def test_a_request_line_beyond_the_limit_is_a_uri_too_long() -> None:
    data = b"GET /" + b"a" * 100
    assert parse_request(data, max_head=len(data) + 1) is None
    assert refused(data, max_head=len(data)).status == 414
    assert refused(data + b" HTTP/1.1\r\nHost: a\r\n\r\n", max_head=len(data)).status == 414


def test_the_number_of_fields_is_limited() -> None:
    lines = [b"X-%d: a" % number for number in range(199)]
    assert len(parsed(get(*lines)).fields) == 199
    assert refused(get(*lines, b"X: a")).status == 431
    # It does not wait for the rest of them.
    assert refused(get(*lines, b"X: a")[:-2]).reason == "too-many-fields"
    assert parse_request(get(*lines)[:-2]) is None


def test_caches_do_not_grow_with_what_clients_send() -> None:
    cache = BoundedCache[int]()
    for number in range(5000):
        cache.keep(b"%d" % number, number)
    assert cache[b"4999"] == 4999
    assert len(cache) <= 2048
    cache.keep(b"x" * 1000, 1)
    assert b"x" * 1000 not in cache


@LINES_ONLY
def test_remembered_lines_are_read_as_they_were_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(request_lines, "_remembers", lambda: True)
    recorded = [vector["raw"][:700] for vector in VECTORS.values()]
    hits = 0
    for data in (*recorded, *REALISTIC, *mutated(2, 2_000)):
        known_lines.clear()
        unknown = outcome(data)
        hits += len(known_lines)
        assert outcome(data) == unknown, data
    assert hits > 2_000
    for data in (*recorded, *REALISTIC, *mutated(2, 2_000)):
        known_lines.clear()
        unknown = outcome(data)
        for other in REALISTIC:
            outcome(other)
        assert outcome(data) == unknown, data


@LINES_ONLY
def test_lines_that_never_come_again_do_not_fill_the_memory() -> None:
    for number in range(40_000):
        parsed(get(b"X-Request-Id: %d" % number, b"X-Long: " + b"x" * 300))
    assert len(known_lines) <= 1024
    assert max(map(len, known_lines)) < 300


@LINES_ONLY
def test_lines_that_come_again_and_again_are_remembered() -> None:
    known_lines.clear()
    for number in range(64):
        parsed(get(b"Accept: */*", b"X-Request-Id: %d" % number))
    assert known_lines[b"Accept: */*"] is None


# --- fields ---


def test_a_browsers_head() -> None:
    head = parsed(BROWSER)
    assert (head.method, head.target, head.path, head.query) == (
        *(b"GET", b"/static/app.js?v=3"),
        *(b"/static/app.js", b"v=3"),
    )
    assert (head.host, head.minor, head.protocol) == (b"www.example.com", 1, b"HTTP/1.1")
    assert [name for name, _ in head.fields] == [
        *(b"user-agent", b"accept", b"accept-encoding", b"accept-language"),
        *(b"referer", b"cookie", b"sec-fetch-mode", b"upgrade-insecure-requests"),
    ]
    assert head.lines[1].startswith(b"Accept: text/html,")
    assert head.keep_alive
    assert not head.has_body
    assert not head.forwarded
    assert repr(head) == "<RequestHead b'GET' '/static/app.js?v=3' host='www.example.com'>"


@pytest.mark.parametrize(
    "line", [b"X-a:b", b"X-a: b", b"X-a:  b", b"X-a:\tb", b"X-a: b \t ", b"X-a:b "]
)
def test_white_space_around_values_is_removed(line: bytes) -> None:
    head = parsed(get(line))
    assert head.fields == [(b"x-a", b"b")]
    assert head.lines == [b"X-a: b"]


def test_values_keep_what_is_inside() -> None:
    head = parsed(get(b"X: a: \t b", b"Y:", b"Z: \xa0\x85"))
    assert head.fields == [(b"x", b"a: \t b"), (b"y", b""), (b"z", b"\xa0\x85")]
    assert head.lines == [b"X: a: \t b", b"Y: ", b"Z: \xa0\x85"]


def test_repeated_fields_stay_in_order() -> None:
    head = parsed(get(b"Accept: a", b"X: 1", b"accept: b"))
    assert head.fields == [(b"accept", b"a"), (b"x", b"1"), (b"accept", b"b")]


def test_cookies_are_joined_where_the_first_was() -> None:
    head = parsed(get(b"cookie: a=1", b"X: 1", b"Cookie:b=2", b"COOKIE: c=3"))
    assert head.fields == [(b"cookie", b"a=1; b=2; c=3"), (b"x", b"1")]
    assert head.lines == [b"cookie: a=1; b=2; c=3", b"X: 1"]
    assert parsed(get(b"Cookie:", b"Cookie: a=1", b"Cookie:")).lines == [b"Cookie: a=1"]


@pytest.mark.parametrize("name", [b"Host", b"Content-Length", b"Content-Type"])
def test_what_may_be_there_once(name: bytes) -> None:
    error = refused(get(name + b": 5", name.lower() + b": 5"))
    assert (error.status, error.reason) == (400, "repeated-field")


@pytest.mark.parametrize(
    "name",
    [
        *(b"Proxy", b"X_A", b"Content_Type", b"Keep-Alive", b"TE", b"Trailer", b"Proxy-Connection"),
        *(
            b"Proxy-Authorization",
            b"Proxy-Authenticate",
            b"HTTP2-Settings",
            b"Upgrade",
            b"Connection",
        ),
    ],
)
def test_what_is_not_passed_on(name: bytes) -> None:
    head = parsed(get(b"X: 1", name + b": a", b"Y: 2"))
    assert head.fields == [(b"x", b"1"), (b"y", b"2")]
    assert head.lines == [b"X: 1", b"Y: 2"]


def test_connection_names_fields_to_drop() -> None:
    head = parsed(
        get(
            b"X-A: 1",
            b"Connection: x-a, X-B , close",
            b"X-B:2",
            b"X-C: 3",
            b"connection: X-D",
            b"X-D: 4",
        )
    )
    assert head.fields == [(b"x-c", b"3")]
    assert head.lines == [b"X-C: 3"]
    assert head.connection == {b"x-a", b"x-b", b"close", b"x-d"}


def test_connection_cannot_drop_what_decides() -> None:
    names = (
        b"Content-Type",
        b"Authorization",
        b"Cookie",
        b"X-Forwarded-For",
        b"Forwarded",
        b"X-Real-IP",
    )
    lines = [name + b": 7" for name in names]
    everything = b"Connection: Host, Content-Length, Transfer-Encoding, " + b", ".join(names)
    head = parsed(get(*lines, b"Content-Length: 7", everything))
    assert head.lines == lines
    assert (head.host, head.content_length) == (b"example.com", 7)


@pytest.mark.parametrize(
    "name", [b"X-Forwarded-For", b"x-forwarded-anything", b"Forwarded", b"X-REAL-IP"]
)
def test_forwarding_fields_are_noticed(name: bytes) -> None:
    assert parsed(get(name + b": a")).forwarded
    assert not parsed(get(b"X-" + name + b": a")).forwarded


# --- host ---


def test_who_needs_a_host() -> None:
    assert refused(b"GET / HTTP/1.1\r\n\r\n").reason == "no-host"
    assert refused(b"GET http://a/ HTTP/1.1\r\n\r\n").reason == "no-host"
    assert parsed(b"GET / HTTP/1.0\r\n\r\n").host == b""
    assert refused(b"GET / HTTP/1.0\r\nHost:\r\n\r\n").reason == "bad-host"


def test_an_absolute_target_replaces_the_host_but_does_not_excuse_it() -> None:
    head = parsed(get().replace(b" / ", b" http://Other:81/x?y "))
    assert (head.host, head.target) == (b"Other:81", b"/x?y")
    assert refused(b"GET http://a/ HTTP/1.1\r\nHost: a b\r\n\r\n").reason == "bad-host"


# --- framing ---


def test_a_length_of_zero_is_no_body() -> None:
    head = parsed(get(b"Content-Length: 0"))
    assert head.content_length == 0
    assert not head.has_body
    assert parsed(get()).content_length is None


@pytest.mark.parametrize(
    ("value", "status"),
    [
        *((b"xchunked", 501), (b"gzip, chunked", 501), (b"identity", 501), (b'"chunked"', 501)),
        *((b"chunked;q=1", 501), (b"chunked chunked", 501), (b"chunked\xa0", 501)),
        *(
            (b"chunked, gzip", 400),
            (b"chunked, chunked", 400),
            (b"", 400),
            (b",chunked", 400),
            (b"chunked,", 400),
        ),
    ],
)
def test_transfer_codings(value: bytes, status: int) -> None:
    assert refused(get(b"Transfer-Encoding: " + value)).status == status


def test_both_framings_are_refused_also_when_they_agree() -> None:
    lines = (b"Content-Length: 0", b"Transfer-Encoding: chunked")
    assert refused(get(*lines)).reason == refused(get(*lines[::-1])).reason == "two-lengths"
    assert refused(get(lines[1], version=b"HTTP/1.0")).status == 400


# --- connection, expect, upgrade ---


@pytest.mark.parametrize(
    ("version", "value", "kept"),
    [
        (b"HTTP/1.1", b"", True),
        (b"HTTP/1.1", b"Close", False),
        (b"HTTP/1.1", b"keep-alive, close", False),
        (b"HTTP/1.1", b"closed", True),
        (b"HTTP/1.1", b"close x", False),
        (b"HTTP/1.2", b"x", True),
        (b"HTTP/1.0", b"x", False),
        (b"HTTP/1.0", b"Keep-Alive", True),
        (b"HTTP/1.0", b"close, keep-alive", False),
    ],
)
def test_who_keeps_the_connection(version: bytes, value: bytes, kept: bool) -> None:
    assert parsed(get(b"Connection: " + value, version=version)).keep_alive is kept


def test_expectations() -> None:
    length = b"Content-Length: 5"
    assert parsed(get(b"Expect: 100-Continue", length)).expect_continue
    assert parsed(get(b"Expect: 100-continue", b"Transfer-Encoding: chunked")).expect_continue
    assert parsed(get(b"Expect: 100-continue", b"expect: 100-continue", length)).expect_continue
    # Of bytes without a length only the configuration knows.
    assert parsed(get(b"Expect: 100-continue")).expect_continue
    assert not parsed(get(b"Expect:", length)).expect_continue
    assert not parsed(get(b"Expect: x", length, version=b"HTTP/1.0")).expect_continue
    assert refused(get(b"Expect: 100-continue, x", length)).status == 417
    assert refused(get(b"Expect: x")).status == 417


KEY = b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
HANDSHAKE = (b"Upgrade: h2c, WebSocket", b"Connection: Upgrade", b"Sec-WebSocket-Version: 8", KEY)


def test_a_websocket_handshake() -> None:
    head = parsed(get(*HANDSHAKE, b"Content-Length: 0"))
    assert head.websocket
    assert head.upgrade == b"h2c, WebSocket"
    assert head.fields == [(b"sec-websocket-version", b"8"), (b"sec-websocket-key", KEY[19:])]


@pytest.mark.parametrize("missing", HANDSHAKE)
def test_an_incomplete_handshake_is_a_request_like_others(missing: bytes) -> None:
    assert not parsed(get(*(line for line in HANDSHAKE if line != missing))).websocket


def test_what_else_is_no_handshake() -> None:
    assert not parsed(get(*HANDSHAKE, method=b"POST")).websocket
    assert not parsed(get(*HANDSHAKE, version=b"HTTP/1.0")).websocket
    assert not parsed(get(*HANDSHAKE, KEY)).websocket
    assert not parsed(get(*HANDSHAKE[:3], KEY[:-4])).websocket


@pytest.mark.parametrize("body", [b"Content-Length: 1", b"Transfer-Encoding: chunked"])
def test_a_handshake_with_a_body_is_refused(body: bytes) -> None:
    assert refused(get(*HANDSHAKE, body)).status == 400


def test_http10_cannot_upgrade_and_so_may_have_a_body() -> None:
    head = parsed(get(*HANDSHAKE, b"Content-Length: 1", version=b"HTTP/1.0"))
    assert not head.websocket
    assert head.has_body


# --- RTSP ---


def test_rtsp_only_where_it_is_welcome() -> None:
    data = b"DESCRIBE rtsp://cam.example:554/live?x RTSP/1.0\r\nCSeq: 2\r\n\r\n"
    head = parsed(data, rtsp=True)
    assert (head.protocol, head.minor, head.host) == (b"RTSP/1.0", 0, b"cam.example:554")
    assert (head.target, head.path, head.query) == (b"/live?x", b"/live", b"x")
    assert head.fields == [(b"cseq", b"2")]
    assert refused(data).reason == "bad-request-line"
    assert refused(data.replace(b"RTSP/1.0", b"RTSP/2.0"), rtsp=True).status == 505
    assert refused(data.replace(b"rtsp:", b"http:"), rtsp=True).reason == "bad-target"
    assert refused(data.replace(b"RTSP/1.0", b"HTTP/1.1"), rtsp=True).reason == "bad-target"
    assert parsed(BROWSER, rtsp=True) == parsed(BROWSER)
