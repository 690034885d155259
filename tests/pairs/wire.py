"""What goes over the wires of a combination: the client's bytes, what a node must read of them, what it says."""

import socket
from dataclasses import dataclass

from tests.pairs.cases import Case
from tests.pairs.rules import (
    CHUNKED,
    EXPECTING,
    Outcome,
    asks_for_upgrade,
    is_stream,
    node_says_continue,
)
from uwsgi_router.protocol.uwsgi import encode_packet

KEY = "example.com"
#: The address of the web server's client.
FAR = "192.0.2.7"
BODY = b"body"
#: The same in chunks, with what nobody passes on.
FIRST_CHUNK = b"2;extension\r\nbo\r\n"
CHUNKS = FIRST_CHUNK + b"2\r\ndy\r\n0\r\nX-Trailer: yes\r\n\r\n"
#: Of streams: what does not wait for an answer, what follows it, and what the node says in between and at the end.
EARLY, LATE, HELLO, BYE = b"early", b"late", b"hello", b"bye"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"

_METHODS = {"none": "GET", "websocket": "GET", "source": "SOURCE", "expect-source": "SOURCE"}
_FIELDS = {
    "empty": ("Content-Length: 0",),
    "length": ("Content-Length: 4",),
    "expect": ("Content-Length: 4", "Expect: 100-continue"),
    "chunked": ("Transfer-Encoding: chunked",),
    "expect-chunked": ("Transfer-Encoding: chunked", "Expect: 100-continue"),
    "expect-raw": ("Expect: 100-continue",),
    "expect-source": ("Expect: 100-continue",),
    "websocket": (
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Version: 13",
    ),
}
_VARIABLES = {
    "empty": {"CONTENT_LENGTH": "0"},
    "length": {"CONTENT_LENGTH": "4"},
    "expect": {"CONTENT_LENGTH": "4", "HTTP_EXPECT": "100-continue"},
    "websocket": {
        "HTTP_CONNECTION": "upgrade",
        "HTTP_UPGRADE": "websocket",
        "HTTP_SEC_WEBSOCKET_KEY": "dGhlIHNhbXBsZSBub25jZQ==",
        "HTTP_SEC_WEBSOCKET_VERSION": "13",
    },
}


@dataclass(frozen=True)
class Head:
    """A head, apart from the order of its fields.

    Attributes:
        start: the first line; of a packet its modifiers.
        fields: names in lower case, and values; of a packet its variables.
    """

    start: str
    fields: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, start: str, *fields: tuple[str, str]) -> "Head":
        return cls(start, tuple(sorted(fields)))


@dataclass(frozen=True)
class Request:
    """What the client sends: ``head`` at once, ``body`` then or when it has been told to go on."""

    method: str
    target: str
    protocol: str
    head: bytes
    body: bytes
    waits: bool


def key_of(case: Case) -> str:
    """Return the key of a case's requests: over HTTP without a Host the machine's name."""
    return socket.gethostname() if case.client == "1.0-" and case.front == "http" else KEY


def method_of(case: Case) -> str:
    if case.body == "rtsp":
        return "OPTIONS"
    return "HEAD" if case.answer == "head" else _METHODS.get(case.body, "POST")


def request_of(case: Case, number: int) -> Request:
    """Return the client's n-th request."""
    method, target = method_of(case), f"/{number}?a=b"
    protocol = f"HTTP/{case.client[:3]}"
    if case.body == "rtsp":
        protocol = "RTSP/1.0"
    bodies = {"none": b"", "empty": b"", "length": BODY, "expect": BODY}
    if case.body == "websocket" and not asks_for_upgrade(case):
        bodies["websocket"] = b""
    body = bodies.get(case.body, CHUNKS if case.body in CHUNKED else EARLY)
    if case.end == "abort":
        body = FIRST_CHUNK if case.body in CHUNKED else BODY[:2]
    if case.front == "uwsgi":
        variables = variables_of(case, number).items()
        head = encode_packet((name.encode(), value.encode()) for name, value in variables)
    else:
        authority = f"rtsp://{KEY}" if case.body == "rtsp" else ""
        lines = [
            f"{method} {authority}{target} {protocol}",
            "X-Test: yes",
            *_FIELDS.get(case.body, ()),
        ]
        if case.client != "1.0-":
            lines.append(f"Host: {KEY}")
        if case.client == "1.0+":
            # An upgrade is a Connection of its own.
            lines.append("Connection: keep-alive")
        head = "\r\n".join((*lines, "", "")).encode()
    waits = case.front == "http" and case.body in EXPECTING and case.client == "1.1"
    return Request(method, target, protocol, head, body, waits)


def prelude_of(case: Case) -> Case:
    """Return the request before the first one, which shares the router's options with it."""
    raw = case.option == "raw-body" or case.body in {"raw", "expect-raw"}
    return Case(
        case.front,
        case.back,
        option="raw-body" if raw else "",
        link=case.link,
        node_link=case.node_link,
    )


def variables_of(case: Case, number: int) -> dict[str, str]:
    """Return what nginx sends with its usual uwsgi_params."""
    variables = {
        "QUERY_STRING": "a=b",
        "REQUEST_METHOD": method_of(case),
        "CONTENT_TYPE": "",
        "CONTENT_LENGTH": "",
        "REQUEST_URI": f"/{number}?a=b",
        "PATH_INFO": f"/{number}",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REQUEST_SCHEME": "https",
        "REMOTE_ADDR": FAR,
        "REMOTE_PORT": "5555",
        "SERVER_PORT": "443",
        "SERVER_NAME": KEY,
        "HTTP_HOST": KEY,
        "HTTP_X_TEST": "yes",
        **_VARIABLES.get(case.body, {}),
    }
    if case.client == "1.0-":
        del variables["HTTP_HOST"]
    return variables


# --- what a node must read ---


def head_for_node(case: Case, outcome: Outcome, number: int, port: int, client: int) -> Head:
    """Return what the node must be told of the n-th request, which came to ``port`` and from the port ``client``."""
    if case.back == "http":
        return _http_head(case, outcome, number, port)
    if case.front == "uwsgi":
        return Head.of("modifiers 0 0", *variables_of(case, number).items())
    return Head.of(
        "modifiers 0 0", *_http_as_variables(case, outcome, number, port, client).items()
    )


def _http_head(case: Case, outcome: Outcome, number: int, port: int) -> Head:
    if case.front == "uwsgi":
        origin = {"x-forwarded-for": FAR, "x-forwarded-proto": "https"}
    else:
        origin = {
            "x-forwarded-for": "127.0.0.1",
            "x-forwarded-proto": "https" if case.link else "http",
            "x-forwarded-host": KEY,
            "x-forwarded-port": str(port),
        }
    known = {"host": KEY, "x-test": "yes", **origin}
    if case.client == "1.0-" and case.front == "http":
        # Over HTTP/1.1 there has to be one. What the client did not say stays absent.
        known["host"] = f"{socket.gethostname()}:{port}"
        del known["x-forwarded-host"]
    if outcome.gets == "length":
        known["content-length"] = "4"
    elif case.body == "empty":
        known["content-length"] = "0"
    elif outcome.gets == "chunked":
        known["transfer-encoding"] = "chunked"
    if node_says_continue(case):
        known["expect"] = "100-continue"
    if asks_for_upgrade(case):
        known |= {
            "connection": "Upgrade",
            "upgrade": "websocket",
        }
    if case.body == "websocket":
        known |= {
            "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
            "sec-websocket-version": "13",
        }
    return Head.of(f"{method_of(case)} /{number}?a=b HTTP/1.1", *known.items())


def _http_as_variables(
    case: Case, outcome: Outcome, number: int, port: int, client: int
) -> dict[str, str]:
    request = request_of(case, number)
    variables = {
        "REQUEST_METHOD": request.method,
        "REQUEST_URI": f"/{number}?a=b",
        "PATH_INFO": f"/{number}",
        "QUERY_STRING": "a=b",
        "SERVER_PROTOCOL": request.protocol,
        "SCRIPT_NAME": "",
        "SERVER_NAME": socket.gethostname(),
        "SERVER_PORT": str(port),
        "UWSGI_ROUTER": "http",
        "REMOTE_ADDR": "127.0.0.1",
        "REMOTE_PORT": str(client),
        "HTTP_HOST": KEY,
        "CONTENT_LENGTH": "4" if outcome.gets == "length" else "",
        "HTTP_X_TEST": "yes",
        "HTTP_X_FORWARDED_FOR": "127.0.0.1",
        "HTTP_X_FORWARDED_PROTO": "https" if case.link else "http",
        "HTTP_X_FORWARDED_HOST": KEY,
        "HTTP_X_FORWARDED_PORT": str(port),
    }
    if case.link:
        variables["HTTPS"] = "on"
    if case.client == "1.0-":
        del variables["HTTP_HOST"], variables["HTTP_X_FORWARDED_HOST"]
    if case.body == "empty":
        variables["CONTENT_LENGTH"] = "0"
    if case.body in CHUNKED and outcome.gets != "length":
        variables["HTTP_TRANSFER_ENCODING"] = "chunked"
        del variables["CONTENT_LENGTH"]
    if asks_for_upgrade(case):
        variables |= {
            "HTTP_CONNECTION": "Upgrade",
            "HTTP_UPGRADE": "websocket",
        }
    if case.body == "websocket":
        variables |= {
            "HTTP_SEC_WEBSOCKET_KEY": "dGhlIHNhbXBsZSBub25jZQ==",
            "HTTP_SEC_WEBSOCKET_VERSION": "13",
        }
    return variables


# --- what a node says ---


@dataclass(frozen=True)
class Said:
    """A node's answer, and whether it ends with the connection."""

    head: bytes
    body: bytes = b""
    closes: bool = False


def said_by(case: Case, name: str) -> Said:
    """Return what the node of this name says to each request."""
    if case.body == "websocket" and is_stream(case):
        lines = ("101 Switching Protocols", "Connection: Upgrade", "Upgrade: websocket")
        return Said(_head(name, *lines))
    body = name.encode()
    length = f"Content-Length: {len(body)}"
    if case.answer == "chunked":
        chunks = b"1\r\n%b\r\n%x\r\n%b\r\n0\r\n\r\n" % (body[:1], len(body) - 1, body[1:])
        return Said(_head(name, "200 OK", "Transfer-Encoding: chunked"), chunks)
    if case.answer == "endless":
        return Said(_head(name, "200 OK"), body, closes=True)
    if case.answer == "204":
        return Said(_head(name, "204 No Content"))
    if case.answer == "304":
        return Said(_head(name, "304 Not Modified", length))
    head = _head(name, "403 Forbidden" if case.answer == "forbidden" else "200 OK", length)
    if case.answer == "early-hints":
        return Said(b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>\r\n\r\n" + head, body)
    return Said(head, b"" if case.answer == "head" else body)


def _head(name: str, status: str, *lines: str) -> bytes:
    return "\r\n".join((f"HTTP/1.1 {status}", f"X-Node: {name}", *lines, "", "")).encode()
