"""Cross checks of what protects the table of announced nodes: rules that check nothing, or let nobody in."""

from collections.abc import Iterable

from uwsgi_router.protocol.address import InetAddress, parse_datagram_address
from uwsgi_router.router.config.model import Configuration, RouterConfig, SubscriptionConfig
from uwsgi_router.router.config.option import changed, declared, without_effect
from uwsgi_router.subscriptions.node_address import ip_of

_SIGN = "subscriptions-sign-check"
_CREDENTIALS = "subscriptions-use-credentials"


def missing(configuration: Configuration) -> list[str]:
    """Return what would check nothing, or let nobody in: an operator who asks for it must not believe that it works."""
    udp, unix = _servers(configuration)
    if not udp and not unix:
        return []
    subscription = configuration.subscription
    found = _signatures(subscription) + _users(subscription, udp)
    found += verified_differently(configuration.routers)
    if not udp:
        for name, given in (
            ("subscriptions-allow-from", subscription.allow_from),
            ("subscriptions-own-address", subscription.own_address),
        ):
            if given:
                found.append(f"{name} checks nothing: there is no subscription server on UDP")
    return found + _tenants(subscription, udp, unix)


def oddities(configuration: Configuration) -> list[str]:
    """Return what starts and hardly does what was meant, or lets more people in than one might think."""
    subscription = configuration.subscription
    udp, unix = _servers(configuration)
    if not udp and not unix:
        return [
            f"{name} has no effect: there is no subscription server"
            for field, name in changed(subscription).items()
            # The others say how a table works, if there is one; failures of configured nodes count, too.
            if declared(SubscriptionConfig)[field].group and field != "max_fails"
        ]
    found = without_effect(subscription)
    if subscription.sign_check is None:
        found += [
            _unsigned(name, text, subscription) for name, text in udp if not _is_loopback(text)
        ]
    else:
        if subscription.sign_check.digest == "MD5":
            found.append(f"{_SIGN} = {subscription.sign_check}: MD5 is broken; sign with SHA256")
        if subscription.own_address:
            found.append(
                f"subscriptions-own-address has no effect: with {_SIGN} every announce over UDP is signed"
            )
    return found


def verified_differently(routers: Iterable[RouterConfig]) -> list[str]:
    """Return a line for each router that believes other nodes than one before it with the same announced nodes.

    They share connections that were verified, and health checks.
    """
    found = []
    first: dict[str, RouterConfig] = {}
    for router in routers:
        for text in router.subscription_servers:
            other = first.setdefault(text, router)
            if other.node_verification != router.node_verification:
                found.append(
                    f"{router.kind}-subscription-server = {text}: {other.kind} has these nodes, too, and the two do not"
                    f" believe the same of them: give {router.kind}-backend-ca, -server-name, -certificate and"
                    f" -insecure the values that they have with {other.kind}-backend-"
                )
    return found


def _servers(configuration: Configuration) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """Return the option and address of each subscription server: on UDP, and on UNIX sockets."""
    udp: list[tuple[str, str]] = []
    unix: list[tuple[str, str]] = []
    for router in configuration.routers:
        for text in router.subscription_servers:
            inet = isinstance(parse_datagram_address(text), InetAddress)
            (udp if inet else unix).append((f"{router.kind}-subscription-server", text))
    return udp, unix


def _signatures(subscription: SubscriptionConfig) -> list[str]:
    found = []
    if subscription.sign_check is None:
        if subscription.sign_tolerance is not None:
            found.append(f"subscriptions-sign-check-tolerance checks nothing without {_SIGN}")
        if subscription.sign_command:
            found.append(f"subscriptions-sign-command checks nothing without {_SIGN}")
        if subscription.sign_skip_uids:
            found.append(f"subscriptions-sign-skip-uid exempts from nothing without {_SIGN}")
    if subscription.sign_skip_uids and not subscription.use_credentials:
        found.append(
            f"subscriptions-sign-skip-uid needs {_CREDENTIALS}: without it nobody's user is asked for"
        )
    return found


def _users(subscription: SubscriptionConfig, udp: list[tuple[str, str]]) -> list[str]:
    if not subscription.use_credentials:
        if subscription.credentials_dirs:
            return [
                f"subscriptions-credentials-check needs {_CREDENTIALS}: without it nobody's user is asked for"
            ]
        return []
    found = [
        f"{name} = {text}: with {_CREDENTIALS} nothing is taken over UDP, which says no user: give a socket path"
        for name, text in udp
    ]
    if not (subscription.credentials_dirs or subscription.tenants or subscription.sign_skip_uids):
        found.append(
            f"{_CREDENTIALS} alone lets every user announce every key: add subscriptions-credentials-check or"
            " subscriptions-tenant"
        )
    return found


def _tenants(
    subscription: SubscriptionConfig, udp: list[tuple[str, str]], unix: list[tuple[str, str]]
) -> list[str]:
    tenants = subscription.tenants
    if not tenants:
        return []
    found = []
    if not unix:
        found.append(
            "subscriptions-tenant checks nothing: there is no subscription server on a UNIX socket"
        )
    elif subscription.sign_check is None:
        found += [
            f"{name} = {text}: UDP does not say which tenant sends: give a socket path, or {_SIGN} for those on UDP"
            for name, text in udp
        ]
    uids = [tenant.uid for tenant in tenants]
    found += [
        f"subscriptions-tenant: there are two for the user {uid}: put all keys into one, with | between them"
        for uid in dict.fromkeys(uids)
        if uids.count(uid) > 1
    ]
    # Imported for those who have tenants: it brings the table of nodes.
    from uwsgi_router.subscriptions.registry import MAX_NODES  # noqa: PLC0415

    keys, nodes = sum(t.max_keys for t in tenants), sum(t.max_nodes for t in tenants)
    if keys > subscription.max_keys:
        found.append(
            f"subscriptions-tenant: together they may have {keys} keys, the table holds {subscription.max_keys}:"
            " raise subscription-max-keys, or give them max-keys"
        )
    if nodes > MAX_NODES:
        found.append(
            f"subscriptions-tenant: together they may have {nodes} nodes, the table holds {MAX_NODES}:"
            " give them max-nodes"
        )
    return found


def _unsigned(name: str, text: str, subscription: SubscriptionConfig) -> str:
    if subscription.allow_from:
        return (
            f"{name} = {text}: announces are not signed, and the source addresses that subscriptions-allow-from goes"
            f" by can be forged: {_SIGN} is what proves who announces"
        )
    return (
        f"{name} = {text}: whoever can send datagrams there can claim any host: have announces signed ({_SIGN}),"
        " or listen on 127.0.0.1 or a socket path"
    )


def _is_loopback(text: str) -> bool:
    address = parse_datagram_address(text)
    assert isinstance(address, InetAddress)
    ip = ip_of(address.host)
    return address.host == "localhost" if ip is None else ip.is_loopback
