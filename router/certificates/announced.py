"""Certificates that nodes have announced with their keys (uWSGI: core/subscription.c)."""

import os

from uwsgi_router.router.config.types import CertificateFiles
from uwsgi_router.subscriptions.registry import Registry


class AnnouncedCertificates:
    """Certificates of the keys of a table.

    Args:
        registry: the table.
        port: of the listener, for keys with a port.
        ciphers: for all of them; "": the default.
    """

    def __init__(self, registry: Registry, port: bytes, ciphers: str) -> None:
        self._registry = registry
        self._ports = (b":443", b":" + port)
        self._ciphers = ciphers

    def __call__(self, name: str) -> CertificateFiles | None:
        """Return the files announced for a name; None: there are none."""
        pools, key = self._registry.pools, name.encode("ascii", "replace")
        for suffix in (b"", *self._ports):
            pool = pools.get(key + suffix)
            if pool is not None and pool.sni is not None:
                sni = pool.sni
                return CertificateFiles(
                    name,
                    os.fsdecode(sni.crt),
                    os.fsdecode(sni.key),
                    self._ciphers,
                    "" if sni.ca is None else os.fsdecode(sni.ca),
                    sni.ca_required,
                )
        return None
