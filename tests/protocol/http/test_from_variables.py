"""A uwsgi packet's variables as a request for a node that speaks HTTP."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.protocol.http.h11_reader import check_read_as
from tests.protocol.http.valid_requests import (
    HANDSHAKE,
    Vector,
    accepted_vectors,
    parsed,
    valid_requests,
)
from uwsgi_router.protocol.http.errors import HttpError
from uwsgi_router.protocol.http.forward import request_head
from uwsgi_router.protocol.http.from_variables import head_from_variables, walked
from uwsgi_router.protocol.http.origin import (
    Origin,
    TrustedPeers,
    origin_of_peer,
    origin_of_request,
)
from uwsgi_router.protocol.http.request import read_lines
from uwsgi_router.protocol.http.request_head import RequestHead
from uwsgi_router.protocol.http.variables import connection_block, request_block
from uwsgi_router.protocol.uwsgi import decode_variables

CONNECTION = connection_block(server_name=b"web1", server_port=b"8080")
PROXY = origin_of_peer(("10.0.0.1", 40_001), https=False)
TRUSTED = TrustedPeers(["10.0.0.0/8"])

#: What nginx sends with its uwsgi_params for a POST over TLS.
NGINX = [
    (b"QUERY_STRING", b"a=1"),
    (b"REQUEST_METHOD", b"POST"),
    (b"CONTENT_TYPE", b"text/plain"),
    (b"CONTENT_LENGTH", b"5"),
    (b"REQUEST_URI", b"/%C3%BC?a=1"),
    (b"PATH_INFO", b"/\xc3\xbc"),
    (b"DOCUMENT_ROOT", b"/etc/nginx/html"),
    (b"SERVER_PROTOCOL", b"HTTP/2.0"),
    (b"REQUEST_SCHEME", b"https"),
    (b"HTTPS", b"on"),
    (b"REMOTE_ADDR", b"192.0.2.7"),
    (b"REMOTE_PORT", b"51342"),
    (b"SERVER_PORT", b"443"),
    (b"SERVER_NAME", b"example.com"),
    (b"HTTP_HOST", b"www.example.com"),
    (b"HTTP_USER_AGENT", b"curl/8.5"),
    (b"HTTP_CONTENT_LENGTH", b"5"),
    (b"HTTP_CONTENT_TYPE", b"text/plain"),
    (b"HTTP_X_REQUEST_ID", b"a: b"),
    (b"HTTP_CONNECTION", b"keep-alive, X-Request-ID, X-Forwarded-For"),
]


def node_head(variables: list[tuple[bytes, bytes]]) -> bytes:
    head = head_from_variables(variables)
    return request_head(head, None, content_length=head.content_length)


def lines(*more: tuple[bytes, bytes]) -> list[bytes]:
    """Return what a plain request becomes with these variables in its end."""
    plain = [(b"REQUEST_METHOD", b"GET"), (b"REQUEST_URI", b"/"), (b"HTTP_HOST", b"a.example")]
    return node_head([*plain, *more]).split(b"\r\n")[:-2]


def refused(*more: tuple[bytes, bytes]) -> HttpError:
    with pytest.raises(HttpError) as caught:
        lines(*more)
    return caught.value


FIELD_NAMES = st.sampled_from(
    [b"Host", b"X-A", b"Cookie", b"Content-Length", b"Connection", b"Upgrade", b"X-Forwarded-For"]
)
FIELD_VALUES = st.text("ab1,;= \t\r\n\0\x7f", max_size=12).map(str.encode) | st.sampled_from(
    [
        b"a.example",
        b"5",
        b"Upgrade",
        b"websocket",
        b"x\r\nHost: b",
        b"x\r\n\r\nGET / HTTP/1.1",
        b"x\r",
    ]
)


@given(
    st.sampled_from(
        [b"GET / HTTP/1.1", b"POST /a?b HTTP/1.1", b"GET /../a HTTP/1.1", b"GET / HTTP/1.0", b"G"]
    ),
    st.lists(st.tuples(FIELD_NAMES, FIELD_VALUES), max_size=6),
)
def test_one_walk_over_the_lines_finds_what_reading_each_finds(
    start: bytes, fields: list[tuple[bytes, bytes]]
) -> None:
    written = [start, b"Host: c.example", *(name + b": " + value for name, value in fields)]
    found = walked(list(written))
    if found is not None:
        assert found == read_lines(list(written))
        assert found.size == 0


def test_what_nginx_sends_is_read_in_one_walk() -> None:
    head = walked(node_head(NGINX)[:-4].split(b"\r\n"))
    assert head is not None
    assert head.target == b"/%C3%BC?a=1"


def test_what_nginx_sends() -> None:
    assert node_head(NGINX) == (
        b"POST /%C3%BC?a=1 HTTP/1.1\r\n"
        b"Host: www.example.com\r\n"
        b"Content-Type: text/plain\r\n"
        b"User-Agent: curl/8.5\r\n"
        b"X-Request-Id: a: b\r\n"
        b"X-Forwarded-For: 192.0.2.7\r\n"
        b"X-Forwarded-Proto: https\r\n"
        b"Content-Length: 5\r\n"
        b"\r\n"
    )
    head = head_from_variables(NGINX)
    assert (head.content_length, head.chunked, head.size) == (5, False, 0)
    assert head.forwarded


@pytest.mark.parametrize(
    ("variables", "host"),
    [
        ([], b"a.example"),
        ([(b"HTTP_HOST", b"b.example:81")], b"b.example:81"),
        ([(b"HTTP_HOST", b"")], b"localhost"),
        ([(b"HTTP_HOST", b""), (b"SERVER_NAME", b"s")], b"s"),
        ([(b"HTTP_HOST", b""), (b"SERVER_NAME", b"s"), (b"SERVER_PORT", b"80")], b"s"),
        ([(b"HTTP_HOST", b""), (b"SERVER_NAME", b"s"), (b"SERVER_PORT", b"443")], b"s:443"),
        (
            [
                (b"HTTP_HOST", b""),
                (b"SERVER_NAME", b"s"),
                (b"SERVER_PORT", b"443"),
                (b"HTTPS", b"on"),
            ],
            b"s",
        ),
        ([(b"HTTP_HOST", b""), (b"SERVER_NAME", b"::1"), (b"SERVER_PORT", b"81")], b"[::1]:81"),
        ([(b"HTTP_HOST", b""), (b"SERVER_PORT", b"81")], b"localhost"),
    ],
)
def test_host(variables: list[tuple[bytes, bytes]], host: bytes) -> None:
    assert lines(*variables)[:2] == [b"GET / HTTP/1.1", b"Host: " + host]


@pytest.mark.parametrize(
    ("variables", "target"),
    [
        ([(b"REQUEST_URI", b"/a/../%2e?b?c")], b"/a/../%2e?b?c"),
        ([(b"REQUEST_URI", b"//evil.example/x")], b"//evil.example/x"),
        ([(b"REQUEST_URI", b"*"), (b"REQUEST_METHOD", b"OPTIONS")], b"*"),
        ([(b"REQUEST_URI", b"?a=b")], b"/?a=b"),
        ([(b"REQUEST_URI", b"/a?b#c?d")], b"/a?b"),
        ([(b"REQUEST_URI", b"#c")], b"/"),
        ([(b"REQUEST_URI", b""), (b"PATH_INFO", b""), (b"QUERY_STRING", b"a")], b"/?a"),
        ([(b"REQUEST_URI", b""), (b"PATH_INFO", b"/a b\xff%?#")], b"/a%20b%FF%25%3F%23"),
        (
            [
                (b"REQUEST_URI", b""),
                (b"SCRIPT_NAME", b"/app"),
                (b"PATH_INFO", b"/x;y=1"),
                (b"QUERY_STRING", b"q=%20"),
            ],
            b"/app/x;y=1?q=%20",
        ),
    ],
)
def test_target(variables: list[tuple[bytes, bytes]], target: bytes) -> None:
    assert lines(*variables)[0].split(b" ")[1] == target


@pytest.mark.parametrize(
    ("variables", "chain", "proto"),
    [
        ([], None, b"http"),
        ([(b"REMOTE_ADDR", b"192.0.2.7")], b"192.0.2.7", b"http"),
        ([(b"REMOTE_ADDR", b"2001:db8::7")], b"2001:db8::7", b"http"),
        ([(b"REMOTE_ADDR", b"unix:")], None, b"http"),
        ([(b"REMOTE_ADDR", b"")], None, b"http"),
        # nginx passes on what the client claims, so the address that nginx saw comes last...
        (
            [(b"REMOTE_ADDR", b"192.0.2.7"), (b"HTTP_X_FORWARDED_FOR", b"127.0.0.1")],
            b"127.0.0.1, 192.0.2.7",
            b"http",
        ),
        # ...once, if it was appended there already.
        (
            [(b"REMOTE_ADDR", b"192.0.2.7"), (b"HTTP_X_FORWARDED_FOR", b"127.0.0.1, 192.0.2.7")],
            b"127.0.0.1, 192.0.2.7",
            b"http",
        ),
        (
            [(b"REMOTE_ADDR", b"192.0.2.7"), (b"HTTP_X_FORWARDED_FOR", b"192.0.2.7, unknown")],
            b"192.0.2.7, unknown, 192.0.2.7",
            b"http",
        ),
        ([(b"HTTP_X_FORWARDED_FOR", b"1.1.1.1")], b"1.1.1.1", b"http"),
        ([(b"REQUEST_SCHEME", b"https")], None, b"https"),
        ([(b"REQUEST_SCHEME", b"gopher"), (b"HTTPS", b"On")], None, b"https"),
        ([(b"HTTPS", b"off")], None, b"http"),
        ([(b"HTTPS", b"1")], None, b"https"),
        ([(b"HTTPS", b"on"), (b"HTTP_X_FORWARDED_PROTO", b"http")], None, b"http"),
        ([(b"HTTPS", b"on"), (b"HTTP_X_FORWARDED_PROTO", b"")], None, b"https"),
    ],
)
def test_where_the_client_is(
    variables: list[tuple[bytes, bytes]], chain: bytes | None, proto: bytes
) -> None:
    expected = [b"X-Forwarded-For: " + chain] if chain else []
    assert lines(*variables)[2:] == [*expected, b"X-Forwarded-Proto: " + proto]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (b"HTTP_CONNECTION", b"close"),
        (b"HTTP_KEEP_ALIVE", b"timeout=5"),
        (b"HTTP_PROXY_CONNECTION", b"keep-alive"),
        (b"HTTP_PROXY_AUTHORIZATION", b"Basic eDp5"),
        (b"HTTP_PROXY", b"http://evil.example"),
        (b"HTTP_TE", b"trailers"),
        (b"HTTP_TRAILER", b"X-A"),
        (b"HTTP_UPGRADE", b"h2c"),
        (b"HTTP_HTTP2_SETTINGS", b"AAMAAABkAAQAAP__"),
        (b"HTTP_EXPECT", b"the unexpected"),
        (b"HTTP_CONTENT_LENGTH", b"5"),
        (b"HTTP_CONTENT_TYPE", b"text/plain"),
        (b"REMOTE_USER", b"\r\n"),
        (b"UWSGI_FILE", b"/x"),
        (b"CONTENT_LENGTH", b""),
        (b"CONTENT_TYPE", b""),
        (b"", b""),
    ],
)
def test_what_has_no_place_in_the_request(name: bytes, value: bytes) -> None:
    assert lines((name, value)) == lines()


def test_a_length_is_written_as_a_number() -> None:
    assert lines((b"CONTENT_LENGTH", b"005"))[-1] == b"Content-Length: 5"
    assert lines((b"CONTENT_LENGTH", b"0"))[-1] == b"Content-Length: 0"


def test_expecting_a_100_is_known() -> None:
    body = (b"CONTENT_LENGTH", b"5")
    plain = [(b"REQUEST_METHOD", b"PUT"), (b"REQUEST_URI", b"/"), (b"HTTP_HOST", b"a"), body]
    assert head_from_variables([*plain, (b"HTTP_EXPECT", b"100-Continue")]).expect_continue
    assert not head_from_variables([*plain, (b"HTTP_EXPECT", b"200-ok")]).expect_continue


def test_a_websocket_handshake_stays_one() -> None:
    block = request_block(parsed(HANDSHAKE), PROXY, CONNECTION, content_length=None, tunnel=True)
    head = head_from_variables(decode_variables(block))
    assert head.websocket
    made = request_head(head, None, content_length=None, tunnel=True)
    assert made.endswith(b"\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")


def test_of_a_repeated_name_the_last_value_counts() -> None:
    made = lines((b"HTTP_X_A", b"1"), (b"HTTP_X_B", b"2"), (b"HTTP_X_A", b"3"))
    assert made[2:4] == [b"X-A: 3", b"X-B: 2"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (b"HTTP_X_A", b"1\r\nX-B: 2"),
        (b"HTTP_X_A", b"1\n X"),
        (b"HTTP_X_A", b"1\rX-B: 2"),
        (b"HTTP_X_A", b"\0"),
        (b"HTTP_X_A", b"\x7f"),
        (b"HTTP_X_A", b"\r\n\r\nGET /evil HTTP/1.1\r\nHost: a"),
        (b"HTTP_X_FORWARDED_FOR", b"1.1.1.1\r\nX-B: 2"),
        (b"HTTP_X_FORWARDED_PROTO", b"http\r\n"),
        (b"CONTENT_TYPE", b"text/plain\r\nContent-Length: 5"),
        (b"HTTP_X_A\r\nX-B", b"1"),
        (b"HTTP_X:Y", b"1"),
        (b"HTTP_X A", b"1"),
        (b"HTTP_", b"1"),
        (b"HTTP_X\xc3\xbc", b"1"),
        # Second names of other variables.
        (b"HTTP_X-A", b"1"),
        (b"HTTP_x_a", b"1"),
        (b"HTTP_CONTENT-LENGTH", b"5"),
        (b"HTTP_TRANSFER-ENCODING", b"chunked"),
        (b"HTTP_Host", b"other.example"),
        (b"HTTP_HOST", b"a b"),
        (b"HTTP_HOST", b"a.example, b.example"),
        (b"HTTP_HOST", b"../../x"),
        (b"HTTP_HOST", b"a\r\nX-B: 2"),
        (b"REQUEST_METHOD", b""),
        (b"REQUEST_METHOD", b"GET /"),
        (b"REQUEST_METHOD", b"GET / HTTP/1.1\r\nX-A:"),
        (b"REQUEST_METHOD", b"\r\nGET"),
        (b"REQUEST_METHOD", b"G(T"),
        (b"REQUEST_URI", b"a"),
        (b"REQUEST_URI", b"*"),
        (b"REQUEST_URI", b"http://other.example/"),
        (b"REQUEST_URI", b"/a b"),
        (b"REQUEST_URI", b"/ HTTP/1.1\r\nX-B: 2\r\nX-C:"),
        (b"REQUEST_URI", b"/%zz"),
        (b"REQUEST_URI", b"/%00"),
        (b"REQUEST_URI", b"/\x01"),
        (b"CONTENT_LENGTH", b"-5"),
        (b"CONTENT_LENGTH", b"+5"),
        (b"CONTENT_LENGTH", b"5, 5"),
        (b"CONTENT_LENGTH", b"5\r\nTransfer-Encoding: chunked"),
        (b"CONTENT_LENGTH", b"18446744073709551621"),
    ],
)
def test_what_is_not_one_request_is_refused(name: bytes, value: bytes) -> None:
    error = refused((name, value))
    assert error.status == 400
    assert "\r" not in error.text
    assert "\n" not in error.text


def test_a_line_feed_in_an_upgrade_is_refused() -> None:
    upgrade = (b"HTTP_UPGRADE", b"websocket\r\nX-B: 2")
    assert refused(upgrade, (b"HTTP_CONNECTION", b"upgrade")).status == 400


@pytest.mark.parametrize(
    "control", [b"\n", b"\r", b"\r\n", b"\r\nX: y", b"\r\n\r\nGET / HTTP/1.1", b"\0"]
)
@pytest.mark.parametrize(
    "name",
    [
        *(b"REQUEST_METHOD", b"REQUEST_URI", b"CONTENT_LENGTH", b"CONTENT_TYPE", b"HTTP_HOST"),
        *(b"HTTP_COOKIE", b"HTTP_X_A", b"HTTP_X_FORWARDED_FOR", b"HTTP_X_FORWARDED_PROTO"),
    ],
)
def test_a_line_end_in_a_variable_never_becomes_one_in_the_head(
    name: bytes, control: bytes
) -> None:
    usual = dict(NGINX).get(name, b"a")
    for value in (usual + control, control + usual, usual + control + usual):
        assert refused((name, value)).status == 400


def test_connect_is_refused() -> None:
    error = refused((b"REQUEST_METHOD", b"CONNECT"), (b"REQUEST_URI", b"a.example:443"))
    assert error.status == 405


@pytest.mark.parametrize("lengths", [(b"5", b"6"), (b"5", b""), (b"", b"5"), (b"5", b"05")])
def test_two_lengths_are_refused(lengths: tuple[bytes, ...]) -> None:
    error = refused(*((b"CONTENT_LENGTH", length) for length in lengths))
    assert (error.status, error.text) == (400, "two different CONTENT_LENGTH values")
    assert lines((b"CONTENT_LENGTH", b"5"), (b"CONTENT_LENGTH", b"5"))[-1] == b"Content-Length: 5"


def test_a_body_whose_end_nobody_knows_is_refused() -> None:
    chunked = (b"HTTP_TRANSFER_ENCODING", b"chunked")
    assert refused(chunked).status == 411
    # nginx has read the whole body, and says how long it is.
    assert lines(chunked, (b"CONTENT_LENGTH", b"5"))[-1] == b"Content-Length: 5"


def test_there_may_be_as_many_fields_as_a_packet_holds() -> None:
    many = [(b"HTTP_X_%d" % number, b"") for number in range(4_000)]
    assert len(lines(*many)) == 4_003


def merged(head: RequestHead) -> dict[bytes, bytes]:
    """Return a request's fields, those of the forwarding family left out, as one line for each name."""
    found: dict[bytes, bytes] = {}
    for name, value in head.fields:
        if PROXY.passes(name):
            found[name] = found[name] + b", " + value if name in found else value
    return {name: value.strip(b" \t") for name, value in found.items()}


def check_round_trip(head: RequestHead, origin: Origin) -> None:
    length = 7 if head.chunked else head.content_length
    block = request_block(head, origin, CONNECTION, content_length=length, tunnel=head.websocket)
    variables = decode_variables(block)
    again = head_from_variables(variables)
    assert (again.method, again.target, again.path) == (head.method, head.target, head.path)
    assert again.query == head.query
    assert again.host == (head.host or b"web1:8080")
    assert (again.content_length, again.chunked) == (length, False)
    assert again.websocket == head.websocket
    expected = merged(head)
    if not expected.get(b"content-type", b"x"):
        del expected[b"content-type"]
    assert merged(again) == expected
    fields = dict(again.fields)
    assert fields[b"x-forwarded-for"].startswith(origin.forwarded_for)
    assert fields[b"x-forwarded-for"].rpartition(b", ")[2].startswith(origin.address)
    assert fields[b"x-forwarded-proto"] == origin.scheme
    made = request_head(again, None, content_length=length, tunnel=head.websocket)
    check_read_as(again, made)
    assert parsed(made).fields == again.fields


@given(valid_requests() | st.just(HANDSHAKE), st.booleans())
def test_a_request_that_went_through_variables_means_the_same(data: bytes, trusted: bool) -> None:
    head = parsed(data)
    origin = origin_of_request(head, PROXY, trusted, TRUSTED) if head.forwarded else PROXY
    check_round_trip(head, origin)


@pytest.mark.parametrize("vector", accepted_vectors(), ids=lambda vector: vector.name)
def test_recorded_requests(vector: Vector) -> None:
    check_round_trip(vector.head, origin_of_request(vector.head, PROXY, True, TRUSTED))


_NAMES = st.sampled_from([name for name, _ in NGINX] + [b"HTTP_X", b"HTTP_EXPECT", b"HTTP_UPGRADE"])
_VALUES = st.sampled_from(
    [
        b"",
        b"/",
        b"GET",
        b"a.example",
        b"5",
        b"on",
        b"1.1.1.1",
        b"100-continue",
        b"upgrade",
        b"\r\n",
        b"\r\nX: y",
    ]
)


@given(
    st.lists(
        st.tuples(
            _NAMES | st.binary(max_size=8).map(lambda name: b"HTTP_" + name),
            _VALUES | st.binary(max_size=12),
        ),
        max_size=6,
    )
)
def test_any_variables_are_one_request_or_refused(more: list[tuple[bytes, bytes]]) -> None:
    try:
        head = head_from_variables([*NGINX, *more])
    except HttpError:
        return
    tunnel = head.websocket
    check_read_as(head, request_head(head, None, content_length=head.content_length, tunnel=tunnel))
