"""The fastrouter's options: uWSGI 2.0.31's, those that its unreleased line adds, and ours.

Source: uWSGI: plugins/fastrouter/fastrouter.c. Defaults are those of ``router.config.RouterConfig``.
"""

from uwsgi_router.router.config import values
from uwsgi_router.router.config.option import Option
from uwsgi_router.router.config.routers import RouterOptions
from uwsgi_router.router.config.values import SWITCH

GROUP = "fastrouter"
_FAST = RouterOptions("fastrouter", GROUP)

OPTIONS: tuple[Option, ...] = (
    _FAST.works(
        "",
        values.LISTEN,
        "listen",
        "Listen here for web servers that speak uwsgi.",
        repeatable=True,
    ),
    *_FAST.where(),
    _FAST.works(
        "force-key",
        values.KEY,
        "force_key",
        "Every request has this key, whatever its variables say.",
    ),
    _FAST.works(
        "keep-modifiers",
        SWITCH,
        "keep_modifiers",
        "Forward the web server's modifiers, not the node's (0/0 for configured ones); refuse 22, 110, 111, 173.",
    ),
    *_FAST.nodes(),
    *_FAST.exchange(),
    _FAST.works(
        "errors",
        values.choice("close", "http"),
        "errors",
        "When no node can answer: close the connection, as uWSGI does, or answer 502, 503 or 504 (close).",
    ),
    *_FAST.process(),
    *_FAST.others(),
    _FAST.by_design(
        "subscription-slot",
        "Size of the table of nodes (deprecated in uWSGI too).",
        "the table grows as needed, up to subscription-max-keys",
    ),
    _FAST.not_yet(
        "emperor-socket",
        values.ANY,
        "Ask an Emperor here to start the vassal of a node without an address.",
        "no vassal is started on demand",
    ),
    _FAST.not_yet(
        "defer-connect-timeout",
        values.ANY,
        "How long to wait for a vassal started on demand.",
        "no vassal is started on demand; fastrouter-hold lets requests wait for a node",
    ),
)
