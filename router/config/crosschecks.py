"""Cross checks of a configuration: settings that contradict each other, are missing, or have no effect."""

from collections.abc import Iterable, Iterator
from dataclasses import replace

from uwsgi_router.protocol.address import InetAddress, parse_listen_address
from uwsgi_router.router.config import cache_checks, http_checks, jails_checks, subscription_checks
from uwsgi_router.router.config.model import (
    Configuration,
    HttpRouterConfig,
    ProcessConfig,
    RouterConfig,
    SubscriptionConfig,
)
from uwsgi_router.router.config.option import changed, without_effect

# uWSGI's order: the first of these that is set decides, the others are not used (plugins/corerouter/corerouter.c).
PRECEDENCE = (
    ("use_cache", "use-cache"),
    ("use_pattern", "use-pattern"),
    ("subscription_servers", "subscription-server"),
    ("use_base", "use-base"),
    ("use_code_string", "use-code-string"),
    ("use_socket", "use-socket"),
    ("to", "to"),
)
# Stands for the private socket of applications.
_FEED = "/feed"
ANNOUNCE_INTERVAL = 10
_CALLED = {
    "fastrouter": "the fastrouter",
    "http": "the HTTP router",
    "rawrouter": "the raw router",
    "sslrouter": "the SSL router",
}


def absent(configuration: Configuration) -> list[str]:
    """Return that there is no router, or none that listens."""
    tuntap = configuration.tuntap
    if not (
        configuration.routers
        or configuration.forkpty.listens
        or tuntap.routers
        or tuntap.devices
        or configuration.emperor.places
        or configuration.emperor.list_monitors
    ):
        pty = configuration.pty
        if pty.connect is not None or pty.connect_packets is not None:
            return []
        text = "no router is configured: give fastrouter = ADDRESS or http = ADDRESS to listen on"
        return [f"{text}, or see uwsgi-router --help"]
    return [
        f"{_CALLED[router.kind]} has no address: give {router.kind} = ADDRESS to listen on"
        for router in configuration.routers
        if not _listens(router)
    ]


def missing(configuration: Configuration) -> list[str]:
    """Return what has to be there before anything can start."""
    found: list[str] = []
    for router in configuration.routers:
        found += _shared(_streams(router), len(configuration.process.shared_sockets))
        if isinstance(router, HttpRouterConfig):
            found += http_checks.missing(router, configuration.process)
    found += _shared(
        jails_checks.listeners(configuration.forkpty), len(configuration.process.shared_sockets)
    )
    found += jails_checks.missing(configuration)
    emperor = bool(configuration.emperor.places)
    if (
        emperor
        and not configuration.process.master
        and (configuration.routers or configuration.jails)
    ):
        found.append("no-master: an Emperor beside routers needs the master: leave out no-master")
    found += cache_checks.missing(configuration)
    found += subscription_checks.missing(configuration)
    return found


def _listens(router: RouterConfig) -> bool:
    redirects = isinstance(router, HttpRouterConfig) and router.redirects
    return bool(router.zerg or router.listen or router.secured or redirects)


def _streams(router: RouterConfig) -> list[tuple[str, str]]:
    """Return option and address of each listener of a router."""
    listeners: list[tuple[str, str]] = [(router.kind, address) for address in router.listen]
    listeners += [(one.option, one.listen) for one in router.secured]
    if isinstance(router, HttpRouterConfig):
        listeners += [("http-to-https", redirect.listen) for redirect in router.redirects]
    return listeners


def _shared(listeners: Iterable[tuple[str, str]], count: int) -> list[str]:
    """Return a line for each listener on a shared socket that is not there."""
    lines = "1 shared-socket line" if count == 1 else f"{count or 'no'} shared-socket lines"
    return [
        f"{option} = {address} (counted from 0), but {lines}"
        for option, address in listeners
        if address.startswith("=") and int(address[1:]) >= count
    ]


def oddities(configuration: Configuration) -> list[str]:
    """Return what starts and hardly does what was meant."""
    found: list[str] = []
    fed = replace(configuration, routers=tuple(_as_fed(configuration)))
    for router, with_feed in zip(configuration.routers, fed.routers, strict=True):
        found += _forwarders(router, configuration.process, fed=with_feed is not router)
        found += _addresses(router)
        found += _open_to_all(router)
        found += without_effect(with_feed, prefix=router.kind)
        if isinstance(router, HttpRouterConfig):
            found += http_checks.oddities(router)
    found += _subscriptions(configuration.subscription)
    found += _control(configuration)
    found += _names(configuration)
    found += without_effect(configuration.process)
    found += without_effect(configuration.emperor)
    found += jails_checks.oddities(configuration)
    found += cache_checks.oddities(configuration)
    found += subscription_checks.oddities(fed)
    routers = configuration.routers
    if configuration.process.worker_sockets and all(r.use_socket is None for r in routers):
        options = " or ".join(f"{router.kind}-use-socket" for router in routers) or "use-socket"
        found.append(
            f"socket: nothing listens there, and without {options} nothing is forwarded there"
        )
    return found


def _as_fed(configuration: Configuration) -> Iterator[RouterConfig]:
    """Yield the routers with a subscription server where applications, or an Emperor's vassals, announce themselves."""
    for router in configuration.routers:
        apps = router.kind == "http" and configuration.applications
        if (apps or configuration.emperor.places) and not _chosen(router):
            yield replace(router, subscription_servers=(_FEED,))
        else:
            yield router


def _chosen(router: RouterConfig) -> list[str]:
    """Return the options by which a router finds nodes; the first one decides."""
    return [
        f"{router.kind}-{option}"
        for field, option in PRECEDENCE
        if getattr(router, field) not in (None, ())
    ]


def _forwarders(router: RouterConfig, process: ProcessConfig, *, fed: bool) -> list[str]:
    """Return what is odd about how a router finds nodes.

    Args:
        router: it.
        process: of the same configuration.
        fed: applications of the configuration, or vassals of its Emperor, announce themselves to it.
    """
    prefix = router.kind
    chosen = _chosen(router)
    subscribed = chosen[:1] == [f"{prefix}-subscription-server"]
    found = []
    if len(chosen) > 1:
        found.append(f"{chosen[0]} decides; not used beside it: {', '.join(chosen[1:])}")
    elif not chosen and not fed and (router.listen or router.secured):
        names = ", ".join(f"{prefix}-{option}" for _, option in PRECEDENCE)
        found.append(
            f"{_CALLED[prefix]} knows no node, so every request fails: give one of {names}"
        )
    if router.use_socket is not None:
        found += _socket(router.use_socket, prefix, process)
    if router.backend_http and subscribed and not router.fallback:
        found.append(
            f"{prefix}-backend-http has no effect: announced nodes say themselves what they speak"
        )
    return found


def _socket(use_socket: str, prefix: str, process: ProcessConfig) -> list[str]:
    if use_socket and not (use_socket.isascii() and use_socket.isdigit()):
        return []
    index, count = int(use_socket or "0"), len(process.worker_sockets)
    option = f"{prefix}-use-socket={index}"
    if index >= count:
        lines = "1 socket line" if count == 1 else f"{count or 'no'} socket lines"
        return [f"{option} (counted from 0), but {lines}: each request is refused"]
    if process.worker_sockets[index].startswith(("=", "fd://")):
        return [f"{option}: socket = {process.worker_sockets[index]} is no address to connect to"]
    return []


def _addresses(router: RouterConfig) -> list[str]:
    prefix, found = router.kind, []
    base = router.use_base
    if base and "%s" in base:
        found.append(f"{prefix}-use-base: %s is not replaced there; {prefix}-use-pattern does that")
    if base and base.startswith("/") and not base.endswith(("/", ".", "-", "_")):
        found.append(
            f"{prefix}-use-base = {base} has no final slash: the key example.com gives {base}example.com"
        )
    pattern = router.use_pattern
    if pattern and "%s" not in pattern.replace("%%", ""):
        found.append(f"{prefix}-use-pattern has no %s: every key gives the same address")
    return found


def _open_to_all(router: RouterConfig) -> list[str]:
    """Return a line for each fastrouter that everybody reaches: it believes whom it reads, as a web server."""
    if router.kind != "fastrouter":
        return []
    found = []
    for text in router.listen:
        address = parse_listen_address(text)
        if isinstance(address, InetAddress) and address.is_every_interface:
            found.append(
                f"fastrouter = {text}: every machine that reaches it is believed like your web server: listen on"
                f" 127.0.0.1:{address.port}, an address that only web servers reach, or a socket path"
            )
    return found


def _control(configuration: Configuration) -> list[str]:
    process = configuration.process
    if process.control_socket is None:
        return []
    found = []
    if not any(_has_nodes(router) for router in configuration.routers):
        found.append(
            "control-socket without a subscription server or configured nodes: there are no nodes to see or to steer"
        )
    if process.chmod_control_socket & 0o002:
        mode = f"chmod-control-socket = {process.chmod_control_socket:o}"
        found.append(f"{mode}: every user of this machine may drain nodes")
    return found


def _names(configuration: Configuration) -> list[str]:
    """Return names of certificates that are given twice, and that there is no listener for any."""
    tls, seen, found = configuration.tls, set(), []
    for files in tls.sni:
        if files.name in seen:
            found.append(f"sni: {files.name} is given twice; the last one counts")
        seen.add(files.name)
    if not any(one.secured for one in configuration.routers):
        found += [f"{option} without https has no effect" for option in changed(tls).values()]
    return found


def _has_nodes(router: RouterConfig) -> bool:
    """Return True if an operator can see nodes of this router."""
    named = router.use_socket is not None or router.use_pattern is not None
    return bool(router.subscription_servers or router.to or router.fallback or named)


def _subscriptions(subscription: SubscriptionConfig) -> list[str]:
    if subscription.tolerance >= SubscriptionConfig().tolerance:
        return []
    tolerance = f"subscription-tolerance = {subscription.tolerance:g}"
    why = f"nodes announce themselves every {ANNOUNCE_INTERVAL} s"
    return [
        f"{tolerance}: {why}, so below {2 * ANNOUNCE_INTERVAL} one lost datagram is taken for silence"
    ]
