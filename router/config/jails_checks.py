"""Cross checks of the routers for jails: who gets in, addresses that are missing, what has no effect."""

from collections.abc import Iterator

from uwsgi_router.protocol.address import InetAddress, parse_listen_address
from uwsgi_router.protocol.tuntap import MAX_RULES
from uwsgi_router.router.config.model import Configuration, ForkptyConfig, TunTapConfig
from uwsgi_router.router.config.option import without_effect


def listeners(config: ForkptyConfig) -> Iterator[tuple[str, str]]:
    """Yield option and address of each listener of the forkpty router."""
    for text in config.listen:
        yield "forkptyrouter", text
    for text in config.listen_packets:
        yield "forkptyurouter", text


def missing(configuration: Configuration) -> list[str]:
    """Return what has to be there before anything can start."""
    found = []
    config, tuntap = configuration.forkpty, configuration.tuntap
    if not config.allow_tcp:
        found += [
            f"{option} = {text}: everybody who reaches a TCP port would get a terminal: give the path of a UNIX socket,"
            " or forkptyrouter-allow-tcp = true"
            for option, text in listeners(config)
            if isinstance(parse_listen_address(text), InetAddress)
        ]
    names = [one.device for one in tuntap.routers] + [one.device for one in tuntap.devices]
    found += [
        f"tuntap-router and tuntap-device: the device {name} is given twice"
        for name in dict.fromkeys(names)
        if names.count(name) > 1 and "%" not in name
    ]
    if len(tuntap.device_rules) > MAX_RULES:
        found.append(
            f"tuntap-device-rule: {len(tuntap.device_rules)} rules, where {MAX_RULES} may be"
        )
    if sum(one.stats is None for one in tuntap.routers) > 1 and tuntap.stats is not None:
        found.append(
            f"tuntap-router-stats = {tuntap.stats}: two routers would listen there; give each its own behind its socket"
        )
    return found


def tuntap_listeners(config: TunTapConfig) -> Iterator[tuple[str, str]]:
    """Yield option and address of each stream listener of the tuntap routers."""
    for router in config.routers:
        yield "tuntap-router", router.socket
        stats = router.stats or config.stats
        if stats is not None:
            yield "tuntap-router-stats", stats


def oddities(configuration: Configuration) -> list[str]:
    """Return what starts and hardly does what was meant."""
    config, tuntap = configuration.forkpty, configuration.tuntap
    found = without_effect(config) + without_effect(tuntap)
    for option, text in listeners(config):
        address = parse_listen_address(text)
        if isinstance(address, InetAddress) and address.is_every_interface:
            found.append(
                f"{option} = {text}: every machine that reaches it gets a terminal: listen on 127.0.0.1:{address.port},"
                " or a UNIX socket"
            )
    if tuntap.routes and all(one.gateway is None for one in tuntap.routers):
        found.append("tuntap-router-route has no effect: no tuntap-router has a gateway")
    return found
