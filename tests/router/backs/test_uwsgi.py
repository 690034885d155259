"""What a node is sent: the packet as received, but for its modifiers (routers-core sheet 2.3)."""

import pytest

from protocol.uwsgi import decode_header, encode_packet
from router.backs.uwsgi import request_head
from router.fronts.uwsgi import UwsgiFront
from router.request import Request

PACKET = encode_packet([(b"HTTP_HOST", b"h"), (b"A", b"b" * 300)], 5, 7)


def request() -> Request:
    read = UwsgiFront(force_key=None, keep_modifiers=False).parse(PACKET + b"body", "")
    assert read is not None
    return read


@pytest.mark.parametrize("modifiers", [(0, 0), (5, 0), (0, 7), (5, 7), (255, 255)])
def test_only_the_modifiers_change(modifiers: tuple[int, int]) -> None:
    sent = request_head(request(), modifiers)
    assert decode_header(sent) == (modifiers[0], len(PACKET) - 4, modifiers[1])
    assert sent[4:] == PACKET[4:]


def test_none_keeps_the_web_servers() -> None:
    assert request_head(request(), None) == PACKET
