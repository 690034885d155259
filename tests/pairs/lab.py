"""What the table takes from the lab of the router's tests; the only module here that knows it."""

from tests.lab.clients import Peer
from tests.lab.inside import Left, left_of, nodes_of, phases, upstreams_of
from tests.lab.lab import Lab as Web
from tests.lab.router import Router
from tests.lab.tls import Authority
from tests.lab.waiting import a_few_turns, until
from tests.router.conftest import lab as web
from tests.router.conftest import log

__all__ = [
    "Authority",
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
