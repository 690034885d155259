"""The uwsgi back: one packet per connection, the answer ends with it."""

from router.request import Request


def request_head(request: Request, modifiers: tuple[int, int] | None) -> bytes:
    """Return the packet for a node: as received, but for its modifiers.

    Args:
        request: with the client's packet.
        modifiers: those of the node; None keeps the client's.

    Everything else is forwarded untouched (wire sheet 1.6): a client over uwsgi is trusted, and nothing is parsed
    twice.
    """
    packet = request.packet
    if modifiers is None or (packet[0] == modifiers[0] and packet[3] == modifiers[1]):
        return packet
    return bytes((modifiers[0],)) + packet[1:3] + bytes((modifiers[1],)) + packet[4:]
