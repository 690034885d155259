"""The table of options: every name that uWSGI 2.0.31 knows, and ours."""

import difflib
from collections.abc import Mapping
from functools import cache
from typing import Final

from uwsgi_router.router.config import language, unsupported
from uwsgi_router.router.config.emperor import EMPEROR, EmperorConfig
from uwsgi_router.router.config.http import HttpRouterConfig
from uwsgi_router.router.config.jails import (
    FORKPTY,
    PTY,
    TUNTAP,
    ForkptyConfig,
    PtyConfig,
    TunTapConfig,
)
from uwsgi_router.router.config.option import Option, Scope, options_of
from uwsgi_router.router.config.process import CACHES, ProcessConfig
from uwsgi_router.router.config.raw import RawRouterConfig, SslRouterConfig
from uwsgi_router.router.config.router import RouterConfig
from uwsgi_router.router.config.subscription import SUBSCRIPTIONS, SubscriptionConfig
from uwsgi_router.router.config.tls import TLS, TlsConfig
from uwsgi_router.router.config.vassal import PROCESS

_FASTROUTER: Final = "fastrouter"
_HTTP: Final = "HTTP router"
_RAW: Final = "raw router"
_SSL: Final = "SSL router"
# The prefix of a router's options, by their heading.
ROUTERS: Final = {
    _FASTROUTER: "fastrouter",
    _HTTP: "http",
    _RAW: "rawrouter",
    _SSL: "sslrouter",
    FORKPTY: "forkptyrouter",
    TUNTAP: "tuntap",
}


@cache
def spelled_out() -> tuple[Option, ...]:
    """Return the options with a help text of their own, in the order of the help."""
    fastrouter, http, raw, ssl, jails, others = _working()
    return (
        *fastrouter,
        *unsupported.options_of("fastrouter", _FASTROUTER),
        *http,
        *unsupported.options_of("http", _HTTP),
        *raw,
        *unsupported.options_of("rawrouter", _RAW),
        *ssl,
        *unsupported.options_of("sslrouter", _SSL),
        *jails,
        *unsupported.options_of("forkptyrouter", FORKPTY),
        *others,
    )


@cache
def _working() -> tuple[tuple[Option, ...], ...]:
    """Return the options that work: of each router, of routers for jails, others."""
    process = options_of(ProcessConfig, "process", PROCESS, Scope.PROCESS)
    others = (
        *(one for one in process if one.group == CACHES),
        *(one for one in process if one.group != CACHES),
        *options_of(TlsConfig, "tls", TLS, Scope.PROCESS),
        *options_of(EmperorConfig, "emperor", EMPEROR, Scope.PROCESS),
        *options_of(SubscriptionConfig, "subscription", SUBSCRIPTIONS, Scope.PROCESS),
        *language.OPTIONS,
    )
    fastrouter = options_of(
        RouterConfig, "fastrouter", _FASTROUTER, Scope.SITE, prefix="fastrouter"
    )
    http = options_of(HttpRouterConfig, "http", _HTTP, Scope.SITE, prefix="http")
    raw = options_of(RawRouterConfig, "rawrouter", _RAW, Scope.SITE, prefix="rawrouter")
    ssl = options_of(SslRouterConfig, "sslrouter", _SSL, Scope.SITE, prefix="sslrouter")
    jails = (
        *options_of(ForkptyConfig, "forkpty", FORKPTY, Scope.ROUTER),
        *options_of(TunTapConfig, "tuntap", TUNTAP, Scope.ROUTER),
        *options_of(PtyConfig, "pty", PTY, Scope.PROCESS),
    )
    return tuple(fastrouter), tuple(http), tuple(raw), tuple(ssl), jails, others


@cache
def _working_names() -> Mapping[str, Option]:
    return {name: one for part in _working() for one in part for name in one.names}


@cache
def names() -> Mapping[str, Option]:
    """Return every option by each of its names."""
    found: dict[str, Option] = {}
    for one in _all():
        for name in one.names:
            assert name not in found, name
            found[name] = one
    return found


@cache
def letters() -> Mapping[str, Option]:
    """Return the options that have a letter, by it."""
    found: dict[str, Option] = {}
    for one in _all():
        if one.short:
            assert one.short not in found, one.short
            found[one.short] = one
    return found


def _all() -> tuple[Option, ...]:
    return (
        *spelled_out(),
        *(one for topic in unsupported.topics() for one in topic.options),
    )


def find(name: str) -> Option | None:
    """Return the option of this name or alias."""
    # Reading what does not work costs more than the rest of the table, and most files have none of it.
    return _working_names().get(name) or names().get(name)


def nearest(name: str) -> str | None:
    """Return the known name that looks most like this one, if any does."""
    wanted = name.lower().replace("_", "-")
    close = difflib.get_close_matches(wanted, names(), n=1, cutoff=0.75)
    return close[0] if close else None
