"""Configuration of TLS: certificates by name, versions, limits; for all routers that speak it."""

from dataclasses import dataclass
from typing import Final, Literal

from uwsgi_router.router.config import tls_values, values
from uwsgi_router.router.config.option import Provenance, option, switch
from uwsgi_router.router.config.types import CertificateFiles
from uwsgi_router.router.config.values import integer, seconds

TLS: Final = "TLS"
_OURS: Final = Provenance.OURS


@dataclass(frozen=True, slots=True)
class TlsConfig:
    """Certificates by name, and what all of them have in common."""

    sni: tuple[CertificateFiles, ...] = option(
        "sni",
        tls_values.SNI,
        "Serve this certificate to clients that ask for this name, in any case; *.example.com is all names one below.",
        default=(),
        repeatable=True,
    )
    sni_regexps: tuple[CertificateFiles, ...] = option(
        "sni-regexp",
        tls_values.SNI_REGEXP,
        "Serve it to those that ask for a name in which this regular expression is found.",
        default=(),
        repeatable=True,
    )
    sni_dirs: tuple[str, ...] = option(
        "sni-dir",
        values.FILE,
        "Look here for NAME.crt and NAME.key, perhaps NAME.ca, or for NAME/fullchain.pem and NAME/privkey.pem.",
        default=(),
        repeatable=True,
    )
    sni_dir_ciphers: str = option(
        "sni-dir-ciphers",
        values.TEXT,
        "Ciphers of TLS 1.2 for certificates of sni-dir and announced ones.",
        default="",
        shown="as for https",
    )
    sni_strict: bool = switch(
        "sni-strict",
        "Refuse clients that ask for a name without a certificate, instead of serving the listener's own.",
        origin=_OURS,
    )
    min_version: Literal["1.2", "1.3"] = option(
        "ssl-min-version",
        values.choice("1.2", "1.3"),
        "Refuse clients that speak only older versions of TLS.",
        default="1.2",
        origin=_OURS,
    )
    handshake_timeout: float = option(
        "ssl-handshake-timeout",
        seconds(),
        "Seconds for a client's hello, and the rest of the handshake.",
        default=10.0,
        origin=_OURS,
    )
    max_handshakes: int = option(
        "ssl-max-handshakes",
        integer("N", 1, 1_000_000),
        "Handshakes at once; with one more the oldest is ended.",
        default=1_000,
        origin=_OURS,
    )
