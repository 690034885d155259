"""Command ``get``: one request over uwsgi, as a web server would send it, or over HTTP or https.

The exit status is 0 for an answer below 400, 1 for any other or none, 2 for a command line that
makes no sense. The body goes to standard output, everything else to standard error.
"""

import argparse
import os
import re
import ssl
import sys
from collections.abc import Callable
from io import BytesIO
from typing import BinaryIO
from urllib.parse import unquote_to_bytes

from uwsgi_router.protocol.address import Address, AddressError, InetAddress, parse_address
from uwsgi_router.protocol.control import MAX_TIMEOUT
from uwsgi_router.protocol.text import to_text
from uwsgi_router.protocol.uwsgi import PacketError, encode_packet
from uwsgi_router.router.cli import commands
from uwsgi_router.router.cli.commands import failed, seconds, unread
from uwsgi_router.router.cli.exchange import exchange
from uwsgi_router.router.cli.peer import GetError, Phases, RequestBody
from uwsgi_router.router.cli.tls import TlsClient, tls_client

# An address with a path behind it, as in a URL.
_PATH = re.compile(r"([^/@]+:\d+)(/.*)")
_HEADER = re.compile(r"([A-Za-z0-9-]+): *(.*)")


def main(args: list[str]) -> int:
    """Send one request; return the exit status."""
    parsed = arguments().parse_args(args)
    try:
        if (parsed.cacert or parsed.insecure) and not parsed.address.startswith("https://"):
            raise GetError("--cacert and -k are about https://")
        send = _over_http(parsed) if "://" in parsed.address else _over_uwsgi(parsed)
    except (AddressError, PacketError, GetError) as exc:
        return failed("get", exc, 2)
    try:
        status = send(Phases(parsed.verbose))
    except GetError as exc:
        return failed("get", exc)
    except BrokenPipeError:
        return unread()
    if status == 400 and "://" not in parsed.address:
        # What a server that speaks HTTP says of a packet.
        url = f"http://{parsed.address} {parsed.path or ''}".rstrip()
        print(
            f"uwsgi-router get: this was asked over uwsgi; over HTTP it is {url}", file=sys.stderr
        )
    return 0 if status < 400 else 1


def _over_uwsgi(parsed: argparse.Namespace) -> Callable[[Phases], int]:
    path = _PATH.fullmatch(parsed.address)
    if path is not None:
        raise GetError(
            f"{parsed.address}: write the path behind a blank, {path[1]} {path[2]}; or http://{parsed.address}"
        )
    if parsed.address.isdecimal():
        raise GetError(f"{parsed.address}: for a port write :{parsed.address}")
    address = parse_address(parsed.address)
    body = _open_body(parsed.data)
    extra = parsed.var if parsed.X is None else [f"REQUEST_METHOD={parsed.X}", *parsed.var]
    variables = request_variables(address, parsed.path or "/", parsed.H, extra, body)
    packet = encode_packet(variables)
    bodiless = (b"REQUEST_METHOD", b"HEAD") in variables
    return lambda phases: exchange(address, packet, body, parsed.timeout, phases, bodiless=bodiless)


def _over_http(parsed: argparse.Namespace) -> Callable[[Phases], int]:
    # h11 is loaded only when it is needed.
    from uwsgi_router.router.cli import exchange_http as http  # noqa: PLC0415

    if not parsed.address.startswith((http.SCHEME, http.SECURE)):
        raise GetError(
            f"{parsed.address}: only http://, https:// and the uwsgi protocol are spoken here"
        )
    if parsed.var:
        raise GetError("--var: HTTP has no variables; write header fields with -H")
    url = http.parse_url(parsed.address, parsed.path)
    fields = [_field(text) for text in parsed.H]
    body = _open_body(parsed.data)
    asked = http.request(url, parsed.X or ("GET" if body is None else "POST"), fields, body)
    tls = _tls_of(parsed, http.host_of(asked)) if url.secure else None
    return lambda phases: http.exchange_http(url.address, asked, body, parsed.timeout, phases, tls)


def _tls_of(parsed: argparse.Namespace, name: str) -> TlsClient:
    try:
        return tls_client(name, parsed.cacert, trusting=parsed.insecure)
    except ssl.SSLError as exc:
        raise GetError(f"--cacert {parsed.cacert}: there is no certificate in PEM") from exc
    except OSError as exc:
        raise GetError(f"--cacert {parsed.cacert}: {(exc.strerror or str(exc)).lower()}") from exc


def arguments() -> argparse.ArgumentParser:
    """Return the parser of its command line."""
    parser = commands.parser(
        "get",
        "Send one request over the uwsgi protocol, over HTTP, or over https.",
        "Exit status: 0 for an answer below 400, 1 for any other or none, 2 for wrong use.",
        (
            "uwsgi-router get 127.0.0.1:3031 /path -H www.example.com",
            "uwsgi-router get /run/app.sock / --var SCRIPT_NAME=/app --data body.json",
            "uwsgi-router get http://127.0.0.1:8080/health -v",
            "uwsgi-router get https://127.0.0.1:8443/ -H www.example.com --cacert ca.pem",
        ),
    )
    parser.add_argument(
        "address",
        help="router or node: host:port, [v6]:port, /path or @name; "
        "over HTTP http://host:port/path, or http:// and one of these; https:// likewise",
    )
    parser.add_argument("path", nargs="?", help="with its query (default: /)")
    parser.add_argument("-X", metavar="METHOD", help="the method (GET; POST with --data)")
    parser.add_argument(
        "-H",
        metavar="HOST",
        action="append",
        default=[],
        help="the host to ask for, over TLS too; also any header as 'Name: value' (may be repeated)",
    )
    parser.add_argument(
        "--cacert", metavar="FILE", help="believe these authorities, not the system's (https)"
    )
    parser.add_argument(
        "-k", "--insecure", action="store_true", help="take any certificate (https)"
    )
    parser.add_argument("-v", "--verbose", action="store_true", help="phases and head on stderr")
    parser.add_argument(
        "--var",
        metavar="NAME=VALUE",
        action="append",
        default=[],
        help="set or replace a uwsgi variable (may be repeated; not over HTTP)",
    )
    parser.add_argument(
        "--timeout",
        metavar="SECONDS",
        type=seconds(0.001, MAX_TIMEOUT),
        default=60.0,
        help="how long to wait for each step: connect, send, next bytes (default: 60)",
    )
    parser.add_argument("--data", metavar="FILE", help="send this as a POST body; - is stdin")
    return parser


def _open_body(name: str | None) -> RequestBody | None:
    if name is None:
        return None
    try:
        if name == "-":
            file: BinaryIO = sys.stdin.buffer
        else:
            file = open(name, "rb")  # noqa: SIM115
        if not file.seekable():
            # Its length must be known before the first byte is sent.
            return _in_memory(file.read())
        size = file.seek(0, os.SEEK_END)
        file.seek(0)
    except OSError as exc:
        raise GetError(f"cannot read {name}: {exc.strerror}") from exc
    return RequestBody(file, size)


def _in_memory(content: bytes) -> RequestBody:
    return RequestBody(BytesIO(content), len(content))


def request_variables(
    address: Address, path: str, headers: list[str], extra: list[str], body: RequestBody | None
) -> list[tuple[bytes, bytes]]:
    """Return the variables that a web server would send, in its order.

    Args:
        address: where the request goes; its host is asked for unless ``headers`` names one.
        path: as in a URL, with its query.
        headers: hosts, or headers as ``Name: value``.
        extra: ``NAME=VALUE``, replacing what is there.
        body: what follows.

    Raises:
        GetError: if one of ``extra`` has no ``=``.
    """
    if not path.startswith("/"):
        path = "/" + path
    inet = isinstance(address, InetAddress)
    bare, _, query = path.partition("?")
    variables = {
        "QUERY_STRING": query,
        "REQUEST_METHOD": "GET" if body is None else "POST",
        "CONTENT_TYPE": "" if body is None else "application/octet-stream",
        "CONTENT_LENGTH": "" if body is None else str(body.size),
        "REQUEST_URI": path,
        "PATH_INFO": to_text(unquote_to_bytes(os.fsencode(bare))),
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REQUEST_SCHEME": "http",
        "REMOTE_ADDR": "127.0.0.1",
        "REMOTE_PORT": "0",
        "SERVER_PORT": str(address.port) if isinstance(address, InetAddress) else "80",
        "SERVER_NAME": "localhost",
        "HTTP_HOST": str(address) if inet else "localhost",
    }
    for text in headers:
        name, value = _field(text)
        variables["HTTP_" + name.upper().replace("-", "_")] = value
    for text in extra:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise GetError(f"--var {text}: expected NAME=VALUE")
        variables[name] = value
    return [(os.fsencode(name), os.fsencode(value)) for name, value in variables.items()]


def _field(text: str) -> tuple[str, str]:
    """Read a value of ``-H``: who knows curl writes 'Host: name'; a host alone has no blank after a colon."""
    header = _HEADER.fullmatch(text) if ": " in text else None
    return (header[1], header[2]) if header else ("Host", text)
