"""A request's head as uwsgi variables."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

import uwsgi_router.protocol.http.variables as module
from tests.compiled import LINES_ONLY
from tests.protocol.http.valid_requests import (
    BROWSER,
    HANDSHAKE,
    Vector,
    accepted_vectors,
    parsed,
    valid_requests,
)
from uwsgi_router.protocol.http.errors import HttpError
from uwsgi_router.protocol.http.origin import (
    Origin,
    TrustedPeers,
    origin_of_peer,
    origin_of_request,
)
from uwsgi_router.protocol.http.request import parse_request
from uwsgi_router.protocol.http.request_head import RequestHead
from uwsgi_router.protocol.http.variables import _keys, connection_block, request_block
from uwsgi_router.protocol.uwsgi import MAX_DATASIZE, decode_variables, encode_variables

CONNECTION = connection_block(server_name=b"web1", server_port=b"8080")
PEER = origin_of_peer(("192.0.2.7", 51_342), https=False)
PROXY = origin_of_peer(("10.0.0.1", 40_001), https=False)
TRUSTED = TrustedPeers(["10.0.0.0/8"])


def variables(
    head: RequestHead,
    origin: Origin = PEER,
    connection: bytes = CONNECTION,
    *,
    chunked: bool = False,
    tunnel: bool = False,
    server_name_as_host: bool = False,
    extra: bytes = b"",
) -> list[tuple[bytes, bytes]]:
    block = request_block(
        head,
        origin,
        connection,
        content_length=head.content_length,
        chunked=chunked,
        tunnel=tunnel,
        server_name_as_host=server_name_as_host,
        extra=extra,
    )
    return decode_variables(block)


def request(
    *lines: bytes, start: bytes = b"GET / HTTP/1.1", host: bytes = b"example.com"
) -> RequestHead:
    return parsed(b"\r\n".join([start, b"Host: " + host, *lines, b"", b""]))


def of(*lines: bytes, start: bytes = b"GET / HTTP/1.1") -> dict[bytes, bytes]:
    return dict(variables(request(*lines, start=start)))


def test_a_browsers_request_in_uwsgis_order() -> None:
    assert variables(parsed(BROWSER)) == [
        (b"REQUEST_METHOD", b"GET"),
        (b"PATH_INFO", b"/items/42"),
        (b"REQUEST_URI", b"/items/42?page=2&sort=name"),
        (b"QUERY_STRING", b"page=2&sort=name"),
        (b"SERVER_PROTOCOL", b"HTTP/1.1"),
        (b"SCRIPT_NAME", b""),
        (b"SERVER_NAME", b"web1"),
        (b"SERVER_PORT", b"8080"),
        (b"UWSGI_ROUTER", b"http"),
        (b"REMOTE_ADDR", b"192.0.2.7"),
        (b"REMOTE_PORT", b"51342"),
        (b"HTTP_HOST", b"www.example.com"),
        (b"CONTENT_LENGTH", b""),
        (
            b"HTTP_USER_AGENT",
            b"Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
        ),
        (b"HTTP_ACCEPT", b"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
        (b"HTTP_ACCEPT_LANGUAGE", b"en-GB,en;q=0.5"),
        (b"HTTP_ACCEPT_ENCODING", b"gzip, deflate, br, zstd"),
        (b"HTTP_REFERER", b"https://www.example.com/items"),
        (b"HTTP_COOKIE", b"session=8f14e45fceea167a5a36dedd4bea2543; theme=dark"),
        (b"HTTP_UPGRADE_INSECURE_REQUESTS", b"1"),
        (b"HTTP_CACHE_CONTROL", b"max-age=0"),
        (b"HTTP_X_FORWARDED_FOR", b"192.0.2.7"),
        (b"HTTP_X_FORWARDED_PROTO", b"http"),
    ]


def test_without_a_question_mark_the_uri_comes_first_and_the_query_is_empty() -> None:
    assert variables(request(start=b"GET /a%20b HTTP/1.0"))[:5] == [
        (b"REQUEST_METHOD", b"GET"),
        (b"REQUEST_URI", b"/a%20b"),
        (b"PATH_INFO", b"/a b"),
        (b"QUERY_STRING", b""),
        (b"SERVER_PROTOCOL", b"HTTP/1.0"),
    ]


@pytest.mark.parametrize(
    ("framing", "chunked", "found"),
    [
        ([], False, {b"CONTENT_LENGTH": b""}),
        ([b"Content-Length: 0"], False, {b"CONTENT_LENGTH": b"0"}),
        ([b"Content-Length: 0005"], False, {b"CONTENT_LENGTH": b"5"}),
        ([b"Transfer-Encoding: chunked"], True, {b"HTTP_TRANSFER_ENCODING": b"chunked"}),
    ],
)
def test_how_long_the_body_is(
    framing: list[bytes], chunked: bool, found: dict[bytes, bytes]
) -> None:
    made = dict(variables(request(*framing, start=b"POST / HTTP/1.1"), chunked=chunked))
    names = (b"CONTENT_LENGTH", b"HTTP_CONTENT_LENGTH", b"HTTP_TRANSFER_ENCODING")
    assert {name: made[name] for name in names if name in made} == found


def test_a_body_that_was_collected_has_the_length_it_turned_out_to_have() -> None:
    head = request(b"Transfer-Encoding: chunked", start=b"POST / HTTP/1.1")
    made = dict(decode_variables(request_block(head, PEER, CONNECTION, content_length=70_000)))
    assert made[b"CONTENT_LENGTH"] == b"70000"
    assert b"HTTP_TRANSFER_ENCODING" not in made


def test_lines_of_one_name_become_one_value_at_the_first_ones_place() -> None:
    made = variables(
        request(b"X-A: 1", b"Accept: */*", b"x-a: 2", b"Cookie: a=1", b"X-A:", b"Cookie: b=2")
    )
    assert made[-5:-2] == [
        (b"HTTP_X_A", b"1, 2, "),
        (b"HTTP_ACCEPT", b"*/*"),
        (b"HTTP_COOKIE", b"a=1; b=2"),
    ]


def test_content_type_has_no_prefix() -> None:
    made = of(b"Content-Type: text/plain", b"Content-Language: en")
    assert made[b"CONTENT_TYPE"] == b"text/plain"
    assert b"HTTP_CONTENT_TYPE" not in made
    assert made[b"HTTP_CONTENT_LANGUAGE"] == b"en"


def test_a_websocket_handshake_reaches_the_node_only_as_a_tunnel() -> None:
    head = parsed(HANDSHAKE)
    made = dict(variables(head, tunnel=True))
    assert made[b"HTTP_UPGRADE"] == b"websocket", "the one protocol that was agreed to"
    assert made[b"HTTP_CONNECTION"] == b"Upgrade"
    assert made[b"HTTP_SEC_WEBSOCKET_KEY"] == b"dGhlIHNhbXBsZSBub25jZQ=="
    plain = dict(variables(head))
    assert b"HTTP_UPGRADE" not in plain
    assert b"HTTP_CONNECTION" not in plain


def test_another_protocol_in_a_raw_tunnel_is_named_as_the_client_did() -> None:
    head = request(b"Upgrade: irc/2", b"Connection: upgrade")
    assert dict(variables(head, tunnel=True))[b"HTTP_UPGRADE"] == b"irc/2"


def test_server_name_can_be_the_host() -> None:
    connection = connection_block(server_name=None, server_port=b"")
    assert decode_variables(connection) == [
        (b"SCRIPT_NAME", b""),
        (b"SERVER_PORT", b""),
        (b"UWSGI_ROUTER", b"http"),
    ]
    made = variables(request(), connection=connection, server_name_as_host=True)
    at = made.index((b"HTTP_HOST", b"example.com"))
    assert made[at - 1] == (b"SERVER_NAME", b"example.com")
    assert [name for name, _ in made].count(b"SERVER_NAME") == 1
    old = dict(
        variables(
            parsed(b"GET / HTTP/1.0\r\n\r\n"), connection=connection, server_name_as_host=True
        )
    )
    assert b"SERVER_NAME" not in old
    assert b"HTTP_HOST" not in old


def test_http_var_comes_last_and_overrides() -> None:
    extra = encode_variables([(b"HTTP_X_A", b"ours"), (b"UWSGI_SCHEME", b"https")])
    made = variables(request(b"X-A: theirs"), extra=extra)
    assert made[-2:] == [(b"HTTP_X_A", b"ours"), (b"UWSGI_SCHEME", b"https")]
    assert dict(made)[b"HTTP_X_A"] == b"ours"


def test_a_client_who_claims_to_come_from_elsewhere_is_not_believed() -> None:
    head = request(
        b"X-Forwarded-For: 127.0.0.1",
        b"X-Forwarded-Proto: https",
        b"X-Forwarded-Ssl: on",
        b"X-Forwarded-Host: evil.example",
        b"X-Real-IP: 127.0.0.1",
        b"Forwarded: for=127.0.0.1",
        b"X_Forwarded_For: 127.0.0.1",
        b"X-Other: kept",
    )
    made = variables(head, origin_of_request(head, PEER, False, TRUSTED))
    assert [(name, value) for name, value in made if b"FORWARDED" in name or b"REAL" in name] == [
        (b"HTTP_X_FORWARDED_FOR", b"192.0.2.7"),
        (b"HTTP_X_FORWARDED_PROTO", b"http"),
    ]
    assert (b"HTTP_X_OTHER", b"kept") in made
    assert (b"REMOTE_ADDR", b"192.0.2.7") in made
    assert b"HTTPS" not in dict(made)


def test_what_a_trusted_proxy_says_reaches_the_node() -> None:
    head = request(
        b"X-Forwarded-For: 1.1.1.1",
        b"X-Forwarded-Proto: https",
        b"X-Forwarded-Host: public.example",
        b"X-Forwarded-For: 203.0.113.9:99",
        b"X-Forwarded-Port: 443",
        b"X-Real-IP: 203.0.113.9",
        b"X-Forwarded-Prefix: /app",
    )
    made = variables(head, origin_of_request(head, PROXY, True, TRUSTED))
    assert made[9:] == [
        (b"HTTPS", b"on"),
        (b"REMOTE_ADDR", b"203.0.113.9"),
        (b"REMOTE_PORT", b"99"),
        (b"HTTP_HOST", b"example.com"),
        (b"CONTENT_LENGTH", b""),
        (b"HTTP_X_FORWARDED_HOST", b"public.example"),
        (b"HTTP_X_FORWARDED_PORT", b"443"),
        (b"HTTP_X_REAL_IP", b"203.0.113.9"),
        (b"HTTP_X_FORWARDED_PREFIX", b"/app"),
        (b"HTTP_X_FORWARDED_FOR", b"1.1.1.1, 203.0.113.9:99, 10.0.0.1"),
        (b"HTTP_X_FORWARDED_PROTO", b"https"),
    ]


@pytest.mark.parametrize(
    "name",
    [
        b"X-Forwarded-For",
        b"X-Forwarded-Anything",
        b"FORWARDED",
        b"x-real-ip",
        b"X-Forwarded",
        b"X-A",
    ],
)
def test_the_parser_notices_every_field_that_has_to_be_dropped(name: bytes) -> None:
    head = request(name + b": 1")
    assert head.forwarded is not PEER.passes(name.lower())
    made = dict(variables(head))
    assert (made.get(b"HTTP_" + name.upper().replace(b"-", b"_")) == b"1") is not head.forwarded


def test_over_tls_https_is_on() -> None:
    tls = origin_of_peer(("192.0.2.7", 51_342), https=True)
    made = dict(variables(request(), tls))
    assert made[b"HTTPS"] == b"on"
    assert made[b"HTTP_X_FORWARDED_PROTO"] == b"https"


def test_behind_a_unix_socket_the_client_has_uwsgis_address() -> None:
    made = dict(variables(request(), origin_of_peer(("", 0), https=False)))
    assert made[b"REMOTE_ADDR"] == made[b"HTTP_X_FORWARDED_FOR"] == b"0.0.0.0"
    assert made[b"REMOTE_PORT"] == b"0"


def test_a_head_larger_than_a_packet_is_refused() -> None:
    def with_value(size: int) -> bytes:
        head = request(b"X-Large: " + b"x" * size)
        return request_block(head, PEER, CONNECTION, content_length=None)

    room = MAX_DATASIZE - len(with_value(0))
    assert len(with_value(room)) == MAX_DATASIZE
    with pytest.raises(HttpError, match="65536 bytes of variables") as caught:
        with_value(room + 1)
    assert (caught.value.status, caught.value.reason) == (431, "head-too-large")


def test_a_value_that_no_length_field_can_hold_is_refused() -> None:
    head = parse_request(
        b"GET / HTTP/1.1\r\nHost: a\r\nX-A: " + b"x" * 70_000 + b"\r\n\r\n", max_head=100_000
    )
    assert head is not None
    with pytest.raises(HttpError, match="70000 bytes of variables") as caught:
        request_block(head, PEER, CONNECTION, content_length=None)
    assert caught.value.status == 431


def test_ever_new_names_do_not_fill_the_memory() -> None:
    for number in range(5_000):
        of(b"X-Noise-%d: 1" % number, b"X-%d" % number + b"x" * 100 + b": 1")
    assert len(_keys) <= 2_048
    assert max(map(len, _keys)) <= 64
    assert of(b"Content-Type: a/b")[b"CONTENT_TYPE"] == b"a/b"


@LINES_ONLY
def test_remembered_lines_make_the_same_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_remembers", lambda: True)
    heads = [parsed(BROWSER), parsed(HANDSHAKE), *(parsed(vector.raw) for vector in VECTORS)]
    remembered = 0
    for head in heads:
        origin = origin_of_request(head, PROXY, True, TRUSTED) if head.forwarded else PEER
        module._items.clear()
        unknown = variables(head, origin)
        remembered += len(module._items)
        assert variables(head, origin) == unknown
    assert remembered > 10


@LINES_ONLY
def test_ever_new_lines_do_not_fill_the_memory() -> None:
    for number in range(40_000):
        of(b"X-Noise: %d" % number, b"X-Long: " + b"x" * 300)
    assert len(module._items) <= 1_024
    assert max(map(len, module._items)) < 300


@given(valid_requests(), st.booleans())
def test_what_no_client_can_bring_about(data: bytes, trusted: bool) -> None:
    head = parsed(data)
    origin = PROXY
    if head.forwarded:
        origin = origin_of_request(head, PROXY, trusted, TRUSTED)
    made = variables(head, origin)
    check_variables(head, made)
    extra = encode_variables([(b"HTTP_HOST", b"ours"), (b"PATH_INFO", b"/ours")])
    overridden = variables(head, origin, extra=extra)
    assert overridden == [*made, (b"HTTP_HOST", b"ours"), (b"PATH_INFO", b"/ours")]


def check_variables(head: RequestHead, made: list[tuple[bytes, bytes]]) -> None:
    """What holds for every request."""
    names = [name for name, _ in made]
    assert len(set(names)) == len(names), "every name once"
    assert [name for name in names if name.startswith(b"UWSGI")] == [b"UWSGI_ROUTER"]
    values = dict(made)
    for never in (
        *(
            b"HTTP_PROXY",
            b"HTTP_EXPECT",
            b"HTTP_CONTENT_LENGTH",
            b"HTTP_CONTENT_TYPE",
            b"HTTP_CONNECTION",
        ),
        *(
            b"HTTP_TRANSFER_ENCODING",
            b"HTTP_UPGRADE",
            b"HTTP_TE",
            b"HTTP_KEEP_ALIVE",
            b"HTTP_TRAILER",
        ),
        *(b"HTTP_HTTP2_SETTINGS", b"HTTP_PROXY_AUTHORIZATION", b"HTTP_PROXY_CONNECTION"),
    ):
        assert never not in values
    length = head.content_length
    assert values[b"CONTENT_LENGTH"] == (b"" if length is None else str(length).encode())
    assert b".." not in values[b"PATH_INFO"].split(b"/")
    assert values[b"REQUEST_URI"] == head.target
    assert values.get(b"HTTP_HOST", b"") == head.host
    assert values[b"HTTP_X_FORWARDED_FOR"].endswith(b"10.0.0.1")
    assert values[b"HTTP_X_FORWARDED_PROTO"] in {b"http", b"https"}
    allowed = string.ascii_uppercase + string.digits + "_.~"
    assert all(set(name.decode()) <= set(allowed) for name in names)
    assert not any(b"\r" in value or b"\n" in value or b"\0" in value for value in values.values())


#: Vector -> what it must and must not lead to (None: no such variable).
MUST: dict[str, dict[bytes, bytes | None]] = {
    "cl-ows": {b"CONTENT_LENGTH": b"5"},
    "cl-leading-zeros": {b"CONTENT_LENGTH": b"5"},
    "te-underscore": {b"HTTP_TRANSFER_ENCODING": None, b"CONTENT_LENGTH": b"5"},
    "get-with-cl-body": {b"CONTENT_LENGTH": b"5"},
    "chunk-trailers": {b"HTTP_X_CHECK": None},
    "chunk-trailer-forbidden": {b"HTTP_HOST": b"example.com", b"CONTENT_LENGTH": b""},
    "underscore-name": {b"HTTP_X_FORWARDED_FOR": b"1.2.3.4, 10.0.0.1"},
    "proxy-header": {b"HTTP_PROXY": None},
    "dup-cookie": {b"HTTP_COOKIE": b"a=1; b=2"},
    "conn-nominated": {b"HTTP_X_SECRET": None},
    "absolute-form-no-path": {b"PATH_INFO": b"/", b"HTTP_HOST": b"real.example"},
    "options-star": {b"REQUEST_URI": b"*", b"PATH_INFO": b"*"},
    "target-pct-dotdot": {b"PATH_INFO": b"/etc/passwd"},
    "target-dotdot": {b"PATH_INFO": b"/b"},
    "target-double-slash": {b"PATH_INFO": b"//evil.example/x"},
    "h2c-upgrade": {b"HTTP_UPGRADE": None, b"HTTP_HTTP2_SETTINGS": None},
}
#: Those that are about the body's bytes (tested with the body's parsers) or the routing key.
ELSEWHERE = {"te-upper", "chunked-ok", "chunk-ext", "host-upper"}
VECTORS = accepted_vectors()


def test_every_condition_of_the_vectors_is_tested() -> None:
    assert {vector.name for vector in VECTORS if vector.must} == MUST.keys() | ELSEWHERE


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector.name)
def test_recorded_requests(vector: Vector) -> None:
    head = vector.head
    origin = origin_of_request(head, PROXY, True, TRUSTED)
    made = variables(head, origin)
    check_variables(head, made)
    values = dict(made)
    for name, value in MUST.get(vector.name, {}).items():
        assert values.get(name) == value


@given(
    st.lists(
        st.tuples(
            st.sampled_from([b"A", b"a", b"X-Y", b"Sec-Fetch-Mode", b"Content-Type"]),
            st.binary(max_size=20),
        )
    )
)
def test_the_walk_over_fields_makes_the_same_variables(pairs: list[tuple[bytes, bytes]]) -> None:
    lines = [b"%b: %b" % (name, value.translate(None, b"\r\n")) for name, value in pairs]
    block = b"".join(line + b"\r\n" for line in lines)
    assert b"".join(module.walked(block)) == b"".join(module._merged(lines))


def test_values_of_every_size() -> None:
    for size in (0, 1, 255, 256, 1_023, 1_024, 1_025, 65_535):
        value = b"v" * size
        assert (
            b"".join(module.walked(b"A: %b\r\n" % value))
            == module._key(b"HTTP_A") + size.to_bytes(2, "little") + value
        )
    with pytest.raises(HttpError, match="65536"):
        module.walked(b"A: %b\r\n" % (b"v" * 65_536))
