"""Readers of the HTTP router's options."""

from uwsgi_router.router.config import values
from uwsgi_router.router.config.types import RedirectListener
from uwsgi_router.router.config.values import (
    BYTES,
    LISTEN,
    Kind,
    integer,
    networks,
    seconds,
    switch_or,
)

# Code that a node runs, and its caches (the same that keep-modifiers refuses); for 123 uWSGI does not parse bodies.
_REFUSED_MODIFIERS = frozenset({22, 110, 111, 123, 173})
_MODIFIER = integer("N", 0, 255)


def _modifier1(text: str) -> object:
    if _MODIFIER.parse(text) in _REFUSED_MODIFIERS:
        raise ValueError(
            "expected a modifier for requests: 22, 110, 111 and 173 let clients run code or change caches on a node,"
            " and for 123 there is http-raw-body"
        )
    return _MODIFIER.parse(text)


def _redirect(text: str) -> RedirectListener:
    address, comma, port = text.rpartition(",")
    if not comma or not (port.isascii() and port.isdigit()):
        LISTEN.parse(text)
        return RedirectListener(text)
    LISTEN.parse(address)
    number = integer("PORT", 1, 65_535).parse(port)
    assert isinstance(number, int)
    return RedirectListener(address, number)


def _error_page(text: str) -> tuple[int, str]:
    status, mark, file = text[:3], text[3:4], text[4:]
    if mark not in (":", "=") or not file or not (status.isascii() and status.isdigit()):
        raise ValueError("expected STATUS:FILE, for example 502:/srv/errors/502.html")
    if not 400 <= int(status) <= 599:
        raise ValueError("expected a status from 400 to 599 before the file")
    return int(status), file


def _trusted(text: str) -> list[str]:
    return [] if text.strip() == "none" else networks(text)


MODIFIER = _MODIFIER
MODIFIER1 = Kind("N", _modifier1)
REDIRECT = Kind("ADDRESS[,PORT]", _redirect)
ERROR_PAGE = Kind("STATUS:FILE", _error_page)
TRUSTED = Kind("NETWORK,…", _trusted)
KEEPALIVE = switch_or(seconds(), on=0.0, off=None)
EXPECT = switch_or(BYTES, on=0, off=0)
ACCESS_LOG = switch_or(values.FILE, on="", off=None)
PROXY_PROTOCOL = switch_or(Kind("NETWORK,…", networks), on=(), off=None)
PROXY_PROTOCOL_SWITCH = Kind(
    "", lambda text: () if values.SWITCH.parse(text) else None, values.Argument.NONE, boolean=True
)
