"""Certificates of several processes: workers serve them, and the keeper tells when they end.

Of ``sni-dir`` and announced certificates only workers know which are asked for.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Final

from uwsgi_router.protocol.tls.certificate import read_certificate
from uwsgi_router.protocol.tls.errors import CertificateError
from uwsgi_router.router.certificates.expiry import CertificateEnd, end_of
from uwsgi_router.router.certificates.store import CertificateStore
from uwsgi_router.router.table.feed.frames import Record
from uwsgi_router.router.table.feed.parts import Worker
from uwsgi_router.router.table.feed.table_records import take
from uwsgi_router.subscriptions.node_record import RecordError

NAME: Final = "certificates"
# Certificates that are read at once, 100 us each; the others follow with the next report.
_AT_ONCE: Final = 20

_Name = tuple[str, str]


class OwnedCertificates:
    """Part of a feed: the ends of certificates that workers serve."""

    name = NAME

    def __init__(self) -> None:
        self._of: dict[Worker, dict[_Name, CertificateEnd]] = {}

    def ends(self) -> list[CertificateEnd]:
        """Return the ends; the earliest if workers serve different ones of a name, which they do for a moment."""
        found: dict[_Name, CertificateEnd] = {}
        for ends in self._of.values():
            for name, end in ends.items():
                if name not in found or end.not_after < found[name].not_after:
                    found[name] = end
        return list(found.values())

    def changes(self) -> list[Record]:
        """Return nothing: workers have no use for it."""
        return []

    def snapshot(self, worker: Worker | None) -> Iterator[Record]:  # noqa: ARG002
        """Yield nothing: likewise; another owner is told by the workers."""
        return iter(())

    def joined(self, worker: Worker) -> None:
        """Note a worker."""
        self._of[worker] = {}

    def left(self, worker: Worker) -> None:
        """Note that a worker has ended: it serves nothing any more."""
        self._of.pop(worker, None)

    def report(self, worker: Worker, word: str, values: Sequence[Any]) -> None:
        """Take in what a worker serves.

        Raises:
            RecordError: it makes no sense.
        """
        ends = self._of.setdefault(worker, {})
        if word == "serves":
            name, file, not_after, not_before = take(values, 4)
            texts, numbers = (name, file), (not_after, not_before)
            if {*map(type, texts)} != {str} or {*map(type, numbers)} != {int}:
                raise RecordError(f"{values!r} is no end of a certificate")
            ends[texts] = CertificateEnd(name, file, not_after, not_before)
        elif word == "drops":
            name, file = take(values, 2)
            ends.pop((name, file), None)
        else:
            raise RecordError(f"{word[:20]!r} is no word of certificates")

    def adopt(self, word: str, values: Sequence[Any]) -> None:
        """Do nothing: nothing is handed over."""

    def adopted(self) -> None:
        """Do nothing: likewise."""


class FedCertificates:
    """Part of a feed: what this worker serves.

    Args:
        store: of its certificates.
    """

    name = NAME

    def __init__(self, store: CertificateStore) -> None:
        self._store = store
        self._seen = 0
        # What was told of each: its PEM.
        self._told: dict[_Name, bytes] = {}

    def attached(self, *, again: bool, taken: bool) -> None:  # noqa: ARG002
        """Tell all to another owner."""
        self._seen = 0
        self._told.clear()

    def begin(self) -> None:
        """Do nothing: an owner says nothing of certificates."""

    def end(self) -> None:
        """Do nothing: likewise."""

    def apply(self, word: str, values: Sequence[Any]) -> None:  # noqa: ARG002
        """Refuse what an owner says.

        Raises:
            RecordError: always.
        """
        raise RecordError(f"{word[:20]!r} is no word of an owner")

    def urgent(self) -> list[Record]:
        """Return nothing: nobody waits for it."""
        return []

    def counts(self) -> list[Record]:
        """Return what is served now and was not told, and what is served no more."""
        store, told = self._store, self._told
        changes = store.changes
        if changes == self._seen:
            return []
        records: list[Record] = []
        served: set[_Name] = set()
        for loaded in store.all():
            files, pem = loaded.files, loaded.certificate
            name = files.name, files.certificate
            served.add(name)
            if not pem or told.get(name) == pem:
                continue
            if len(records) >= _AT_ONCE:
                return records
            told[name] = pem
            try:
                end = end_of(files, read_certificate(pem))
            except CertificateError:
                continue
            records.append((NAME, "serves", *name, end.not_after, end.not_before))
        for name in told.keys() - served:
            del told[name]
            records.append((NAME, "drops", *name))
        self._seen = changes
        return records

    def snapshot(self) -> Iterator[Record]:
        """Yield nothing: another owner is told when it has taken over."""
        return iter(())
