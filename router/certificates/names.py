"""Names of certificates: which files are for a name that a client asks for (SNI).

In order: a name of ``sni``, an announced one, a wildcard of ``sni`` (``*.example.com``), with
``subscription-dotsplit`` a name of which this is a part, ``sni-regexp``, ``sni-dir``, the listener's own.
"""

import os
import re
from collections.abc import Callable
from typing import Final

from uwsgi_router.protocol.bounded import Bounded
from uwsgi_router.router.certificates.errors import UnknownName
from uwsgi_router.router.config.tls import TlsConfig
from uwsgi_router.router.config.types import CertificateFiles
from uwsgi_router.router.core.tls import NO_POLICY

# As uWSGI: core/ssl.c.
_DOTS: Final = 5
_REMEMBERED: Final = 4_096
_name = re.compile(r"(?:\*\.)?(?:[a-z0-9_-]{1,63}\.)*[a-z0-9_-]{1,63}").fullmatch

Announced = Callable[[str], CertificateFiles | None]


def policy_of(files: CertificateFiles) -> str:
    """Return which clients a certificate is for: see :class:`uwsgi_router.router.core.tls.TlsFacts`."""
    if not files.client_ca:
        return NO_POLICY
    return f"{'!' if files.ca_required else '?'}{files.client_ca}"


class CertificateNames:
    """Names, and the files of each.

    Args:
        config: of names, patterns and directories.
        dotsplit: a name stands for those below it, as for nodes.
        announced: tells the files that nodes have announced for a name; None: they may not.
        remember: seconds for which a look into the directories holds.

    Attributes:
        has_policies: some name may want certificates of its clients.
    """

    def __init__(
        self,
        config: TlsConfig,
        *,
        dotsplit: bool,
        announced: Announced | None = None,
        remember: float = 1.0,
    ) -> None:
        self._exact = {one.name: one for one in config.sni}
        self._patterns = [(re.compile(one.name), one) for one in config.sni_regexps]
        self._directories = config.sni_dirs
        self._dir_ciphers = config.sni_dir_ciphers
        self._strict = config.sni_strict
        self._dotsplit = dotsplit
        self._announced = announced
        self._remember = remember
        configured = (*config.sni, *config.sni_regexps)
        self.has_policies = (
            any(one.client_ca for one in configured)
            or bool(config.sni_dirs)
            or announced is not None
        )
        # Whatever is asked for, the listener's own is served.
        self._has_none = not configured and not config.sni_dirs and announced is None
        self._seen: dict[str, tuple[float, CertificateFiles | None]] = Bounded(_REMEMBERED)

    def find(self, name: str | None, default: CertificateFiles, now: float) -> CertificateFiles:
        """Return the files for a name in lower case; None: the client has asked for none.

        Raises:
            UnknownName: there are none, and the default is not to be had instead.
        """
        if name is None:
            return default
        found = None if self._has_none else self._find(name, now)
        if found is not None:
            return found
        if self._strict:
            raise UnknownName(name)
        return default

    def _find(self, name: str, now: float) -> CertificateFiles | None:
        exact = self._exact
        found = self._exactly(name)
        if found is not None:
            return found
        _label, dot, parent = name.partition(".")
        found = exact.get(f"*.{parent}") if dot else None
        if found is None and self._dotsplit:
            found = self._parent(name)
        if found is not None:
            return found
        for pattern, files in self._patterns:
            if pattern.search(name):
                return files
        return self._in_directories(name, now) if self._directories else None

    def _exactly(self, name: str) -> CertificateFiles | None:
        found = self._exact.get(name)
        if found is None and self._announced is not None:
            found = self._announced(name)
        return found

    def _parent(self, name: str) -> CertificateFiles | None:
        """Return the files of the nearest name that this one is below of, written with or without its dot."""
        for _ in range(_DOTS):
            _label, dot, name = name.partition(".")
            if not dot:
                break
            for parent in (f".{name}", name):
                found = self._exactly(parent)
                if found is not None:
                    return found
        return None

    def _in_directories(self, name: str, now: float) -> CertificateFiles | None:
        known = self._seen.get(name)
        if known is not None and now - known[0] < self._remember:
            return known[1]
        found = None
        # It becomes part of a path.
        if _name(name) and not name.startswith("*"):
            _label, dot, parent = name.partition(".")
            names = [name, f"*.{parent}"] if dot else [name]
            found = next(
                (
                    files
                    for directory in self._directories
                    for one in names
                    if (files := files_in(directory, one, self._dir_ciphers)) is not None
                ),
                None,
            )
        self._seen[name] = (now, found)
        return found


def files_in(directory: str, name: str, ciphers: str) -> CertificateFiles | None:
    """Return the files of a name in a directory of ``sni-dir``; None: there are none.

    That is ``NAME.crt`` and ``NAME.key``, and perhaps ``NAME.ca``, as uWSGI has them, or ``NAME/fullchain.pem`` and
    ``NAME/privkey.pem``, as certbot does.
    """
    base = os.path.join(directory, name)
    for certificate, key, authorities in (
        (f"{base}.crt", f"{base}.key", f"{base}.ca"),
        (f"{base}/fullchain.pem", f"{base}/privkey.pem", f"{base}/client-ca.pem"),
    ):
        if os.path.exists(certificate):
            has_ca = os.path.exists(authorities)
            return CertificateFiles(
                name, certificate, key, ciphers, authorities if has_ca else "", ca_required=False
            )
    return None
