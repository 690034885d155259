"""What the table takes from the lab of the router's tests; the only module here that knows it."""

from tests.lab.clients import Peer
from tests.lab.inside import Left, left_of, nodes_of, phases, upstreams_of
from tests.lab.lab import Lab as Web
from tests.lab.router import Router
from tests.lab.scripts import Script
from tests.lab.tls import NAME, Authority, TlsPeer, served, server_context
from tests.lab.waiting import a_few_turns, until
from tests.router.conftest import lab as web
from tests.router.conftest import log

__all__ = [
    "NAME",
    "Authority",
    "Left",
    "Peer",
    "Router",
    "Script",
    "TlsPeer",
    "Web",
    "a_few_turns",
    "left_of",
    "log",
    "nodes_of",
    "phases",
    "served",
    "server_context",
    "until",
    "upstreams_of",
    "web",
]
