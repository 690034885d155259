"""The typed configuration: process, announced nodes, routers; the contract between options and all that runs.

Nothing but the rest of this room reads an option. Times are seconds, sizes bytes. Every address has been parsed once
already (a bad one never gets here), but the text is kept as the operator wrote it, because uWSGI shows it so in stats
and logs.
"""

from dataclasses import dataclass, field

from uwsgi_router.router.config.app import AppConfig
from uwsgi_router.router.config.emperor import EmperorConfig
from uwsgi_router.router.config.http import HttpRouterConfig
from uwsgi_router.router.config.jails import ForkptyConfig, PtyConfig, TunTapConfig
from uwsgi_router.router.config.process import ProcessConfig
from uwsgi_router.router.config.raw import RawRouterConfig, SslRouterConfig
from uwsgi_router.router.config.router import RouterConfig
from uwsgi_router.router.config.subscription import SubscriptionConfig
from uwsgi_router.router.config.tls import TlsConfig
from uwsgi_router.router.config.types import (
    CacheConfig,
    CacheItem,
    CertificateFiles,
    CodeString,
    RedirectListener,
    SecureListener,
)

__all__ = [
    "AppConfig",
    "CacheConfig",
    "CacheItem",
    "CertificateFiles",
    "CodeString",
    "Configuration",
    "EmperorConfig",
    "ForkptyConfig",
    "HttpRouterConfig",
    "ProcessConfig",
    "PtyConfig",
    "RawRouterConfig",
    "RedirectListener",
    "RouterConfig",
    "SecureListener",
    "SslRouterConfig",
    "SubscriptionConfig",
    "TlsConfig",
    "TunTapConfig",
]


@dataclass(frozen=True, slots=True)
class Configuration:
    """Everything; made by ``load``."""

    process: ProcessConfig = field(default_factory=ProcessConfig)
    subscription: SubscriptionConfig = field(default_factory=SubscriptionConfig)
    routers: tuple[RouterConfig, ...] = ()
    forkpty: ForkptyConfig = field(default_factory=ForkptyConfig)
    tuntap: TunTapConfig = field(default_factory=TunTapConfig)
    pty: PtyConfig = field(default_factory=PtyConfig)
    tls: TlsConfig = field(default_factory=TlsConfig)
    emperor: EmperorConfig = field(default_factory=EmperorConfig)
    applications: tuple[AppConfig, ...] = ()
    """Programs that are run behind the routers."""
    warnings: tuple[str, ...] = ()
    """Lines for the log: options that are accepted and do something else, or nothing yet."""
    prints: tuple[str, ...] = ()
    """``print`` lines, in order."""

    @property
    def harakiri(self) -> float:
        """Seconds for which the event loop of a worker may be stuck; 0.0: any time."""
        return min((one.harakiri for one in self.routers if one.harakiri), default=0.0)

    @property
    def workers(self) -> int:
        """Number of workers: that of the router that has most."""
        return max((one.workers for one in self.routers), default=0)

    @property
    def jails(self) -> list[str]:
        """Names of the routers for jails, each of which has a process of its own."""
        names = ["forkpty"] if self.forkpty.listens else []
        names += ["tuntap"] * len(self.tuntap.routers)
        return names + (["tuntap-device"] if self.tuntap.devices else [])
