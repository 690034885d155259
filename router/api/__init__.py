"""Python API: routers as objects, with uwsgiconf's names, offered by ``uwsgi_router``."""

from uwsgi_router.router.admin.control.nodes import NodeStatus, NoWeight
from uwsgi_router.router.admin.control.operator import DrainCancelled, UnknownNode
from uwsgi_router.router.api.application import Application, CopyStatus, RolloutFailed
from uwsgi_router.router.api.errors import ParameterError
from uwsgi_router.router.api.fast import RouterFast
from uwsgi_router.router.api.forwarders import (
    Forwarder,
    ForwarderCache,
    ForwarderCode,
    ForwarderPath,
    ForwarderSocket,
    ForwarderSubscriptionServer,
)
from uwsgi_router.router.api.http import RouterHttp
from uwsgi_router.router.api.https import RouterHttps
from uwsgi_router.router.api.jails import RouterForkPty, RouterTunTap
from uwsgi_router.router.api.raw import RouterRaw
from uwsgi_router.router.api.ssl import RouterSsl
from uwsgi_router.router.config.errors import StartError

__all__ = [
    "Application",
    "CopyStatus",
    "DrainCancelled",
    "Forwarder",
    "ForwarderCache",
    "ForwarderCode",
    "ForwarderPath",
    "ForwarderSocket",
    "ForwarderSubscriptionServer",
    "NoWeight",
    "NodeStatus",
    "ParameterError",
    "RolloutFailed",
    "RouterFast",
    "RouterForkPty",
    "RouterHttp",
    "RouterHttps",
    "RouterRaw",
    "RouterSsl",
    "RouterTunTap",
    "StartError",
    "UnknownNode",
]
