"""Cross checks of the routers for jails: who gets in, addresses that are missing, what has no effect."""

from collections.abc import Iterator

from uwsgi_router.protocol.address import InetAddress, parse_listen_address
from uwsgi_router.router.config.model import Configuration, ForkptyConfig
from uwsgi_router.router.config.option import without_effect


def listeners(config: ForkptyConfig) -> Iterator[tuple[str, str]]:
    """Yield option and address of each listener of the forkpty router."""
    for text in config.listen:
        yield "forkptyrouter", text
    for text in config.listen_packets:
        yield "forkptyurouter", text


def missing(configuration: Configuration) -> list[str]:
    """Return what has to be there before anything can start."""
    config = configuration.forkpty
    if config.allow_tcp:
        return []
    return [
        f"{option} = {text}: everybody who reaches a TCP port would get a terminal: give the path of a UNIX socket, or"
        " forkptyrouter-allow-tcp = true"
        for option, text in listeners(config)
        if isinstance(parse_listen_address(text), InetAddress)
    ]


def oddities(configuration: Configuration) -> list[str]:
    """Return what starts and hardly does what was meant."""
    config = configuration.forkpty
    found = without_effect(config)
    for option, text in listeners(config):
        address = parse_listen_address(text)
        if isinstance(address, InetAddress) and address.is_every_interface:
            found.append(
                f"{option} = {text}: every machine that reaches it gets a terminal: listen on 127.0.0.1:{address.port},"
                " or a UNIX socket"
            )
    return found
