"""Certificates of a configuration: files that can't be loaded, or can't be read once the router is another user."""

import os
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime

from uwsgi_router.protocol.tls.certificate import read_certificate
from uwsgi_router.protocol.tls.errors import CertificateError
from uwsgi_router.router.app.prepare.files import MAY_READ, MAY_SEARCH, changes, may, severity
from uwsgi_router.router.app.process.identity import ProcessIdentity
from uwsgi_router.router.certificates.errors import CertificateFault
from uwsgi_router.router.certificates.expiry import end_of, ending
from uwsgi_router.router.certificates.pem import paths_of
from uwsgi_router.router.certificates.store import try_files
from uwsgi_router.router.config.lines import Problem, Severity
from uwsgi_router.router.config.model import CertificateFiles, Configuration
from uwsgi_router.router.config.places import Places

# A signature with such a key takes 3 ms, in which nobody else is served.
_SLOW_BITS = 4096


def certificate_problems(
    configuration: Configuration, who: ProcessIdentity, places: Places
) -> list[Problem]:
    """Return what is wrong with the certificates of a configuration.

    Args:
        configuration: read already.
        who: the router becomes once everything is bound; it loads certificates then.
        places: of its options.
    """
    chdir = configuration.process.chdir
    if chdir is not None and not os.path.isdir(chdir):
        return []
    found: list[Problem] = []

    def said(option: str, text: str, how: Severity) -> None:
        found.append(Problem(places.of(option), f"{option}: {text}", how))

    for option, files in _named(configuration):
        whole = _below(chdir, files)
        try:
            pem = try_files(whole, configuration.tls)
        except CertificateFault as fault:
            said(option, str(fault), severity(whole.certificate))
            continue
        for path in paths_of(whole):
            if changes(who) and not _may_read(path, who):
                said(
                    option,
                    f"the user {who.uid}, which the router becomes, may not read {path}, and it is read again when it"
                    " is replaced: let that user, or a group of its, read it and enter the directories above",
                    Severity.ERROR,
                )
        try:
            certificate = read_certificate(pem.certificate)
        except CertificateError:
            continue
        text = ending(end_of(files, certificate), datetime.now(UTC).timestamp())
        if text:
            said(option, text, Severity.WARNING)
        if certificate.kind == "RSA" and certificate.bits >= _SLOW_BITS:
            said(
                option,
                f"{files.certificate} has an RSA key of {certificate.bits} bits: each handshake keeps everybody waiting"
                " for about 3 ms; EC P-256, or RSA with 2048 bits, takes 0.1 to 0.3",
                Severity.WARNING,
            )
    for directory in configuration.tls.sni_dirs:
        whole_path = os.path.join(chdir or "", directory)
        if not os.path.isdir(whole_path):
            said("sni-dir", f"{directory}: there is no such directory", severity(whole_path))
    return found


def _may_read(path: str, who: ProcessIdentity) -> bool:
    """Return True if ``who`` may get to a path, and through its links to a file that it may read."""
    there = may(os.path.dirname(os.path.abspath(path)), who, MAY_SEARCH)
    return there and may(os.path.realpath(path), who, MAY_READ)


def _named(configuration: Configuration) -> Iterator[tuple[str, CertificateFiles]]:
    """Yield options and the files that they name."""
    for router in configuration.routers:
        yield from ((one.option, one.files) for one in router.secured)
    tls = configuration.tls
    yield from (("sni", files) for files in tls.sni)
    yield from (("sni-regexp", files) for files in tls.sni_regexps)


def _below(chdir: str | None, files: CertificateFiles) -> CertificateFiles:
    """Return the files as they are found from here."""
    if chdir is None:
        return files
    return replace(
        files,
        certificate=os.path.join(chdir, files.certificate),
        key=os.path.join(chdir, files.key),
        client_ca=os.path.join(chdir, files.client_ca) if files.client_ca else "",
    )
