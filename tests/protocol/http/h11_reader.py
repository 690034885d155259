"""How h11, which is not ours, reads a request that we made."""

from dataclasses import dataclass

import h11

from uwsgi_router.protocol.http.request_head import RequestHead


@dataclass(frozen=True, slots=True)
class Reading:
    """What h11 saw; ``body`` is what it took for the request's body."""

    method: bytes
    target: bytes
    fields: list[tuple[bytes, bytes]]
    body: bytes


def read_one(head: bytes, body: bytes) -> Reading:
    """Read a head and the body as sent, which have to be one request and nothing more."""
    connection = h11.Connection(h11.SERVER)
    connection.receive_data(head)
    request = connection.next_event()
    assert isinstance(request, h11.Request), request
    found = b""
    event: object = None
    if body:  # b"" would be the end of the connection
        connection.receive_data(body)
    while not isinstance(event, h11.EndOfMessage):
        event = connection.next_event()
        if isinstance(event, h11.Data):
            found += bytes(event.data)
        else:
            assert isinstance(event, h11.EndOfMessage), event
    assert connection.trailing_data == (b"", False)
    fields = [(bytes(name), bytes(value)) for name, value in request.headers]
    return Reading(bytes(request.method), bytes(request.target), fields, found)


def check_read_as(head: RequestHead, made: bytes) -> None:
    """Check that h11 reads ``made`` as this request, with nothing added and a body of its length."""
    length = head.content_length or 0
    body = b"x" * min(length, 100)
    if len(body) != length:
        # Too much to send. The number itself has to be there; with another h11 reads to the end.
        assert made.count(b"\r\nContent-Length: %d\r\n" % length) == 1
        made = made.replace(b"\r\nContent-Length: %d\r\n" % length, b"\r\nContent-Length: 100\r\n")
    reading = read_one(made, body)
    target = b"".join(b"%%%02X" % byte if byte > 127 else bytes((byte,)) for byte in head.target)
    assert (reading.method, reading.target, reading.body) == (head.method, target, body)
    ours = {b"connection", b"upgrade", b"content-length", b"host"}
    assert [field for field in reading.fields if field[0] not in ours] == head.fields
    hosts = [value for name, value in reading.fields if name == b"host"]
    assert hosts == [head.host or b"localhost"]
