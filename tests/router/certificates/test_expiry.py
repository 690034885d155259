"""Ends of certificates: warned of once a day, of what is served, whatever lies in the files."""

import datetime as dt
import re
from dataclasses import replace
from pathlib import Path

import pytest

from tests.lab.clock import Clock, TimedLoop
from tests.lab.log import Log
from tests.protocol.tls import issuing
from uwsgi_router.protocol.tls.certificate import Certificate
from uwsgi_router.router.certificates.expiry import (
    AGAIN,
    SOON,
    CertificateEnd,
    ExpiryWatch,
    end_of,
    ending,
)
from uwsgi_router.router.certificates.store import CertificateStore
from uwsgi_router.router.config.tls import TlsConfig
from uwsgi_router.router.config.types import CertificateFiles

DAY = 86_400
#: 2030-01-01 00:00 UTC.
START, END = 1_800_000_000, 1_893_456_000
CERTIFICATE = Certificate(START, END, ("a.example",), (), None, "EC P-256", 256)


@pytest.mark.parametrize(
    ("left", "expected"),
    [
        (SOON, ""),
        (SOON - 1, "ends in 13 days, at 2030-01-01 00:00 UTC: renew it"),
        (2 * DAY, "ends in 2 days, at 2030-01-01 00:00 UTC: renew it"),
        (DAY, "ends tomorrow, at 2030-01-01 00:00 UTC: renew it"),
        (DAY - 1, "ends within a day, at 2030-01-01 00:00 UTC: renew it"),
        (0, "ends within a day, at 2030-01-01 00:00 UTC: renew it"),
        (-1, "has ended, at 2030-01-01 00:00 UTC: clients refuse it"),
        (END - START, ""),
        (END - START + 1, "is not valid before 2027-01-15 08:00 UTC: clients refuse it"),
    ],
)
def test_what_is_said(left: int, expected: str) -> None:
    files = CertificateFiles("a.example", "/etc/a.crt", "/etc/a.key")
    said = ending(end_of(files, CERTIFICATE), END - left)
    assert said == (f"the certificate of a.example in /etc/a.crt {expected}" if expected else "")


class Watched:
    """A store, its watch, and both clocks."""

    def __init__(self, *configured: CertificateFiles) -> None:
        self.loop, self.wall = TimedLoop(), Clock()
        self.store = CertificateStore(TlsConfig(), look_again=0.0)
        self.watch = ExpiryWatch(self.store, configured, self.loop.as_loop, self.wall)

    def after(self, seconds: float) -> None:
        self.wall.now += seconds
        self.loop.after(seconds)


def write(files: CertificateFiles, days: float) -> int:
    """Put a certificate there that ends so many days after the epoch of issuing; return that second."""
    issued = issuing.certificate(names=[files.name], end=issuing.START + dt.timedelta(days))
    Path(files.certificate).write_bytes(issuing.pem(issued))
    Path(files.key).write_bytes(issuing.private_pem(issuing.P256))
    return int(issued.not_valid_after_utc.timestamp())


@pytest.fixture
def files(tmp_path: Path) -> CertificateFiles:
    return CertificateFiles("a.example", str(tmp_path / "a.crt"), str(tmp_path / "a.key"))


def test_a_warning_a_day_until_it_is_renewed(files: CertificateFiles, log: Log) -> None:
    end = write(files, 30)
    watched = Watched(files)
    watched.wall.now = end - 15 * DAY
    watched.watch.start()
    assert [(one.name, one.file, one.not_after) for one in watched.watch.ends()] == [
        ("a.example", files.certificate, end)
    ]
    watched.after(DAY - 100)
    assert lines(log) == []
    watched.after(200)
    assert lines(log) == ["ends in 13 days"]
    for _ in range(3):
        watched.after(AGAIN)
    assert lines(log) == [f"ends in {days} days" for days in (13, 12, 11, 10)]
    renewed = write(files, 90)
    watched.after(DAY)
    assert len(lines(log)) == 4
    assert [one.not_after for one in watched.watch.ends()] == [renewed]
    watched.watch.close()
    assert all(timer.cancelled for timer in watched.loop.timers)


def test_what_is_served_counts_and_not_what_lies_there(files: CertificateFiles, log: Log) -> None:
    end = write(files, 30)
    watched = Watched(files)
    watched.wall.now = end - 40 * DAY
    watched.store.get(files, (), 0.0)
    write(files, 90)
    Path(files.key).write_text("no key")
    watched.store.get(files, (), 10.0)
    watched.watch.start()
    assert [one.not_after for one in watched.watch.ends()] == [end]


def test_those_that_were_asked_for_are_watched_too(files: CertificateFiles, log: Log) -> None:
    end = write(files, 30)
    watched = Watched()
    watched.wall.now = end + 1
    watched.watch.start()
    assert watched.watch.ends() == []
    watched.store.get(files, (), 0.0)
    watched.after(100)
    assert lines(log) == ["has ended"]
    assert len(watched.watch.ends()) == 1


def test_files_that_are_missing_or_no_certificates(files: CertificateFiles, log: Log) -> None:
    other = replace(files, name="b.example", certificate=files.key)
    Path(files.key).write_text("no certificate")
    watched = Watched(files, other)
    watched.watch.start()
    assert watched.watch.ends() == []
    end = write(files, 30)
    watched.wall.now = end - 20 * DAY
    watched.after(100)
    assert [one.name for one in watched.watch.ends()] == ["a.example"]


def test_many_are_looked_at_some_at_a_time(files: CertificateFiles) -> None:
    write(files, 3000)
    many = [replace(files, name=f"{number}.example") for number in range(120)]
    watched = Watched(*many)
    watched.wall.now = issuing.START.timestamp()
    watched.watch.start()
    assert len(watched.watch.ends()) == 50
    watched.after(0.0)
    assert len(watched.watch.ends()) == 120


def lines(log: Log) -> list[str]:
    """What the warnings say, without the time."""
    found = [re.search(r"(ends .*|has ended)(?=, at)", line) for line in log.having("warning ")]
    return [match[0] for match in found if match]


def test_those_that_other_processes_serve_are_told_of_once(
    files: CertificateFiles, log: Log
) -> None:
    end = write(files, 10)
    watched = Watched(files)
    watched.wall.now = end - 10 * DAY
    other = CertificateEnd("b.example", "/etc/b.crt", end, end - 90 * DAY)
    same = CertificateEnd("a.example", files.certificate, 0)
    served = [other, same]
    watched.watch.elsewhere = lambda: served
    watched.watch.start()
    # What is seen here counts more than what was told.
    assert {(one.name, one.not_after) for one in watched.watch.ends()} == {
        ("a.example", end),
        ("b.example", end),
    }
    watched.after(0.5 * DAY)
    assert sorted(line.split()[4] for line in log.lines) == ["a.example", "b.example"]
    served.remove(other)
    watched.after(DAY)
    assert [line.split()[4] for line in log.lines[2:]] == ["a.example"]
