"""What the table takes from the lab of the router's tests; the only module here that knows it."""

from tests.router.conftest import log
from tests.router.proxy.conftest import web
from tests.router.proxy.http_lab import Web, left_of, nodes_of, upstreams_of
from tests.router.proxy.http_lab import _Left as Left
from tests.router.proxy.inside import phases
from tests.router.proxy.nodes import Peer, Router, a_few_turns, until

__all__ = [
    "Left",
    "Peer",
    "Router",
    "Web",
    "a_few_turns",
    "left_of",
    "log",
    "nodes_of",
    "phases",
    "until",
    "upstreams_of",
    "web",
]
