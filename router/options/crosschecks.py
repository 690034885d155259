"""What is odd about a configuration as a whole, although every line of it is fine."""

from router.config import Configuration, ProcessConfig, RouterConfig, SubscriptionConfig
from router.options import cache_checks, subscription_checks
from router.options.lines import Problem

# uWSGI's order: the first of these that is set decides, the others are not used (routers-core sheet, 3.8).
PRECEDENCE = (
    ("use_cache", "fastrouter-use-cache"),
    ("use_pattern", "fastrouter-use-pattern"),
    ("subscription_servers", "fastrouter-subscription-server"),
    ("use_base", "fastrouter-use-base"),
    ("use_code_string", "fastrouter-use-code-string"),
    ("use_socket", "fastrouter-use-socket"),
    ("to", "fastrouter-to"),
)
ANNOUNCE_INTERVAL = 10


def missing(configuration: Configuration) -> list[Problem]:
    """What has to be there before anything can start."""
    if not configuration.routers:
        return [
            Problem(
                "",
                "no router is configured: give fastrouter = ADDRESS to listen on, or see uwsgi-router --help",
            )
        ]
    found = []
    for router in configuration.routers:
        if not router.listen:
            found.append("the fastrouter has no address: give fastrouter = ADDRESS to listen on")
        found += _shared(router, len(configuration.process.shared_sockets))
    found += cache_checks.missing(configuration)
    found += subscription_checks.missing(configuration)
    return [Problem("", message) for message in found]


def _shared(router: RouterConfig, count: int) -> list[str]:
    """Listeners on shared sockets that are not there."""
    lines = "1 shared-socket line" if count == 1 else f"{count or 'no'} shared-socket lines"
    return [
        f"fastrouter = {address} (counted from 0), but {lines}"
        for address in router.listen
        if address.startswith("=") and int(address[1:]) >= count
    ]


def oddities(configuration: Configuration) -> list[Problem]:
    """What will start and hardly do what was meant."""
    found: list[str] = []
    for router in configuration.routers:
        found += _forwarders(router, configuration.process)
        found += _addresses(router)
    found += _subscriptions(configuration.subscription)
    found += _control(configuration)
    found += cache_checks.oddities(configuration)
    found += subscription_checks.oddities(configuration)
    if configuration.process.worker_sockets and all(
        router.use_socket is None for router in configuration.routers
    ):
        found.append(
            "socket: nothing listens there, and without fastrouter-use-socket nothing is forwarded there"
        )
    return [Problem("", message) for message in found]


def _forwarders(router: RouterConfig, process: ProcessConfig) -> list[str]:
    chosen = [option for field, option in PRECEDENCE if getattr(router, field) not in (None, ())]
    found = []
    if not chosen:
        names = ", ".join(option for _, option in PRECEDENCE)
        found.append(f"the fastrouter knows no node, so every request fails: give one of {names}")
    elif len(chosen) > 1:
        found.append(f"{chosen[0]} decides; not used beside it: {', '.join(chosen[1:])}")
    subscribed = chosen[:1] == ["fastrouter-subscription-server"]
    if router.cheap and not router.subscription_servers:
        found.append(
            "fastrouter-cheap without fastrouter-subscription-server: no node can ever announce itself"
        )
    if router.fallback_on_no_key and not router.fallback:
        found.append("fastrouter-fallback-on-no-key without fastrouter-fallback has no effect")
    if router.subscription_fallback_key and not subscribed:
        found.append(
            "fastrouter-subscription-fallback-key has no effect without fastrouter-subscription-server"
        )
    if router.use_socket is not None:
        found += _socket(router.use_socket, process)
    return found


def _socket(use_socket: str, process: ProcessConfig) -> list[str]:
    if use_socket and not (use_socket.isascii() and use_socket.isdigit()):
        return []
    index, count = int(use_socket or "0"), len(process.worker_sockets)
    if index >= count:
        lines = "1 socket line" if count == 1 else f"{count or 'no'} socket lines"
        return [
            f"fastrouter-use-socket={index} (counted from 0), but {lines}: each request is refused"
        ]
    if process.worker_sockets[index].startswith(("=", "fd://")):
        return [
            f"fastrouter-use-socket={index}: socket = {process.worker_sockets[index]} is no address to connect to"
        ]
    return []


def _addresses(router: RouterConfig) -> list[str]:
    found = []
    base = router.use_base
    if base and "%s" in base:
        found.append(
            "fastrouter-use-base: %s is not replaced there; fastrouter-use-pattern does that"
        )
    if base and base.startswith("/") and not base.endswith(("/", ".", "-", "_")):
        found.append(
            f"fastrouter-use-base = {base} has no final slash: the key example.com gives {base}example.com"
        )
    pattern = router.use_pattern
    if pattern and "%s" not in pattern.replace("%%", ""):
        found.append("fastrouter-use-pattern has no %s: every key gives the same address")
    return found


def _control(configuration: Configuration) -> list[str]:
    process = configuration.process
    if process.control_socket is None:
        if (process.chmod_control_socket, process.chown_control_socket) == (0o600, None):
            return []
        return [
            "chmod-control-socket and chown-control-socket have no effect without control-socket"
        ]
    found = []
    if not any(router.subscription_servers for router in configuration.routers):
        found.append(
            "control-socket without a subscription server: there are no announced nodes to see or to steer"
        )
    if process.chmod_control_socket & 0o002:
        mode = f"chmod-control-socket = {process.chmod_control_socket:o}"
        found.append(f"{mode}: every user of this machine may drain nodes")
    return found


def _subscriptions(subscription: SubscriptionConfig) -> list[str]:
    if subscription.tolerance >= SubscriptionConfig().tolerance:
        return []
    tolerance = f"subscription-tolerance = {subscription.tolerance:g}"
    why = f"nodes announce themselves every {ANNOUNCE_INTERVAL} s"
    return [
        f"{tolerance}: {why}, so below {2 * ANNOUNCE_INTERVAL} one lost datagram is taken for silence"
    ]
