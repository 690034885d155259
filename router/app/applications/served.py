"""Values of a supervisor: its applications and the router before them, as configuration and surroundings have them."""

import enum
import os
from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from uwsgi_router.protocol.emperor import OWN_NETWORK
from uwsgi_router.router.app.master.emperor import emperor_descriptor
from uwsgi_router.router.app.prepare.prepare import prepare
from uwsgi_router.router.app.vassal_sockets import VARIABLE, VassalSockets
from uwsgi_router.router.config.app import AppConfig, ServeConfig
from uwsgi_router.router.config.errors import StartError
from uwsgi_router.router.config.jails import ForkptyConfig, TunTapConfig
from uwsgi_router.router.config.lines import ConfigurationExit
from uwsgi_router.router.config.load import examine
from uwsgi_router.router.config.model import Configuration, ProcessConfig
from uwsgi_router.subscriptions.application.place import SOCKET
from uwsgi_router.subscriptions.application.supervisor import RolloutRefused

# Seconds that copies have to end after the router's last request.
_FOR_COPIES: Final = 10.0


class CopiesFront(enum.Enum):
    """Router that copies are announced to."""

    OWN = "own"
    """A child of the supervisor."""
    EMPERORS = "the Emperor's"
    """The routers of the instance that the Emperor belongs to."""
    NOBODY = "nobody"
    """The Emperor's instance has no router, and the file has none either."""


@dataclass(frozen=True, slots=True)
class VassalPlace:
    """Place of the supervisor below an Emperor.

    Attributes:
        emperor: descriptor of the Emperor's pipe; -1: there is none.
        sockets: of the routers beside the Emperor; None: there are none.
        own_network: they do not reach its loopback.
    """

    emperor: int = -1
    sockets: VassalSockets | None = None
    own_network: bool = False

    @classmethod
    def from_environment(cls, environ: MutableMapping[str, str]) -> "VassalPlace":
        """Take it out of the environment: no copy is to believe that it is a vassal."""
        sockets = VassalSockets.read(environ)
        environ.pop(VARIABLE, None)
        own_network = environ.pop(OWN_NETWORK, None) is not None
        seen = sockets and sockets.as_seen_by(os.geteuid())
        return cls(emperor_descriptor(environ), seen, own_network)


@dataclass(frozen=True, slots=True)
class ServedApplications:
    """Applications, and the router before them.

    Attributes:
        applications: at least one.
        process: where the log goes.
        router: arguments for the router, the user's own.
        kinds: routers that these have.
        listen: addresses for HTTP besides.
        stop_timeout: seconds for a whole stop.
        control_socket: path; None: where the commands look.
        pidfile: path; None: there is none.
        jails: configuration of routers and devices of a jail that the files have; None: they have none.
        from_files: the router is configured by files that HUP has it read again.
        alone: the program ends if its application can't be started.
    """

    applications: tuple[AppConfig, ...]
    process: ProcessConfig = field(default_factory=ProcessConfig)
    router: Sequence[str] = ()
    kinds: Sequence[str] = ()
    listen: Sequence[str] = ()
    stop_timeout: float = 25.0
    control_socket: str | None = None
    pidfile: str | None = None
    jails: tuple[ForkptyConfig, TunTapConfig] | None = None
    from_files: bool = False
    alone: bool = False

    @property
    def has_users(self) -> bool:
        """True if copies of some application run as another user."""
        return any(config.uid is not None for config in self.applications)

    @property
    def watched(self) -> list[str]:
        """Paths whose changes begin a rollout."""
        return [path for config in self.applications for path in config.reload]

    def front(self, place: VassalPlace) -> CopiesFront:
        """Return whose router copies are announced to."""
        if place.emperor < 0 or self.kinds:
            return CopiesFront.OWN
        return CopiesFront.NOBODY if place.sockets is None else CopiesFront.EMPERORS

    def check_reach(self, place: VassalPlace) -> None:
        """Check that the routers reach the copies.

        Raises:
            StartError: at the addresses of some copies they would find others' programs, or none.
        """
        if not place.own_network or self.front(place) is not CopiesFront.EMPERORS:
            return
        for config in self.applications:
            if not any(SOCKET in word for word in config.command):
                raise StartError(
                    f"[app {config.name}] would listen on the loopback of a network of its own"
                    f" (emperor-use-clone = net), where the routers beside the Emperor do not reach it:"
                    f" let its command say {SOCKET}"
                )


def served_by(arguments: Sequence[str], configuration: Configuration) -> ServedApplications:
    """Return what a configuration with ``[app NAME]`` sections serves.

    Args:
        arguments: of the command line, which the router reads, too.
        configuration: what they say.
    """
    process = configuration.process
    kinds = [router.kind for router in configuration.routers]
    return ServedApplications(
        applications=configuration.applications,
        process=process,
        router=arguments,
        kinds=kinds,
        listen=() if kinds else ServeConfig().http,
        stop_timeout=process.reload_mercy + _FOR_COPIES,
        control_socket=process.control_socket,
        pidfile=process.pidfile,
        jails=(configuration.forkpty, configuration.tuntap) if configuration.jails else None,
        from_files=True,
    )


def read_again(
    arguments: Sequence[str], environ: Mapping[str, str] = os.environ
) -> ServedApplications:
    """Read the files of a command line again.

    Raises:
        RolloutRefused: something is wrong with them.
    """
    try:
        report = prepare(examine(arguments, environ), environ=environ)
    except ConfigurationExit as exc:
        raise RolloutRefused("the configuration says exit") from exc
    if report.problems:
        first, more = str(report.problems[0]), len(report.problems) - 1
        raise RolloutRefused(first + (f" (and {more} more)" if more else ""))
    if not report.configuration.applications:
        raise RolloutRefused("there is no [app] section any more, which needs a restart")
    return served_by(arguments, report.configuration)
