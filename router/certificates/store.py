"""Store of TLS contexts: made when a name is asked for, made anew when its files have changed, bounded."""

import logging
import ssl
from collections.abc import Iterator
from typing import Final

from uwsgi_router.router.certificates.contexts import server_context
from uwsgi_router.router.certificates.errors import CertificateFault
from uwsgi_router.router.certificates.pem import Pem, Stamp, read_pem, stamp_of
from uwsgi_router.router.config.tls import TlsConfig
from uwsgi_router.router.config.types import CertificateFiles
from uwsgi_router.router.core.log import RateLimited

log = logging.getLogger("uwsgi-router.tls")

#: Contexts that are kept: with a chain each has 30 KB.
CAPACITY: Final = 1_000
#: Seconds between two looks at the files of a context that is used.
LOOK_AGAIN: Final = 1.0

_Key = tuple[CertificateFiles, tuple[str, ...]]


class Loaded:
    """Context of one certificate, as it was loaded last.

    Attributes:
        files: that it was loaded from.
        context: OpenSSL's; None: they could never be loaded, ``fault`` says why.
        certificate: the chain, PEM.
        fault: of the files as they are now, if they could not be loaded.
    """

    __slots__ = ("certificate", "context", "fault", "files", "looked_at", "stamp")

    def __init__(self, files: CertificateFiles, now: float) -> None:
        self.files = files
        self.context: ssl.SSLContext | None = None
        self.certificate = b""
        self.fault = ""
        self.stamp: Stamp = ()
        self.looked_at = now


class CertificateStore:
    """Store of contexts.

    Args:
        config: settings of every context.
        capacity: contexts at once; the one that was not used for longest goes.
        look_again: see LOOK_AGAIN.

    Attributes:
        changes: how often something was loaded, or dropped.
    """

    def __init__(
        self, config: TlsConfig, *, capacity: int = CAPACITY, look_again: float = LOOK_AGAIN
    ) -> None:
        self._config = config
        self._capacity = capacity
        self._look_again = look_again
        # The one that was used last is the last, and is known without being looked up.
        self._loaded: dict[_Key, Loaded] = {}
        self._last: Loaded | None = None
        self._last_alpn: tuple[str, ...] = ()
        self._limited = RateLimited(log)
        self.changes = 0

    def __len__(self) -> int:
        return len(self._loaded)

    def all(self) -> Iterator[Loaded]:
        """Yield those that are loaded."""
        yield from self._loaded.values()

    def get(self, files: CertificateFiles, alpn: tuple[str, ...], now: float) -> ssl.SSLContext:
        """Return the context of a certificate, as its files are now, or as they could be loaded last.

        Args:
            files: where it is.
            alpn: protocols that are spoken.
            now: seconds, on any clock that does not jump.

        Raises:
            CertificateFault: they could not be loaded.
        """
        loaded = self._last
        if loaded is None or loaded.files is not files or self._last_alpn is not alpn:
            loaded = self._last = self._loaded_of(files, alpn, now)
            self._last_alpn = alpn
        if now - loaded.looked_at >= self._look_again:
            loaded.looked_at = now
            if stamp_of(files) != loaded.stamp:
                self._load(loaded, alpn)
        if loaded.context is None:
            raise CertificateFault(loaded.fault)
        return loaded.context

    def _loaded_of(self, files: CertificateFiles, alpn: tuple[str, ...], now: float) -> Loaded:
        """Return what was loaded of a certificate, as the one that was used last; load it if it is not there."""
        key = (files, alpn)
        loaded = self._loaded.pop(key, None)
        if loaded is None:
            loaded = Loaded(files, now)
            self._load(loaded, alpn)
            if len(self._loaded) >= self._capacity:
                del self._loaded[next(iter(self._loaded))]
        self._loaded[key] = loaded
        return loaded

    def _load(self, loaded: Loaded, alpn: tuple[str, ...]) -> None:
        """Load files; if that fails, what was loaded before stays."""
        files, before = loaded.files, loaded.context
        # With it one goes, if there are too many.
        self.changes += 1
        loaded.stamp = stamp_of(files)
        try:
            pem = read_pem(files)
            loaded.stamp = pem.stamp
            context = server_context(files, pem, self._config, alpn)
        except CertificateFault as fault:
            text = str(fault)
            if text != loaded.fault:
                loaded.fault = text
                instead = (
                    "its connections are refused"
                    if before is None
                    else "the one before is served on"
                )
                self._limited.error(text, "certificate of %s: %s; %s", files.name, text, instead)
            return
        loaded.context, loaded.certificate = context, pem.certificate
        if before is not None or loaded.fault:
            log.info("certificate of %s: loaded again from %s", files.name, files.certificate)
        loaded.fault = ""


def try_files(files: CertificateFiles, config: TlsConfig) -> Pem:
    """Load files once, to see whether they can be; return their texts.

    Raises:
        CertificateFault: they can't.
    """
    pem = read_pem(files)
    server_context(files, pem, config, ())
    return pem
