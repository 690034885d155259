"""Certificates of listeners: the choice for one connection, by the name that its client asks for."""

import asyncio
import ssl
from collections.abc import Callable, Iterable, Sequence

from uwsgi_router.router.certificates.announced import AnnouncedCertificates
from uwsgi_router.router.certificates.errors import UnknownName
from uwsgi_router.router.certificates.expiry import CertificateEnd, ExpiryWatch
from uwsgi_router.router.certificates.names import CertificateNames, policy_of
from uwsgi_router.router.certificates.store import CertificateStore
from uwsgi_router.router.config.model import SubscriptionConfig
from uwsgi_router.router.config.tls import TlsConfig
from uwsgi_router.router.config.types import CertificateFiles
from uwsgi_router.subscriptions.registry import Registry


class Certificates:
    """Certificates of the routers of one configuration.

    Args:
        config: names and settings.
        subscription: whether nodes may announce certificates, and whether names stand for those below them.
        defaults: of all listeners.

    Attributes:
        config: see above.
        store: of all contexts.
    """

    def __init__(
        self,
        config: TlsConfig,
        subscription: SubscriptionConfig,
        defaults: Sequence[CertificateFiles] = (),
    ) -> None:
        self.config = config
        self._subscription = subscription
        self.store = CertificateStore(config)
        self._defaults = defaults
        self._expiry: ExpiryWatch | None = None
        self._elsewhere: Callable[[], Iterable[CertificateEnd]] = tuple

    def listener(
        self,
        default: CertificateFiles,
        port: bytes,
        alpn: tuple[str, ...],
        registry: Registry | None,
    ) -> "ListenerCertificates":
        """Return the certificates of one listener.

        Args:
            default: for names that have none of their own, and for clients that ask for none.
            port: decimal; b"" for a UNIX socket.
            alpn: protocols that its connections speak.
            registry: of announced nodes, if there is one.
        """
        config, announced = self.config, None
        if registry is not None and self._subscription.sni_allow_dirs:
            announced = AnnouncedCertificates(registry, port, config.sni_dir_ciphers)
        dotsplit = self._subscription.dotsplit
        names = CertificateNames(config, dotsplit=dotsplit, announced=announced)
        return ListenerCertificates(default, names, self.store, alpn)

    def watch(self, loop: asyncio.AbstractEventLoop, wall_clock: Callable[[], float]) -> None:
        """Watch over their ends, if there are listeners.

        Args:
            loop: the event loop.
            wall_clock: returns the epoch.
        """
        if self._defaults:
            config = self.config
            configured = [*self._defaults, *config.sni, *config.sni_regexps]
            self._expiry = ExpiryWatch(self.store, configured, loop, wall_clock)
            self._expiry.elsewhere = self._elsewhere
            self._expiry.start()

    def know_elsewhere(self, ends: Callable[[], Iterable[CertificateEnd]] = tuple) -> None:
        """Tell from now on also of certificates that other processes serve, which ``ends`` returns."""
        self._elsewhere = ends
        if self._expiry is not None:
            self._expiry.elsewhere = ends

    def ends(self) -> list[CertificateEnd]:
        """Return until when those are valid that are served."""
        return [] if self._expiry is None else self._expiry.ends()

    def close(self) -> None:
        """Watch no more."""
        if self._expiry is not None:
            self._expiry.close()


class ListenerCertificates:
    """Certificates of one listener; made by :class:`Certificates`.

    Attributes:
        has_policies: some name may want certificates of its clients.
    """

    __slots__ = ("_alpn", "_default", "_names", "_store", "has_policies")

    def __init__(
        self,
        default: CertificateFiles,
        names: CertificateNames,
        store: CertificateStore,
        alpn: tuple[str, ...],
    ) -> None:
        self._default = default
        self._names = names
        self._store = store
        self._alpn = alpn
        self.has_policies = bool(default.client_ca) or names.has_policies

    def choose(self, name: str | None, now: float) -> tuple[ssl.SSLContext, str]:
        """Return the context of a connection, and its policy for clients.

        Args:
            name: that the client asks for, in lower case; None: none.
            now: the loop's seconds.

        Raises:
            UnknownName: there is none for this name.
            CertificateFault: there is, and it can't be used.
        """
        files = self._names.find(name, self._default, now)
        return self._store.get(files, self._alpn, now), policy_of(files)

    def policy(self, name: str | None, now: float) -> str:
        """Return the policy of a name for clients: a connection with another policy is none for it."""
        try:
            return policy_of(self._names.find(name, self._default, now))
        except UnknownName:
            return policy_of(self._default)
