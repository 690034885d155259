"""SNI certificates that nodes announce with their keys (uWSGI: core/subscription.c).

``sni_key`` and ``sni_crt``, perhaps ``sni_ca``, are paths on the router's machine. uWSGI opens
whatever they say, with the rights of the router. Here they are taken only from directories that the
operator named, and links are followed before that is decided: what is carried is where the file
really is. They are looked at with every announce, so a link that points at a renewed certificate is
noticed with the next one.
"""

import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass

from uwsgi_router.protocol.subscription import Subscription


class SniError(ValueError):
    """Refusal of announced files; ``str()`` is the reason."""


@dataclass(frozen=True, slots=True)
class Sni:
    """Certificate files for one name; paths without links, of files that were there.

    Attributes:
        key: the private key.
        crt: the certificate.
        ca: the authorities that sign clients' certificates, None if clients need none.
        ca_required: clients must have one (``sni_ca`` began with ``!``).
    """

    key: bytes
    crt: bytes
    ca: bytes | None = None
    ca_required: bool = False


class SniFiles:
    """Filter of announced files: those in allowed directories are taken.

    Args:
        directories: absolute; everything below them may be announced.

    Raises:
        SniError: one of them is not there, or is the root of all.
    """

    def __init__(self, directories: Sequence[str]) -> None:
        self._directories = tuple(map(_directory, directories))
        # As they may be written.
        self._begins = tuple(os.fsencode(text).rstrip(b"/") + b"/" for text in directories)
        self._begins += self._directories

    def __bool__(self) -> bool:
        """Return True if any may be taken."""
        return bool(self._directories)

    def take(self, subscription: Subscription) -> Sni | None:
        """Return the files of an announce; None if it names none.

        Raises:
            SniError: it may not name these.
        """
        key, crt, ca = subscription.sni_key, subscription.sni_crt, subscription.sni_ca
        if key is None and crt is None:
            return None
        if key is None or crt is None:
            raise SniError("sni_key and sni_crt are both needed")
        required = ca is not None and ca.startswith(b"!")
        return Sni(
            self._file("sni_key", key),
            self._file("sni_crt", crt),
            None if ca is None else self._file("sni_ca", ca.removeprefix(b"!")),
            required,
        )

    def _file(self, name: str, path: bytes) -> bytes:
        if b"\0" in path or not path.startswith(b"/") or b".." in path.split(b"/"):
            raise SniError(f"{name} {path[:80]!r} is no plain absolute path")
        # Before it is looked at: elsewhere it might be on a slow file system.
        real = os.path.realpath(path) if path.startswith(self._begins) else b""
        if not real.startswith(self._directories):
            raise SniError(f"{name} {path[:80]!r} is in no directory of sni-allow-dir")
        try:
            mode = os.stat(real).st_mode
        except OSError as exc:
            raise SniError(f"{name} {path[:80]!r}: {exc.strerror}") from None
        if not stat.S_ISREG(mode):
            raise SniError(f"{name} {path[:80]!r} is no file")
        return real


def _directory(text: str) -> bytes:
    """Return a directory without links, with its final slash."""
    try:
        real = os.path.realpath(os.fsencode(text), strict=True)
    except OSError as exc:
        raise SniError(f"sni-allow-dir = {text}: {exc.strerror}") from None
    if real == b"/" or not os.path.isdir(real):
        raise SniError(f"sni-allow-dir = {text}: give a directory that holds certificates only")
    return real + b"/"
