"""What is fuzzed of the way from uwsgi packets to nodes that speak HTTP."""

from tests.fuzz.packet_targets import block
from tests.fuzz.target import Target, outcome
from tests.protocol.http.h11_reader import check_read_as
from uwsgi_router.protocol.http.errors import HttpError
from uwsgi_router.protocol.http.forward import request_head
from uwsgi_router.protocol.http.from_variables import head_from_variables
from uwsgi_router.protocol.uwsgi import PacketError, decode_variables, encode_variables

_PLAIN = encode_variables(
    [(b"REQUEST_METHOD", b"PUT"), (b"REQUEST_URI", b"/a?b"), (b"HTTP_HOST", b"a.example")]
)


def packet_as_http(data: bytes) -> str:
    """The variables of a packet, alone and behind those of a plain request, for a node that speaks HTTP."""
    return f"{_as_http(data)}, {_as_http(_PLAIN + data)}"


def _as_http(data: bytes) -> str:
    try:
        head = head_from_variables(decode_variables(data))
    except PacketError as exc:
        return outcome(exc)
    except HttpError as exc:
        if not (exc.text.isprintable() and 400 <= exc.status < 600):
            raise AssertionError("this can't be logged or answered") from exc
        return f"{exc.status} {exc.reason}"
    assert not head.chunked
    assert head.size == 0
    made = request_head(head, None, content_length=head.content_length, tunnel=head.websocket)
    check_read_as(head, made)
    return f"accepted {min(len(head.fields), 5)} {head.has_body:d}{head.websocket:d}"


TARGETS = (Target("packet as HTTP", packet_as_http, block),)

#: For the mutations.
WORDS = (
    *(
        b"HTTP_",
        b"HTTP_CONNECTION",
        b"HTTP_UPGRADE",
        b"HTTP_EXPECT",
        b"HTTP_X_FORWARDED_FOR",
        b"CONTENT_TYPE",
    ),
    *(
        b"REQUEST_METHOD",
        b"REQUEST_URI",
        b"PATH_INFO",
        b"QUERY_STRING",
        b"SERVER_PORT",
        b"REMOTE_ADDR",
    ),
    *(
        b"HTTP_TRANSFER_ENCODING",
        b"HTTP_CONTENT_LENGTH",
        b"HTTPS",
        b"REQUEST_SCHEME",
        b"HTTP_PROXY",
    ),
    *(
        b"\r\n",
        b"\n",
        b": ",
        b" HTTP/1.1\r\n",
        b"chunked",
        b"Upgrade",
        b"websocket",
        b"100-continue",
    ),
    *(b"http://", b"%2e", b"%00", b"/../", b"*", b"OPTIONS", b"[::1]", b"192.0.2.7", b", "),
)
