"""A request's head for a node that speaks HTTP, read again by us and by h11."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.protocol.http.h11_reader import read_one
from tests.protocol.http.valid_requests import (
    BROWSER,
    HANDSHAKE,
    Vector,
    accepted_vectors,
    parsed,
    valid_requests,
)
from uwsgi_router.protocol.http.forward import request_head
from uwsgi_router.protocol.http.origin import (
    Origin,
    TrustedPeers,
    origin_of_peer,
    origin_of_request,
)
from uwsgi_router.protocol.http.request_head import RequestHead

PROXY = origin_of_peer(("10.0.0.1", 40_001), https=False)
TRUSTED = TrustedPeers(["10.0.0.0/8"])
OURS = [(b"x-forwarded-for", b"10.0.0.1"), (b"x-forwarded-proto", b"http")]


def forwarded(head: RequestHead, origin: Origin = PROXY) -> bytes:
    """Make the head as it is sent when the body is passed on as it comes."""
    return request_head(
        head,
        origin,
        content_length=head.content_length,
        chunked=head.chunked,
        expect=head.expect_continue,
        tunnel=head.websocket,
    )


def test_a_browsers_request() -> None:
    assert forwarded(parsed(BROWSER)) == BROWSER.replace(
        b"Connection: keep-alive\r\n", b""
    ).replace(b"\r\n\r\n", b"\r\nX-Forwarded-For: 10.0.0.1\r\nX-Forwarded-Proto: http\r\n\r\n")


def test_the_node_is_asked_in_our_version_and_for_the_authority() -> None:
    old = parsed(
        b"GET http://real.example/a?b HTTP/1.0\r\nHost: other\r\nConnection: close\r\n\r\n"
    )
    assert forwarded(old).startswith(b"GET /a?b HTTP/1.1\r\nHost: real.example\r\nX-Forwarded-For")


def test_a_request_without_host_gets_one() -> None:
    head = parsed(b"GET / HTTP/1.0\r\n\r\n")
    assert b"\r\nHost: localhost\r\n" in forwarded(head)
    made = request_head(head, PROXY, content_length=None, default_host=b"web1:8080")
    assert made.startswith(b"GET / HTTP/1.1\r\nHost: web1:8080\r\n")


@pytest.mark.parametrize(
    ("target", "sent"),
    [
        (b"/a%2Fb/../%c3%bc?%zz", b"/a%2Fb/../%c3%bc?%zz"),
        (b"/\xc3\xbc?\xff", b"/%C3%BC?%FF"),
    ],
)
def test_the_target_is_sent_as_it_came_but_in_ascii(target: bytes, sent: bytes) -> None:
    head = parsed(b"GET " + target + b" HTTP/1.1\r\nHost: a\r\n\r\n")
    assert forwarded(head).startswith(b"GET " + sent + b" HTTP/1.1\r\n")


@pytest.mark.parametrize(
    ("length", "chunked", "lines"),
    [
        (None, False, []),
        (0, False, [b"Content-Length: 0"]),
        (70_000, False, [b"Content-Length: 70000"]),
        (None, True, [b"Transfer-Encoding: chunked"]),
        (5, True, [b"Transfer-Encoding: chunked"]),
    ],
)
def test_how_long_the_body_is(length: int | None, chunked: bool, lines: list[bytes]) -> None:
    head = parsed(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0005\r\n\r\n")
    made = request_head(head, PROXY, content_length=length, chunked=chunked).split(b"\r\n")
    assert made[4:-2] == lines
    assert made[-2:] == [b"", b""]


def test_the_node_is_asked_for_a_100_only_if_we_want_one() -> None:
    head = parsed(
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n"
    )
    assert b"Expect" not in request_head(head, PROXY, content_length=5)
    assert b"\r\nExpect: 100-continue\r\n" in request_head(
        head, PROXY, content_length=5, expect=True
    )


def test_an_upgrade_is_asked_for_only_as_a_tunnel_and_to_websocket() -> None:
    head = parsed(HANDSHAKE)
    plain = request_head(head, PROXY, content_length=None)
    assert b"Upgrade" not in plain
    assert b"Connection" not in plain
    made = request_head(head, PROXY, content_length=None, tunnel=True)
    assert made.endswith(b"\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
    assert parsed(made).websocket
    other = parsed(
        b"GET / HTTP/1.1\r\nHost: a\r\nConnection: x-b, upgrade\r\nUpgrade: irc/2\r\nX-B: 1\r\n\r\n"
    )
    made = request_head(other, PROXY, content_length=None, tunnel=True)
    assert made.endswith(b"\r\nConnection: Upgrade\r\nUpgrade: irc/2\r\n\r\n")
    assert b"X-B" not in made


CLAIMS = (
    b"GET / HTTP/1.1\r\nHost: example.com\r\nX-Forwarded-For: 1.1.1.1\r\nX-Forwarded-Host: public.example\r\n"
    b"x-forwarded-proto: https\r\nX_Forwarded_For: 6.6.6.6\r\nX-Forwarded-For: 203.0.113.9\r\nX-Real-IP: 1.1.1.1\r\n"
    b"Forwarded: for=1.1.1.1\r\nAccept: */*\r\nProxy: evil\r\n\r\n"
)


def test_a_client_who_claims_to_come_from_elsewhere_is_not_believed() -> None:
    head = parsed(CLAIMS)
    made = forwarded(head, origin_of_request(head, PROXY, False, TRUSTED))
    assert made == (
        b"GET / HTTP/1.1\r\nHost: example.com\r\nAccept: */*\r\n"
        b"X-Forwarded-For: 10.0.0.1\r\nX-Forwarded-Proto: http\r\n\r\n"
    )


def test_what_a_trusted_proxy_says_reaches_the_node() -> None:
    head = parsed(CLAIMS)
    made = forwarded(head, origin_of_request(head, PROXY, True, TRUSTED))
    assert made == (
        b"GET / HTTP/1.1\r\nHost: example.com\r\nX-Forwarded-Host: public.example\r\nX-Real-IP: 1.1.1.1\r\n"
        b"Forwarded: for=1.1.1.1\r\nAccept: */*\r\n"
        b"X-Forwarded-For: 1.1.1.1, 203.0.113.9, 10.0.0.1\r\nX-Forwarded-Proto: https\r\n\r\n"
    )


def test_without_an_origin_nothing_is_added_and_nothing_dropped() -> None:
    made = request_head(parsed(CLAIMS), None, content_length=None)
    assert made == CLAIMS.replace(b"X_Forwarded_For: 6.6.6.6\r\n", b"").replace(
        b"Proxy: evil\r\n", b""
    )


def body_of(head: RequestHead) -> tuple[bytes, bytes]:
    """Return a body as it is sent, and as it is meant."""
    if head.chunked:
        return b"5\r\nhello\r\n0\r\n\r\n", b"hello"
    body = b"x" * (head.content_length or 0)
    return body, body


def check_same(head: RequestHead, origin: Origin) -> None:
    """The head that a node gets means the same to h11, to our parser, and a second time."""
    made = forwarded(head, origin)
    fields = [(name, value) for name, value in head.fields if origin.passes(name)]
    ours = [(b"x-forwarded-for", origin.forwarded_for), (b"x-forwarded-proto", origin.scheme)]
    sent, meant = body_of(head)
    target = head.target if head.target.isascii() else None

    reading = read_one(made, sent)
    assert (reading.method, reading.body) == (head.method, meant)
    assert target is None or reading.target == target
    hop_by_hop = {b"connection", b"upgrade", b"expect", b"content-length", b"transfer-encoding"}
    host = (b"host", head.host or b"localhost")
    assert [field for field in reading.fields if field[0] not in hop_by_hop] == [
        host,
        *fields,
        *ours,
    ]

    again = parsed(made)
    assert (again.method, again.path, again.size) == (head.method, head.path, len(made))
    assert target is None or (again.target, again.query) == (target, head.query)
    assert (again.host, again.minor) == (host[1], 1)
    assert (again.content_length, again.chunked) == (head.content_length, head.chunked)
    assert (again.expect_continue, again.websocket) == (head.expect_continue, head.websocket)
    assert again.fields == [*fields, *ours]
    assert again.connection == ({b"upgrade"} if head.websocket else frozenset())
    if head.host:
        assert forwarded(again, origin_of_request(again, UNIX, True, TRUSTED)) == made


UNIX = origin_of_peer(("", 0), https=False)


@given(valid_requests() | st.just(HANDSHAKE), st.booleans())
def test_every_reader_reads_the_same_request(data: bytes, trusted: bool) -> None:
    head = parsed(data)
    origin = origin_of_request(head, PROXY, trusted, TRUSTED) if head.forwarded else PROXY
    check_same(head, origin)


@pytest.mark.parametrize("vector", accepted_vectors(), ids=lambda vector: vector.name)
def test_recorded_requests(vector: Vector) -> None:
    check_same(vector.head, origin_of_request(vector.head, PROXY, True, TRUSTED))
