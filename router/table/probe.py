"""Health check of one node: connect, ask, read the answer.

A check has nothing to do with the node's requests: it counts as none, marks no failed connect, and
takes none of the connections that the node may have.
"""

import asyncio
import re
from contextlib import closing
from typing import Final

import h11

from uwsgi_router.protocol.address import InetAddress
from uwsgi_router.protocol.http.health import health_fields
from uwsgi_router.protocol.uwsgi import HEADER_SIZE, MODIFIER_PING, encode_header
from uwsgi_router.router.certificates.nodes import NodeTls
from uwsgi_router.router.config.health_checks import Checks
from uwsgi_router.router.net.connect import BUSY, SHORTAGE, Endpoint, begin, endpoint
from uwsgi_router.router.net.resolver import Resolver
from uwsgi_router.router.table.probe_connection import ProbeConnection, connection
from uwsgi_router.subscriptions.node import SubscribedNode

PING: Final = encode_header(MODIFIER_PING, 0)
USER_AGENT: Final = "uwsgi-router-check"
#: Bytes of an answer that are read; what follows does not matter.
MAX_ANSWER: Final = 65_536

_CHUNK: Final = 16_384
_HOST = re.compile(rb"[A-Za-z0-9._~:\[\]-]+")


class _Failed(Exception):
    """Failure of a check; ``str()`` says why."""


async def probe(
    node: SubscribedNode, checks: Checks, resolver: Resolver, tls: NodeTls
) -> str | None:
    """Check the health of a node.

    Args:
        node: it.
        checks: what is asked, and what for an answer will do.
        resolver: for a node whose address is a name.
        tls: for a node that speaks TLS: it is verified as by requests.

    Returns:
        "" if it passes, why it does not (one line, nothing of it the node's words), or None if that
        can't be told: its queue is full, or this machine has run out of something.
    """
    try:
        async with asyncio.timeout(checks.timeout):
            await _ask(node, checks, resolver, tls)
    except TimeoutError:
        return f"no answer within {checks.timeout:g} s"
    except OSError as exc:
        if exc.errno in BUSY or exc.errno in SHORTAGE:
            return None
        return exc.strerror or str(exc)
    except _Failed as exc:
        return str(exc)
    return ""


async def _ask(node: SubscribedNode, checks: Checks, resolver: Resolver, tls: NodeTls) -> None:
    """Check that the node answers well.

    Raises:
        OSError: from the kernel.
        _Failed: it answers, and not well.
    """
    http = None if not node.is_http else h11.Connection(h11.CLIENT)
    data = PING if http is None else _request(http, host_of(node, checks), checks)
    with closing(await _sent(node, data, resolver, tls)) as connected:
        if http is None:
            await _read_pong(connected)
        else:
            await _read_response(connected, http, checks)


async def _sent(
    node: SubscribedNode, data: bytes, resolver: Resolver, tls: NodeTls
) -> ProbeConnection:
    """Return a connection that has taken ``data``, to the first address of the node that does.

    Raises:
        OSError: there is none; the last one's reason.
    """
    known = endpoint(node.address)
    endpoints: list[Endpoint]
    if known is not None:
        endpoints = [known]
    else:
        assert isinstance(node.address, InetAddress)
        endpoints = await resolver.resolve(node.address)
    error = OSError("its name has no address")
    for where in endpoints:
        try:
            sock, _connected = begin(where, node.socket_owner)
            try:
                made = connection(node, sock, tls)
                # Waits for the connection, too.
                await made.send(data)
            except BaseException:
                sock.close()
                raise
        except OSError as exc:
            error = exc
        else:
            return made
    raise error


async def _read_pong(connected: ProbeConnection) -> None:
    data = b""
    while len(data) < HEADER_SIZE:
        more = await connected.recv(HEADER_SIZE - len(data))
        if not more:
            raise _Failed("it ended the connection without an answer to the ping")
        data += more
    if data == b"HTTP":
        raise _Failed("it speaks HTTP, and did not announce that (proto=http)")
    if data[0] != MODIFIER_PING:
        raise _Failed("what it sent is no answer to a ping")


def host_of(node: SubscribedNode, checks: Checks) -> bytes:
    """Return the Host for the question, as the node's clients send it.

    Of a key with a mountpoint that is the part before the path, of ``.example.com`` the domain. A key that is no
    host at all must not become part of a request: then it is ``localhost``.
    """
    if checks.host is not None:
        return checks.host.encode()
    host = node.key.split(b"/", 1)[0].lstrip(b".")
    return host if _HOST.fullmatch(host) else b"localhost"


def _request(http: h11.Connection, host: bytes, checks: Checks) -> bytes:
    assert checks.path is not None
    fields = health_fields(host.decode("ascii"), USER_AGENT)
    head = http.send(h11.Request(method=b"GET", target=checks.path.encode(), headers=fields))
    end = http.send(h11.EndOfMessage())
    assert head is not None
    assert end is not None
    return head + end


async def _read_response(connected: ProbeConnection, http: h11.Connection, checks: Checks) -> None:
    size = 0
    try:
        while size < MAX_ANSWER:
            event = http.next_event()
            if event is h11.NEED_DATA:
                data = await connected.recv(_CHUNK)
                size += len(data)
                http.receive_data(data)
            elif isinstance(event, h11.Response):
                status = event.status_code
                if not any(low <= status <= high for low, high in checks.statuses):
                    raise _Failed(f"it answered {status} to GET {checks.path}")
            elif isinstance(event, h11.EndOfMessage):
                return
    except h11.RemoteProtocolError:
        # Its text has the node's own bytes in it.
        how = "is broken off, or no HTTP/1" if size else "is missing: it ended the connection"
        raise _Failed(f"its answer to GET {checks.path} {how}") from None
    if http.their_state is not h11.SEND_BODY:
        raise _Failed(f"its answer to GET {checks.path} does not begin")
