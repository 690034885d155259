"""Routers for jails of a configuration; what none is there for is not loaded."""

from uwsgi_router.router.app.jail import Jail
from uwsgi_router.router.config.model import Configuration


def build_jails(configuration: Configuration) -> list[Jail]:
    """Make the routers for jails that a configuration has; nothing is opened yet."""
    jails: list[Jail] = []
    process, tuntap = configuration.process, configuration.tuntap
    if configuration.forkpty.listens:
        from uwsgi_router.router.app.forkpty import ForkptyJail  # noqa: PLC0415

        jails.append(ForkptyJail(configuration.forkpty, process))
    if tuntap.routers or tuntap.devices:
        from uwsgi_router.router.app.tuntap import TunDeviceJail, TunTapJail  # noqa: PLC0415

        jails += [TunTapJail(router, tuntap, process) for router in tuntap.routers]
        if tuntap.devices:
            jails.append(TunDeviceJail(tuntap, process))
    return jails
