"""The HTTP router's options: uWSGI 2.0.31's, those that its unreleased line adds, and ours.

Source: uWSGI: plugins/http/http.c. Defaults are those of ``router.config.HttpRouterConfig``.
"""

from uwsgi_router.router.config import values
from uwsgi_router.router.config.model import RedirectListener
from uwsgi_router.router.config.option import Option
from uwsgi_router.router.config.routers import RouterOptions
from uwsgi_router.router.config.values import (
    BYTES,
    LISTEN,
    MAX_BYTES,
    SECONDS,
    SWITCH,
    SWITCH_WORD,
    Kind,
    integer,
    networks,
    seconds,
    switch_or,
)

GROUP = "HTTP router"
_HTTP = RouterOptions("http", GROUP)

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


_KEEPALIVE = switch_or(seconds(), on=0.0, off=None)
_EXPECT = switch_or(BYTES, on=0, off=0)
_ACCESS_LOG = switch_or(values.FILE, on="", off=None)
_PROXY_PROTOCOL = switch_or(Kind("NETWORK,…", networks), on=(), off=None)

_CLIENTS = (
    Option(
        name="http",
        kind=LISTEN,
        target="http.listen",
        help="Listen here for HTTP.",
        group=GROUP,
        aliases=("httprouter",),
        repeatable=True,
    ),
    _HTTP.works(
        "to-https",
        Kind("ADDRESS[,PORT]", _redirect),
        "redirects",
        "Listen here, and redirect every request to https, at this port (443).",
        repeatable=True,
    ),
    _HTTP.works(
        "enable-proxy-protocol",
        _PROXY_PROTOCOL,
        "proxy_protocol",
        "Connections begin with a PROXY header (version 1 or 2): all, or those from these networks (or unix).",
    ),
    Option(
        name="enable-proxy-protocol",
        kind=Kind(
            "", lambda text: () if values.is_on(text) else None, values.Argument.NONE, boolean=True
        ),
        target="any-http.proxy_protocol",
        help="The same as http-enable-proxy-protocol, where there is an HTTP router.",
        group=GROUP,
    ),
    _HTTP.works(
        "trusted-proxy",
        Kind("NETWORK,…", _trusted),
        "trusted_proxies",
        "Believe X-Forwarded fields from here; unix: UNIX sockets, none: nobody (127.0.0.0/8, ::1, unix).",
        repeatable=True,
    ),
    _HTTP.works(
        "keepalive",
        _KEEPALIVE,
        "keepalive",
        "Let a connection serve several requests, and wait so long for the next (off; without a value http-timeout).",
    ),
    _HTTP.works(
        "headers-timeout",
        SECONDS,
        "headers_timeout",
        "Seconds in which a whole head has to arrive (as http-timeout).",
    ),
    _HTTP.works(
        "max-head",
        integer("BYTES", 1024, 1024 * 1024),
        "max_head",
        "Answer 431 to a head that is larger (65536).",
    ),
    _HTTP.works(
        "max-fields",
        integer("N", 1, 10_000),
        "max_fields",
        "Answer 431 to a head with more fields (200).",
    ),
    _HTTP.works(
        "body-limit",
        integer("BYTES", 1, MAX_BYTES, zero=MAX_BYTES),
        "body_limit",
        "Answer 413 to a request whose body is larger (1073741824; 0: no limit).",
    ),
    _HTTP.works(
        "body-rate",
        BYTES,
        "body_rate",
        "Bytes a second that a body has to keep up over 30 s (500; 0: any).",
    ),
    _HTTP.works(
        "manage-expect",
        _EXPECT,
        "manage_expect",
        "Answer 413 to a client that waits for 100 Continue with a larger body (100 is sent without this option, too).",
    ),
)

_REQUESTS = (
    _HTTP.works(
        "modifier1",
        Kind("N", _modifier1),
        "modifier1",
        "Send this modifier to nodes instead of their own (0: their own).",
    ),
    _HTTP.works(
        "modifier2",
        _MODIFIER,
        "modifier2",
        "Send this second modifier instead of theirs (0: theirs).",
    ),
    _HTTP.works(
        "var",
        values.ASSIGNMENT,
        "variables",
        "Send this variable to nodes, in place of a request's own of that name.",
        repeatable=True,
    ),
    _HTTP.works(
        "server-name-as-http-host",
        SWITCH_WORD,
        "server_name_as_http_host",
        "SERVER_NAME is what the client wrote as Host, and not this machine's name.",
    ),
    _HTTP.works(
        "chunked-input",
        SWITCH,
        "chunked_input",
        "Pass chunked bodies on as they come, in chunks; otherwise they are read whole, and get a length.",
    ),
    _HTTP.works(
        "raw-body",
        SWITCH,
        "raw_body",
        "Pass on everything that follows a head without a length, both ways, until one side closes.",
    ),
    _HTTP.works(
        "websockets", SWITCH, "websockets", "Open a tunnel when a node accepts a WebSocket."
    ),
    _HTTP.works(
        "websocket-timeout",
        SECONDS,
        "websocket_timeout",
        "End a tunnel that was silent in both directions for so long (3600).",
    ),
    _HTTP.works(
        "websocket-check",
        SWITCH,
        "websocket_check",
        "Check the handshake's answer and every frame, and end a WebSocket that breaks the rules.",
    ),
    _HTTP.works(
        "websocket-max-frame",
        integer("BYTES", 125, MAX_BYTES),
        "websocket_max_frame",
        "With http-websocket-check: the largest frame (1048576).",
    ),
    _HTTP.works(
        "websocket-max-message",
        integer("BYTES", 125, MAX_BYTES),
        "websocket_max_message",
        "With http-websocket-check: the largest message (16777216).",
    ),
    _HTTP.works(
        "manage-source", SWITCH, "manage_source", "The same as http-raw-body for the method SOURCE."
    ),
    _HTTP.works(
        "manage-rtsp",
        SWITCH,
        "manage_rtsp",
        "Understand RTSP/1.0: its target names the key, and what follows is passed on as with http-raw-body.",
    ),
)

_ANSWERS = (
    _HTTP.works(
        "auto-chunked",
        SWITCH,
        "auto_chunked",
        "With http-keepalive: chunk an answer without a length, so that the connection can be kept.",
    ),
    _HTTP.works(
        "auto-gzip",
        SWITCH,
        "auto_gzip",
        "Compress an answer without a length whose node says uWSGI-Encoding: gzip.",
    ),
    _HTTP.works(
        "response-buffering",
        BYTES,
        "response_buffering",
        "Take up to this much of an answer from its node although the client reads slowly (0: 256 KiB).",
    ),
    _HTTP.works(
        "errors",
        values.choice("close", "http"),
        "errors",
        "When a request fails: answer with the status that says why, or close, as uWSGI does (http).",
    ),
    _HTTP.works(
        "error-page",
        Kind("STATUS:FILE", _error_page),
        "error_pages",
        "What such an answer with this status has in its body.",
        repeatable=True,
    ),
    _HTTP.works(
        "access-log",
        _ACCESS_LOG,
        "access_log",
        "Log every request in this file; without a value on standard output (off).",
    ),
    _HTTP.works(
        "access-log-format",
        values.choice("text", "json"),
        "access_log_format",
        "Lines of text, or one JSON object a line (text).",
    ),
)

OPTIONS: tuple[Option, ...] = (
    *_CLIENTS,
    *_HTTP.where(),
    *_HTTP.nodes(),
    *_REQUESTS,
    *_HTTP.exchange(),
    *_ANSWERS,
    *_HTTP.process(),
    *_HTTP.others(),
    _HTTP.not_yet(
        "stud-prefix",
        values.ANY,
        "Connections from this address begin with the client's, as stud writes it.",
        "this version does not read that, and the clients' requests would be malformed: let stud write PROXY headers"
        " (--write-proxy), and use http-enable-proxy-protocol",
        refused=True,
    ),
)
