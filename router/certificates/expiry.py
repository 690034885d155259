"""Expiry of certificates: until when each is valid that is served, and a warning a day of those that end soon."""

import asyncio
import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from math import inf
from typing import Final

from uwsgi_router.protocol.text import printable, show
from uwsgi_router.protocol.tls.certificate import Certificate, read_certificate
from uwsgi_router.protocol.tls.errors import CertificateError
from uwsgi_router.router.certificates.errors import CertificateFault
from uwsgi_router.router.certificates.pem import Stamp, read_pem, stamp_of
from uwsgi_router.router.certificates.store import CertificateStore
from uwsgi_router.router.config.types import CertificateFiles

log = logging.getLogger("uwsgi-router.tls")

_DAY: Final = 86_400
#: Seconds before its end from which on a certificate is warned of. Those of ACME are renewed a month before.
SOON: Final = 14 * _DAY
#: Seconds between two looks at all certificates, and between two warnings of one.
LOOK: Final = 60.0
AGAIN: Final = float(_DAY)
# Certificates that are looked at without a pause: each costs 10 us, or 100 if it is read.
_AT_ONCE: Final = 50


@dataclass(frozen=True, slots=True)
class CertificateEnd:
    """End of a certificate that is served.

    Attributes:
        name: that it is served for: a host name, a pattern, or a listener's address.
        file: that it is in.
        not_after: the last second in which it is valid, as an epoch.
        not_before: the first one.
    """

    name: str
    file: str
    not_after: int
    not_before: int = 0


def end_of(files: CertificateFiles, certificate: Certificate) -> CertificateEnd:
    """Return the end of a certificate that was read."""
    return CertificateEnd(
        files.name, files.certificate, certificate.not_after, certificate.not_before
    )


def ending(end: CertificateEnd, wall: float) -> str:
    """Return a sentence about a certificate that is not valid, or will not be for much longer; "" if all is well.

    Args:
        end: of it.
        wall: now, as an epoch.
    """
    left = end.not_after - wall
    what = f"the certificate of {printable(end.name)} in {show(end.file)}"
    if left < 0:
        return f"{what} has ended, at {_time(end.not_after)}: clients refuse it"
    if wall < end.not_before:
        return f"{what} is not valid before {_time(end.not_before)}: clients refuse it"
    if left >= SOON:
        return ""
    days = int(left // _DAY)
    when = f"in {days} days" if days > 1 else "tomorrow" if days else "within a day"
    return f"{what} ends {when}, at {_time(end.not_after)}: renew it"


def _time(seconds: int) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M} UTC"


class ExpiryWatch:
    """Watch over the ends of certificates, from :meth:`start` to :meth:`close`.

    It knows those of the configuration, and of others (``sni-dir``, announced ones) those that a client has asked for.

    Args:
        store: of what is loaded.
        configured: certificates that are looked at even if no client has asked for them.
        loop: the event loop.
        wall_clock: returns the epoch, in which certificates count.
        look: see LOOK.
        again: see AGAIN.

    Attributes:
        elsewhere: returns the ends of those that other processes serve, and this one maybe not.
    """

    def __init__(
        self,
        store: CertificateStore,
        configured: Iterable[CertificateFiles],
        loop: asyncio.AbstractEventLoop,
        wall_clock: Callable[[], float],
        *,
        look: float = LOOK,
        again: float = AGAIN,
    ) -> None:
        self._store = store
        self._configured = dict.fromkeys(configured)
        self._loop = loop
        self._wall_clock = wall_clock
        self._look = look
        self._again = again
        self._known: dict[CertificateFiles, _Known] = {}
        # When each certificate was warned of last, by the loop's clock, by its name and file.
        self._warned: dict[tuple[str, str], float] = {}
        self.elsewhere: Callable[[], Iterable[CertificateEnd]] = tuple
        self._steps: Iterator[None] | None = None
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Look now, and now and then."""
        self._step()

    def close(self) -> None:
        """Look no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def ends(self) -> list[CertificateEnd]:
        """Return the ends as of the last look."""
        found = {
            (files.name, files.certificate): end_of(files, known.leaf)
            for files, known in self._known.items()
            if known.leaf is not None
        }
        for end in self.elsewhere():
            found.setdefault((end.name, end.file), end)
        return list(found.values())

    def _step(self) -> None:
        if self._steps is None:
            self._steps = self._looking()
        try:
            next(self._steps)
        except StopIteration:
            self._steps = None
        pause = self._look if self._steps is None else 0.0
        self._timer = self._loop.call_later(pause, self._step)

    def _looking(self) -> Iterator[None]:
        """Look at all certificates, some at a time."""
        served = {
            loaded.files: loaded.certificate for loaded in self._store.all() if loaded.certificate
        }
        wanted = list(served | {files: served.get(files, b"") for files in self._configured})
        for number, files in enumerate(wanted, 1):
            known = self._known.setdefault(files, _Known())
            # What is served counts, not what lies in the files, which may be a pair that does not fit.
            if files in served:
                known.serves(served[files])
            else:
                known.lies_in(files)
            if number % _AT_ONCE == 0:
                yield
        for files in self._known.keys() - set(wanted):
            del self._known[files]
        yield from self._warning()

    def _warning(self) -> Iterator[None]:
        """Warn of those that end soon, some at a time."""
        ends = self.ends()
        for number, end in enumerate(ends, 1):
            key, now = (end.name, end.file), self._loop.time()
            text = ending(end, self._wall_clock())
            if not text:
                self._warned.pop(key, None)
            elif now - self._warned.get(key, -inf) >= self._again:
                self._warned[key] = now
                log.warning("%s", text)
            if number % _AT_ONCE == 0:
                yield
        for key in self._warned.keys() - {(end.name, end.file) for end in ends}:
            del self._warned[key]


class _Known:
    """Certificate as it was seen last: its PEM, or the stamp of its files, and what it says."""

    __slots__ = ("leaf", "pem", "stamp")

    def __init__(self) -> None:
        self.leaf: Certificate | None = None
        self.pem = b""
        self.stamp: Stamp | None = None

    def serves(self, pem: bytes) -> None:
        """Take what is served."""
        if pem is not self.pem:
            self.pem, self.stamp = pem, None
            self._read(pem)

    def lies_in(self, files: CertificateFiles) -> None:
        """Take what is in files, if they are others than before; whoever can't read them says so elsewhere."""
        stamp = stamp_of(files)
        if stamp != self.stamp:
            self.pem, self.stamp = b"", stamp
            try:
                self._read(read_pem(files).certificate)
            except CertificateFault:
                self.leaf = None

    def _read(self, pem: bytes) -> None:
        try:
            self.leaf = read_certificate(pem)
        except CertificateError:
            self.leaf = None
