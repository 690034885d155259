"""The store of contexts: loaded once, looked at once a second, never worse than before, bounded."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from tests.lab.log import Log
from tests.protocol.tls import issuing
from uwsgi_router.router.certificates.errors import CertificateFault
from uwsgi_router.router.certificates.store import CertificateStore
from uwsgi_router.router.config.tls import TlsConfig
from uwsgi_router.router.config.types import CertificateFiles

PEM = issuing.pem(issuing.certificate(names=["a.example"]))
OTHER = issuing.pem(issuing.certificate(names=["b.example"]))
KEY = issuing.private_pem(issuing.P256)


@pytest.fixture
def files(tmp_path: Path) -> CertificateFiles:
    found = CertificateFiles("a.example", str(tmp_path / "a.crt"), str(tmp_path / "a.key"))
    Path(found.certificate).write_bytes(PEM)
    Path(found.key).write_bytes(KEY)
    return found


@pytest.fixture
def store() -> CertificateStore:
    return CertificateStore(TlsConfig())


def test_one_context_for_the_same_files_and_protocols(
    store: CertificateStore, files: CertificateFiles
) -> None:
    context = store.get(files, ("http/1.1",), 0.0)
    assert store.get(files, ("http/1.1",), 5.0) is context
    assert store.get(replace(files, ciphers="HIGH"), ("http/1.1",), 5.0) is not context
    assert store.get(files, (), 5.0) is not context
    assert len(store) == 3


def test_files_are_looked_at_once_a_second(
    store: CertificateStore, files: CertificateFiles, log: Log
) -> None:
    context = store.get(files, (), 10.0)
    Path(files.certificate).write_bytes(OTHER)
    assert store.get(files, (), 10.99) is context
    renewed = store.get(files, (), 11.0)
    assert renewed is not context
    assert [one.certificate for one in store.all()] == [OTHER]
    assert log.having("loaded again from")
    assert store.get(files, (), 20.0) is renewed


@pytest.mark.parametrize("what", ["certificate", "key"])
@pytest.mark.parametrize("how", ["gone", "empty", "nonsense", "other"])
def test_what_cannot_be_loaded_leaves_what_was(
    store: CertificateStore, files: CertificateFiles, log: Log, what: str, how: str
) -> None:
    context = store.get(files, (), 0.0)
    path = Path(getattr(files, what))
    before = path.read_bytes()
    stranger = ec.generate_private_key(ec.SECP256R1())
    if how == "gone":
        path.unlink()
    elif how == "other" and what == "key":
        path.write_bytes(issuing.private_pem(stranger))
    elif how == "other":
        path.write_bytes(issuing.pem(issuing.certificate(key=stranger)))
    else:
        path.write_bytes(b"" if how == "empty" else b"-----BEGIN nonsense")
    for second in range(1, 6):
        assert store.get(files, (), float(second)) is context
    # Once, and not each second.
    assert len(log.having("the one before is served on")) == 1
    assert [one.certificate for one in store.all()] == [PEM]
    path.write_bytes(before)
    os.utime(path, ns=(1, 1))
    assert store.get(files, (), 9.0) is not context
    assert [one.fault for one in store.all()] == [""]


def test_what_could_never_be_loaded_is_an_error_until_it_can(
    store: CertificateStore, files: CertificateFiles, log: Log
) -> None:
    Path(files.key).unlink()
    for now in (0.0, 0.5, 1.5):
        with pytest.raises(CertificateFault, match=r"a\.key: no such file"):
            store.get(files, (), now)
    assert len(log.having("its connections are refused")) == 1
    Path(files.key).write_bytes(KEY)
    store.get(files, (), 3.0)


def test_the_one_that_was_not_used_for_longest_goes(files: CertificateFiles) -> None:
    store = CertificateStore(TlsConfig(), capacity=2)
    one, two, three = (replace(files, name=name) for name in ("one", "two", "three"))
    first, second = store.get(one, (), 0.0), store.get(two, (), 0.0)
    assert store.get(one, (), 0.0) is first
    store.get(three, (), 0.0)
    assert [loaded.files for loaded in store.all()] == [one, three]
    assert store.get(one, (), 0.0) is first
    assert store.get(two, (), 0.0) is not second


def test_thousands_of_names_take_no_more_memory_than_a_thousand(files: CertificateFiles) -> None:
    """In a process of its own: what others here have left would hide it."""
    code = f"""
from dataclasses import replace
from uwsgi_router.router.certificates.store import CAPACITY, CertificateStore
from uwsgi_router.router.config.tls import TlsConfig
from uwsgi_router.router.config.types import CertificateFiles

def memory():
    with open("/proc/self/status") as status:
        (line,) = [line for line in status if line.startswith("VmRSS")]
    return int(line.split()[1])

files, store = CertificateFiles("", {files.certificate!r}, {files.key!r}), CertificateStore(TlsConfig())
for number in range(CAPACITY):
    store.get(replace(files, name=f"n{{number}}.example"), (), 0.0)
full = memory()
for number in range(CAPACITY, 3 * CAPACITY):
    store.get(replace(files, name=f"n{{number}}.example"), (), 0.0)
print(len(store), full, memory())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    count, full, later = map(int, done.stdout.split())
    assert count == 1000
    assert full < 100_000
    assert later - full < 8_000
