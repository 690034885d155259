"""HTTP/1.1 client of ``get``: one request and its answer, read by h11."""

import os
import re
import sys
from dataclasses import dataclass
from typing import Final

import h11

from uwsgi_router.protocol.address import Address, parse_address
from uwsgi_router.router.cli.exchange import MAX_HEAD, not_http
from uwsgi_router.router.cli.peer import GetError, PeerConnection, Phases, RequestBody
from uwsgi_router.router.cli.tls import TlsClient
from uwsgi_router.version import __version__

SCHEME: Final = "http://"
SECURE: Final = "https://"


@dataclass(frozen=True, slots=True)
class Url:
    """URL of a request.

    Attributes:
        address: of the server.
        host: for the Host field.
        target: path and query.
        secure: over TLS.
    """

    address: Address
    host: str
    target: str
    secure: bool = False


def parse_url(text: str, path: str | None) -> Url:
    """Read ``http://HOST[:PORT][/path]``, or ``http:///run/app.sock`` and ``http://@name``, which are UNIX sockets.

    The same with ``https``.

    Args:
        text: the URL.
        path: with its query, if it is given apart, as it has to be for a UNIX socket.

    Raises:
        AddressError: it names no address.
        GetError: it can't be used.
    """
    secure = text.startswith(SECURE)
    rest = text.removeprefix(SECURE if secure else SCHEME)
    if rest.startswith(("/", "@")):
        return Url(parse_address(rest), "localhost", _absolute(path or "/"), secure)
    rest = rest.partition("#")[0]
    end = min(rest.find(mark) if mark in rest else len(rest) for mark in "/?")
    authority, target = rest[:end], rest[end:]
    if not authority:
        raise GetError(f"{text} names no host")
    if "@" in authority:
        raise GetError(
            f"{text}: names and passwords in a URL are not sent; write -H 'Authorization: …'"
        )
    if target not in {"", "/"} and path is not None:
        raise GetError(f"{text} has a path, and {path} is another one")
    has_port = ":" in authority.rpartition("]")[2]
    address = parse_address(authority if has_port else f"{authority}:{443 if secure else 80}")
    # Without a host it is this machine.
    host = "localhost" + authority if authority.startswith(":") else authority
    return Url(address, host, _absolute(path or target or "/"), secure)


def _absolute(path: str) -> str:
    return path if path.startswith("/") else "/" + path


def request(
    url: Url, method: str, fields: list[tuple[str, str]], body: RequestBody | None
) -> h11.Request:
    """Return the request to send.

    Args:
        url: where it goes; its host is asked for unless ``fields`` names one.
        method: GET, POST…
        fields: names and values; they replace ours.
        body: what follows.

    Raises:
        GetError: HTTP has no way to say it.
    """
    ours = {"Host": url.host, "User-Agent": f"uwsgi-router/{__version__}", "Connection": "close"}
    if body is not None:
        ours |= {"Content-Type": "application/octet-stream", "Content-Length": str(body.size)}
    given = {name.lower() for name, _value in fields}
    wanted = [
        *((name, value) for name, value in ours.items() if name.lower() not in given),
        *fields,
    ]
    try:
        return h11.Request(
            method=method,
            target=os.fsencode(url.target),
            headers=[(os.fsencode(name), os.fsencode(value)) for name, value in wanted],
        )
    except h11.LocalProtocolError as exc:
        raise GetError(f"this is no HTTP request: {exc}") from exc


def host_of(asked: h11.Request) -> str:
    """Return the host that a request asks for, without its port: a name, or an address without brackets."""
    host = next((os.fsdecode(value) for name, value in asked.headers if name == b"host"), "")
    return (host if host.endswith("]") else re.sub(r":[0-9]*\Z", "", host)).strip("[]")


def exchange_http(
    address: Address,
    asked: h11.Request,
    body: RequestBody | None,
    timeout: float,
    phases: Phases,
    tls: TlsClient | None = None,
) -> int:
    """Send a request, write the body of its answer to stdout; return its status.

    Args:
        address: where to.
        asked: from :func:`request`.
        body: sent meanwhile, because a server may answer before it has read everything.
        timeout: seconds for each step.
        phases: told of every step.
        tls: what is spoken; None: no TLS.

    Raises:
        GetError: if no whole answer came.
        BrokenPipeError: if nobody reads standard output any more.
    """
    connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=MAX_HEAD)
    head = connection.send(asked)
    if body is None:
        connection.send(h11.EndOfMessage())
    assert head is not None
    with PeerConnection(address, timeout, phases, tls) as peer:
        peer.send(head, "head")
        with peer.sending(body):
            return _Answer(peer, connection).read()


class _Answer:
    """Answer to one request, as it comes."""

    def __init__(self, peer: PeerConnection, connection: h11.Connection) -> None:
        self._peer = peer
        self._connection = connection
        # Until the head is understood: if it can't be, the user wants to see it.
        self._received = b""
        self._started = False

    def read(self) -> int:
        """Write the body to stdout; return the status."""
        head = self._head()
        out, size = sys.stdout.buffer, 0
        while not isinstance(event := self._next(), h11.EndOfMessage):
            assert isinstance(event, h11.Data)
            size += len(event.data)
            out.write(event.data)
        out.flush()
        self._peer.phases.tell(f"complete, {size} bytes of body")
        return head.status_code

    def _head(self) -> h11.Response:
        while True:
            try:
                event = self._next()
            except h11.RemoteProtocolError as exc:
                raise not_http(self._peer, self._received) from exc
            assert isinstance(event, h11.InformationalResponse | h11.Response)
            self._show(event)
            if isinstance(event, h11.Response):
                self._received = b""
                return event

    def _next(self) -> h11.Event:
        connection, peer = self._connection, self._peer
        waiting_for_head = connection.their_state is h11.SEND_RESPONSE
        while True:
            try:
                event = connection.next_event()
            except h11.RemoteProtocolError as exc:
                if waiting_for_head:
                    raise
                raise GetError(
                    f"the answer of {peer.address} is malformed or cut off: {exc}"
                ) from exc
            if event is not h11.NEED_DATA:
                assert not isinstance(event, type)
                return event
            data = peer.receive(started=self._started)
            if not data and not self._started:
                raise GetError(
                    f"{peer.address} closed the connection without an answer; see its log, and leave out http:// if"
                    " it speaks uwsgi"
                )
            self._started = True
            if waiting_for_head:
                self._received += data
            connection.receive_data(data)

    def _show(self, head: h11.InformationalResponse | h11.Response) -> None:
        lines = [b"HTTP/%b %d %b" % (head.http_version, head.status_code, head.reason)]
        lines += [b"%b: %b" % field for field in head.headers.raw_items()]
        self._peer.phases.show_head(b"\r\n".join(lines))
