"""uwsgi back: the packet as received, but for its modifiers."""

import pytest

from uwsgi_router.protocol.address import UnixAddress
from uwsgi_router.protocol.uwsgi import decode_header, encode_packet
from uwsgi_router.router.backs.uwsgi import UwsgiBack
from uwsgi_router.router.fronts.uwsgi.parser import UwsgiParser
from uwsgi_router.router.fronts.uwsgi.request import UwsgiRequest
from uwsgi_router.subscriptions.node import Node

PACKET = encode_packet([(b"HTTP_HOST", b"h"), (b"A", b"b" * 300)], 5, 7)


def request(*, keep_modifiers: bool = False) -> UwsgiRequest:
    read = UwsgiParser(force_key=None, keep_modifiers=keep_modifiers).parse(PACKET + b"body", "")
    assert read is not None
    return read


def node(modifiers: tuple[int, int]) -> Node:
    return Node("n", UnixAddress(b"/n"), modifier1=modifiers[0], modifier2=modifiers[1])


@pytest.mark.parametrize("modifiers", [(0, 0), (5, 0), (0, 7), (5, 7), (255, 255)])
def test_only_the_modifiers_change(modifiers: tuple[int, int]) -> None:
    sent = UwsgiBack(opaque=True).request_head(request(), node(modifiers))
    assert decode_header(sent) == (modifiers[0], len(PACKET) - 4, modifiers[1])
    assert sent[4:] == PACKET[4:]


def test_the_web_servers_modifiers_are_kept_if_so_configured() -> None:
    sent = UwsgiBack(opaque=True).request_head(request(keep_modifiers=True), node((1, 2)))
    assert sent == PACKET
