"""Readers of the values of options about zerg pools."""

from uwsgi_router.router.config.types import ZergPool
from uwsgi_router.router.config.values import LISTEN, SOCKET_PATH, Kind


def _pool(text: str) -> ZergPool:
    path, colon, addresses = text.partition(":")
    if not (colon and path and addresses):
        raise ValueError("expected PATH:ADDRESS[,ADDRESS], the path of a UNIX socket first")
    SOCKET_PATH.parse(path)
    listen = tuple(addresses.split(","))
    for one in listen:
        LISTEN.parse(one)
    return ZergPool(path, listen)


ZERG_POOL = Kind("PATH:ADDRESS,…", _pool)
