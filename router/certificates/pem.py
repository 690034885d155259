"""PEM files of certificates, keys and authorities: the one place that reads them."""

import os
from dataclasses import dataclass
from typing import Final

from uwsgi_router.router.certificates.errors import CertificateFault
from uwsgi_router.router.config.types import CertificateFiles
from uwsgi_router.router.core.files import open_file

#: Bytes of one file: a chain has a few thousand, a bundle of all public authorities 220,000.
MAX_FILE: Final = 4 * 1024 * 1024

#: What tells that a file has been replaced or written to.
Stamp = tuple[tuple[int, ...], ...]


@dataclass(frozen=True, slots=True)
class Pem:
    """Texts of one name.

    Attributes:
        certificate: the chain, the name's own certificate first.
        key: the private key of that one.
        client_ca: authorities that sign certificates of clients; b"": none are asked for.
        stamp: of the files, when they were read.
    """

    certificate: bytes
    key: bytes
    client_ca: bytes
    stamp: Stamp


def paths_of(files: CertificateFiles) -> tuple[str, ...]:
    """Return the files' paths."""
    return tuple(path for path in (files.certificate, files.key, files.client_ca) if path)


def stamp_of(files: CertificateFiles) -> Stamp:
    """Return what the files are now; a missing one has an empty stamp."""
    return tuple(map(_stamp_at, paths_of(files)))


def read_pem(files: CertificateFiles) -> Pem:
    """Read the files.

    Raises:
        CertificateFault: one of them can't be read.
    """
    texts, stamps = [], []
    for path in paths_of(files):
        text, stamp = _read(path)
        texts.append(text)
        stamps.append(stamp)
    certificate, key, *authorities = texts
    return Pem(certificate, key, authorities[0] if authorities else b"", tuple(stamps))


def _read(path: str) -> tuple[bytes, tuple[int, ...]]:
    try:
        with open(open_file(path, os.O_RDONLY | os.O_NONBLOCK), "rb") as file:
            stamp = _stamp(os.fstat(file.fileno()))
            text = file.read(MAX_FILE + 1)
    except OSError as exc:
        reason = (exc.strerror or str(exc)).lower()
        raise CertificateFault(f"{path}: {reason}") from exc
    if len(text) > MAX_FILE:
        raise CertificateFault(f"{path}: it has more than {MAX_FILE} bytes")
    return text, stamp


def _stamp_at(path: str) -> tuple[int, ...]:
    try:
        return _stamp(os.stat(path))
    except (OSError, ValueError):
        return ()


def _stamp(status: os.stat_result) -> tuple[int, ...]:
    return status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino, status.st_dev
