"""The WebSocket handshake, as a node answers it."""

from dataclasses import dataclass, field

import pytest
from wsproto.utilities import generate_accept_token

from uwsgi_router.protocol.http.errors import ResponseError
from uwsgi_router.protocol.http.response import parse_response
from uwsgi_router.protocol.websocket import accept_key, check_handshake

KEY = b"dGhlIHNhbXBsZSBub25jZQ=="
ACCEPT = b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


@dataclass
class Asked:
    """A client's head, as far as it matters."""

    fields: list[tuple[bytes, bytes]] = field(default_factory=list)


def asked(**more: bytes) -> Asked:
    fields = [(b"accept", b"*/*"), (b"sec-websocket-key", KEY), (b"sec-websocket-version", b"13")]
    fields += [(b"sec-websocket-" + name.encode(), value) for name, value in more.items()]
    return Asked(fields)


def check(request: Asked, *lines: bytes, start: bytes = b"101 Switching Protocols") -> None:
    """Check an answer, upgraded and accepted, that has these lines too."""
    raw = [b"HTTP/1.1 " + start, b"Upgrade: WebSocket", b"Connection: Upgrade", *lines, b"", b""]
    response = parse_response(b"\r\n".join(raw))
    assert response is not None
    check_handshake(request, response)


ACCEPTED = b"Sec-WebSocket-Accept: " + ACCEPT


def test_the_key_of_the_rfc() -> None:
    assert accept_key(KEY) == ACCEPT
    assert accept_key(b"AAAAAAAAAAAAAAAAAAAAAA==") == generate_accept_token(b"A" * 22 + b"==")


def test_a_plain_handshake() -> None:
    check(asked(), ACCEPTED)
    check(asked(protocol=b"chat", extensions=b"permessage-deflate"), ACCEPTED)


@pytest.mark.parametrize(
    "lines",
    [
        [],
        [b"Sec-WebSocket-Accept:"],
        [b"Sec-WebSocket-Accept: " + KEY],
        [ACCEPTED.lower()],
        [ACCEPTED, ACCEPTED],
        [ACCEPTED + b", " + ACCEPT],
    ],
)
def test_a_node_that_did_not_read_the_key(lines: list[bytes]) -> None:
    with pytest.raises(ResponseError, match="did not read this handshake"):
        check(asked(), *lines)


def test_without_a_key_nothing_is_accepted() -> None:
    for lines in ([], [ACCEPTED]):
        with pytest.raises(ResponseError, match="did not read this handshake"):
            check(Asked(), *lines)


def test_an_answer_that_is_no_upgrade_to_websocket() -> None:
    with pytest.raises(ResponseError, match="answered 200"):
        check(asked(), ACCEPTED, start=b"200 OK")
    with pytest.raises(ResponseError, match="h2c"):
        check(asked(), ACCEPTED, b"Upgrade: h2c")


@pytest.mark.parametrize("offered", [b"chat", b"superchat, chat", b"superchat,chat ,x"])
def test_a_subprotocol_that_was_offered(offered: bytes) -> None:
    check(asked(protocol=offered), ACCEPTED, b"Sec-WebSocket-Protocol: chat")


def test_subprotocols_in_several_fields() -> None:
    request = asked(protocol=b"superchat")
    request.fields.append((b"sec-websocket-protocol", b"chat"))
    check(request, ACCEPTED, b"sec-websocket-protocol:chat")


@pytest.mark.parametrize(
    "lines",
    [
        [b"Sec-WebSocket-Protocol: other"],
        [b"Sec-WebSocket-Protocol: Chat"],
        [b"Sec-WebSocket-Protocol:"],
        [b"Sec-WebSocket-Protocol: chat, superchat"],
        [b"Sec-WebSocket-Protocol: chat", b"Sec-WebSocket-Protocol: superchat"],
    ],
)
def test_a_subprotocol_that_was_not_offered(lines: list[bytes]) -> None:
    with pytest.raises(ResponseError, match="subprotocol"):
        check(asked(protocol=b"chat, superchat"), ACCEPTED, *lines)


def test_extensions() -> None:
    offered = b"permessage-deflate; client_max_window_bits, x-other"
    chosen = b"Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover"
    check(asked(extensions=offered), ACCEPTED, chosen)
    check(asked(extensions=offered), ACCEPTED, chosen, b"Sec-WebSocket-Extensions: x-other")
    for more in (b"Sec-WebSocket-Extensions: x-new", chosen + b", x-new; a=b"):
        with pytest.raises(ResponseError, match="'x-new', which was not offered"):
            check(asked(extensions=offered), ACCEPTED, more)
    with pytest.raises(ResponseError, match="permessage-deflate"):
        check(asked(), ACCEPTED, chosen)
