"""Clients of routers that run in a test's program."""

import asyncio
import socket
from typing import Any

from tests.lab.clients import Peer
from tests.lab.messages import request
from uwsgi_router.router.api import RouterFast, RouterHttp

ANY_PORT = "127.0.0.1:0"


async def connect(address: str) -> Peer:
    """Connect to ``host:port`` or to a path."""
    host, _, port = address.rpartition(":")
    peer = Peer(socket.socket() if host else socket.socket(socket.AF_UNIX))
    where: Any = (host, int(port)) if host else address
    try:
        await asyncio.get_running_loop().sock_connect(peer.sock, where)
    except OSError:
        peer.close()
        raise
    return peer


async def ask(router: RouterFast | RouterHttp, data: bytes | None = None) -> bytes:
    """Send a request, over uwsgi if it is not given, and return the answer."""
    peer = await connect(router.addresses[0])
    await peer.send(data or request())
    answer = await peer.rest()
    peer.close()
    return answer
