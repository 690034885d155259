"""What workers tell of the certificates that they serve."""

from pathlib import Path
from typing import Any

import pytest

from tests.lab.tls import Authority
from uwsgi_router.router.app.feeding.certificates import FedCertificates, OwnedCertificates
from uwsgi_router.router.certificates.expiry import CertificateEnd
from uwsgi_router.router.certificates.store import CertificateStore
from uwsgi_router.router.config.tls import TlsConfig
from uwsgi_router.router.table.feed.frames import Record
from uwsgi_router.router.table.feed.parts import Worker
from uwsgi_router.subscriptions.node_record import RecordError

ONE, TWO = Worker(0), Worker(1)


class Serving:
    """Stores of two workers, and what their keeper knows."""

    def __init__(self, directory: Path) -> None:
        self.authority = Authority.made(directory)
        self.keeper = OwnedCertificates()
        self.stores = {
            worker: CertificateStore(TlsConfig(), capacity=2, look_again=0.0)
            for worker in (ONE, TWO)
        }
        self.fed = {worker: FedCertificates(store) for worker, store in self.stores.items()}
        for worker in self.fed:
            self.keeper.joined(worker)

    def load(self, name: str, worker: Worker = ONE) -> None:
        files = self.authority.issue(name)
        self.stores[worker].get(files, (), 0.0)

    def report(self, worker: Worker = ONE) -> list[Record]:
        records = self.fed[worker].counts()
        for _, word, *values in records:
            self.keeper.report(worker, str(word), values)
        return records

    def names(self) -> list[str]:
        return sorted(end.name for end in self.keeper.ends())


@pytest.fixture
def serving(tmp_path: Path) -> Serving:
    return Serving(tmp_path)


def test_the_keeper_knows_what_workers_have_loaded(serving: Serving) -> None:
    serving.load("a.example")
    assert [record[1:3] for record in serving.report()] == [("serves", "a.example")]
    (end,) = serving.keeper.ends()
    assert end.file == str(serving.authority.directory / "a.example.crt")
    assert end.not_before < end.not_after
    assert serving.report() == []


def test_what_was_loaded_again_is_told_again(serving: Serving) -> None:
    serving.load("a.example")
    serving.report()
    serving.load("a.example")
    assert [record[1:3] for record in serving.report()] == [("serves", "a.example")]
    assert serving.names() == ["a.example"]


def test_what_had_to_make_room_is_served_no_more(serving: Serving) -> None:
    for name in ("a.example", "b.example", "c.example"):
        serving.load(name)
        serving.report()
    assert serving.names() == ["b.example", "c.example"]


def test_a_worker_that_ends_serves_nothing(serving: Serving) -> None:
    for worker in (ONE, TWO):
        serving.load("a.example", worker)
        serving.report(worker)
    serving.load("b.example", TWO)
    serving.report(TWO)
    assert serving.names() == ["a.example", "b.example"]
    serving.keeper.left(TWO)
    assert serving.names() == ["a.example"]


def test_another_keeper_is_told_all(serving: Serving) -> None:
    serving.load("a.example")
    serving.report()
    serving.keeper = OwnedCertificates()
    serving.fed[ONE].attached(again=True, taken=False)
    serving.report()
    assert serving.names() == ["a.example"]


def test_the_earliest_end_counts(serving: Serving) -> None:
    for worker, end in ((ONE, 7), (TWO, 5)):
        serving.keeper.report(worker, "serves", ["a.example", "/a.crt", end, 1])
    assert serving.keeper.ends() == [CertificateEnd("a.example", "/a.crt", 5, 1)]


@pytest.mark.parametrize(
    ("word", "values"),
    [
        ("serves", ["a", "b", 1]),
        ("serves", ["a", "b", "c", 1]),
        ("serves", [1, "b", 1, 1]),
        ("serves", ["a", "b", True, 1]),
        ("drops", ["a"]),
        ("other", []),
    ],
)
def test_what_makes_no_sense_is_refused(serving: Serving, word: str, values: list[Any]) -> None:
    with pytest.raises(RecordError):
        serving.keeper.report(ONE, word, values)
    assert serving.keeper.ends() == []
