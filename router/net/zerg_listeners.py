"""Listeners whose sockets a zerg server gives."""

import socket
from typing import Final

from uwsgi_router.router.config.model import ProcessConfig
from uwsgi_router.router.net.activation import Inherited
from uwsgi_router.router.net.listeners import (
    BindError,
    BoundSocket,
    given,
    listening,
    show_sockaddr,
)
from uwsgi_router.router.net.zerg import take_sockets

#: Before the path of a zerg server, where sockets are asked for by text.
ZERG: Final = "zerg="


def bind_zerg(path: str, process: ProcessConfig, inherited: Inherited) -> list[BoundSocket]:
    """Listen on the sockets that a zerg server gives.

    Args:
        path: of the server's UNIX socket.
        process: backlog of those that do not listen yet.
        inherited: who takes the sockets for us, if somebody does.

    Raises:
        BindError: with path and reason.
    """
    text = f"{ZERG}{path}"
    found = given(socket.SOCK_STREAM, text, process, inherited)
    return take_zerg(text, process) if found is None else found


def take_zerg(text: str, process: ProcessConfig) -> list[BoundSocket]:
    """Take the sockets of a zerg server; arguments and errors as of :func:`bind_zerg`, with :data:`ZERG` before."""
    path = text.removeprefix(ZERG)
    try:
        sockets = take_sockets(path)
    except OSError as exc:
        raise BindError(
            f"cannot take sockets of the zerg server {path}: {exc.strerror or exc}"
        ) from exc
    bound = []
    for sock in sockets:
        if sock.type != socket.SOCK_STREAM:
            raise BindError(f"the zerg server {path} gives a socket that is not for streams")
        name = show_sockaddr(sock.getsockname())
        bound.append(BoundSocket(listening(sock, name, process), name, inherited=True))
    return bound
