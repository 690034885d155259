"""TLS contexts of servers: texts of certificate and key, and the settings of the configuration, become OpenSSL's.

A context is never changed once it serves: with a key that does not belong to it, it would serve nobody any more.
"""

import os
import re
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from uwsgi_router.router.certificates.errors import CertificateFault
from uwsgi_router.router.certificates.pem import Pem
from uwsgi_router.router.config.tls import TlsConfig
from uwsgi_router.router.config.types import CertificateFiles

#: For TLS 1.2: forward secrecy and authenticated encryption (Mozilla's "intermediate", without finite fields). The
#: client's order counts: who has no AES in hardware prefers ChaCha20.
CIPHERS: Final = (
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"
    "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"
    "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305"
)

_VERSIONS: Final = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}
_ENCRYPTED: Final = re.compile(rb"-----BEGIN ENCRYPTED |Proc-Type: 4,ENCRYPTED")


def server_context(
    files: CertificateFiles, pem: Pem, config: TlsConfig, alpn: tuple[str, ...]
) -> ssl.SSLContext:
    """Return a context that serves one certificate.

    Args:
        files: where the texts come from, for errors; whether clients must have a certificate; ciphers.
        pem: the texts.
        config: versions and other settings.
        alpn: protocols, the preferred one first; (): the client's wish is not answered.

    Raises:
        CertificateFault: they don't fit together, or can't be used.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = _VERSIONS[config.min_version]
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    # A connection that ends without close_notify was cut off.
    context.options &= ~getattr(ssl, "OP_IGNORE_UNEXPECTED_EOF", 0)
    if not files.ciphers:
        context.options &= ~ssl.OP_CIPHER_SERVER_PREFERENCE
    set_ciphers(context, files.ciphers or CIPHERS)
    if alpn:
        context.set_alpn_protocols(list(alpn))
    _load_pair(context, files, pem)
    if files.client_ca:
        context.verify_mode = ssl.CERT_REQUIRED if files.ca_required else ssl.CERT_OPTIONAL
        _load_authorities(context, files, pem)
    return context


def set_ciphers(context: ssl.SSLContext, ciphers: str) -> None:
    """Set the ciphers of TLS 1.2.

    Raises:
        CertificateFault: OpenSSL knows none of them.
    """
    try:
        context.set_ciphers(ciphers)
    except ssl.SSLError as exc:
        raise CertificateFault(
            f"ciphers {ciphers!r}: OpenSSL knows none of them for TLS 1.2 (`openssl ciphers -v` lists its names)"
        ) from exc


def _load_pair(context: ssl.SSLContext, files: CertificateFiles, pem: Pem) -> None:
    if b"-----BEGIN " not in pem.certificate:
        raise CertificateFault(f"{files.certificate}: no certificate in it (PEM is needed)")
    if _ENCRYPTED.search(pem.key):
        raise CertificateFault(
            f"{files.key}: the key has a pass phrase, which nobody could type: `openssl pkey` removes it"
        )
    if b"PRIVATE KEY-----" not in pem.key:
        raise CertificateFault(f"{files.key}: no private key in it (PEM is needed)")
    with _as_file(pem.certificate) as certificate, _as_file(pem.key) as key:
        try:
            context.load_cert_chain(certificate, key, password=_no_password)
        except ssl.SSLError as exc:
            raise CertificateFault(_explain(exc, files)) from exc


def _explain(error: ssl.SSLError, files: CertificateFiles) -> str:
    if error.reason == "KEY_VALUES_MISMATCH":
        return f"{files.key}: the key is not the one of the certificate {files.certificate}"
    if error.reason in ("EE_KEY_TOO_SMALL", "CA_MD_TOO_WEAK", "CA_KEY_TOO_SMALL"):
        return f"{files.certificate}: too weak for OpenSSL ({error.reason.lower()})"
    reason = (error.reason or str(error)).lower().replace("_", " ")
    return f"{files.certificate}, {files.key}: OpenSSL can't read them ({reason})"


def _load_authorities(context: ssl.SSLContext, files: CertificateFiles, pem: Pem) -> None:
    try:
        context.load_verify_locations(cadata=pem.client_ca.decode("ascii", "replace"))
    except ssl.SSLError as exc:
        reason = (exc.reason or str(exc)).lower().replace("_", " ")
        raise CertificateFault(
            f"{files.client_ca}: OpenSSL can't read the authorities ({reason})"
        ) from exc
    if not context.cert_store_stats()["x509_ca"]:
        raise CertificateFault(f"{files.client_ca}: no certificate of an authority in it")


def _no_password() -> str:
    """Return no pass phrase, where OpenSSL would ask a terminal for one."""
    return ""


@contextmanager
def _as_file(text: bytes) -> Iterator[str]:
    """Lend a path to a text that is in memory only: OpenSSL reads certificates and keys from files."""
    descriptor = os.memfd_create("pem", os.MFD_CLOEXEC)
    try:
        # Written whole: it is no device.
        os.write(descriptor, text)
        yield f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)
