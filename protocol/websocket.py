"""WebSocket handshake: checks of the 101 that a node answers (RFC 6455, 4.1 and 4.2.2).

What a request must say is part of reading requests (``http/request.py``). Frames are not read here.
"""

import hashlib
from base64 import b64encode
from typing import Protocol

from uwsgi_router.protocol.http.errors import ResponseError

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class HandshakeRequest(Protocol):
    """Request head as far as the handshake needs it."""

    @property
    def fields(self) -> list[tuple[bytes, bytes]]:
        """(lower-case name, value) of each field."""


class HandshakeResponse(Protocol):
    """Response head as far as the handshake needs it."""

    @property
    def status(self) -> int:
        """The status code."""

    @property
    def upgrade(self) -> bytes:
        """The value of Upgrade; b"" without one."""

    @property
    def lines(self) -> list[bytes]:
        """``Name: value`` of each field."""


def accept_key(key: bytes) -> bytes:
    """Return the Sec-WebSocket-Accept that proves that a server has read this Sec-WebSocket-Key."""
    return b64encode(hashlib.sha1(key + _GUID, usedforsecurity=False).digest())


def check_handshake(request: HandshakeRequest, response: HandshakeResponse) -> None:
    """Check that an answer accepts the WebSocket that the request asked for, and nothing else.

    Args:
        request: the client's head, a valid handshake.
        response: the node's head, a 101.

    Raises:
        ResponseError: if it is no 101 to ``websocket``, if Sec-WebSocket-Accept is not the key's, or if it chose a
            subprotocol or an extension that the client did not offer.
    """
    if response.status != 101 or response.upgrade.lower() != b"websocket":
        raise ResponseError(
            f"the node answered {response.status} and Upgrade {response.upgrade[:40]!r} to a WebSocket handshake, "
            "not 101 and 'websocket'"
        )
    offered: dict[bytes, list[bytes]] = {}
    for name, value in request.fields:
        if name.startswith(b"sec-websocket-"):
            offered.setdefault(name, []).append(value)
    chosen: dict[bytes, list[bytes]] = {}
    for line in response.lines:
        name, _, value = line.partition(b":")
        chosen.setdefault(name.lower(), []).append(value.strip(b" \t"))

    expected = [accept_key(key) for key in offered.get(b"sec-websocket-key", [])]
    accept = chosen.get(b"sec-websocket-accept", [])
    if len(accept) != 1 or accept != expected:
        raise ResponseError(
            f"the node's Sec-WebSocket-Accept is {b', '.join(accept)[:40]!r}, not what the client's key asks for: "
            "it did not read this handshake"
        )
    subprotocols = chosen.get(b"sec-websocket-protocol", [])
    if len(subprotocols) > 1 or not set(subprotocols) <= _listed(
        offered, b"sec-websocket-protocol"
    ):
        raise ResponseError(
            f"the node chose the WebSocket subprotocol {b', '.join(subprotocols)[:40]!r}, which was not offered"
        )
    added = _listed(chosen, b"sec-websocket-extensions") - _listed(
        offered, b"sec-websocket-extensions"
    )
    if added:
        raise ResponseError(
            f"the node chose the WebSocket extension {min(added)[:40]!r}, which was not offered"
        )


def _listed(fields: dict[bytes, list[bytes]], name: bytes) -> set[bytes]:
    """Return the members of a list field, without their parameters."""
    values = fields.get(name, ())
    members = {
        item.partition(b";")[0].strip(b" \t") for value in values for item in value.split(b",")
    }
    return members - {b""}
