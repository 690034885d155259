"""What ``check`` says of certificates: files that don't fit, keys that their user can't read, slow keys, ends."""

import datetime as dt
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
)

from tests.protocol.tls import issuing
from uwsgi_router.router.app.prepare.prepare import prepare
from uwsgi_router.router.config.lines import Problem, Severity
from uwsgi_router.router.config.load import examine

HTTPS = "https = 127.0.0.1:8443,{0}/a.crt,{0}/a.key"
AS_NOBODY = ("uid = nobody", "gid = nogroup")
root = pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes somebody else")


class Checked:
    """Files below a directory that everybody may enter."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        now = dt.datetime.now(dt.UTC)
        self.good = issuing.certificate(names=["a.example"], end=now + dt.timedelta(days=90))
        self.write("a.crt", issuing.pem(self.good), 0o644)
        self.write("a.key", issuing.private_pem(issuing.P256), 0o644)

    def write(self, name: str, content: bytes, mode: int) -> Path:
        path = self.directory / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
        path.chmod(mode)
        return path

    def problems(self, *lines: str) -> list[Problem]:
        """What is found in a file with these lines, the first of which is line 2."""
        lines = tuple(line.format(self.directory) for line in lines)
        file = self.directory / "router.ini"
        file.write_text("\n".join(("[uwsgi]", *lines, "http-to = 127.0.0.1:1", "")))
        report = prepare(examine([os.fspath(file)], {}))
        found = [*report.problems, *report.warnings]
        return [one for one in found if "running as root" not in one.message]

    def problem(self, *lines: str) -> Problem:
        (found,) = self.problems(*lines)
        return found


@pytest.fixture
def checked() -> Iterator[Checked]:
    directory = Path(tempfile.mkdtemp(prefix="check-"))
    directory.chmod(0o755)
    yield Checked(directory)
    shutil.rmtree(directory)


def test_good_ones_are_no_problem(checked: Checked) -> None:
    sni = "sni = b.example {0}/a.crt,{0}/a.key"
    assert checked.problems(HTTPS, sni) == []
    if os.geteuid() == 0:
        assert checked.problems(HTTPS, sni, *AS_NOBODY) == []


@pytest.mark.parametrize(
    ("lines", "line", "text"),
    [
        (("https = :8443,/no/such.crt,{0}/a.key",), 2, "https: /no/such.crt: no such file"),
        (("https = :8443,{0}/a.crt,/no/such.key",), 2, "https: /no/such.key: no such file"),
        (("https2 = addr=:8443,cert={0}/a.crt,key=/no/such",), 2, "https2: /no/such: no such file"),
        ((HTTPS, "sni = b.example /no/such,{0}/a.key"), 3, "sni: /no/such: no such file"),
        ((HTTPS, "sni-regexp = b /no/such,{0}/a.key"), 3, "sni-regexp: /no/such: no such file"),
        (
            (HTTPS, "sni = b.example {0}/a.crt,{0}/other.key"),
            3,
            "other.key: the key is not the one",
        ),
        (("https = :8443,{0}/a.key,{0}/a.key",), 2, "a.key: "),
        (("https = :8443,{0}/empty,{0}/a.key",), 2, "empty: no certificate in it (PEM is needed)"),
        (("https = :8443,{0}/a.crt,{0}/a.crt",), 2, "a.crt: no private key in it"),
        (("https = :8443,{0}/a.crt,{0}/secret.key",), 2, "secret.key: the key has a pass phrase"),
        ((HTTPS + ",NONSENSE",), 2, "OpenSSL knows none of them for TLS 1.2"),
        ((HTTPS + ",,/no/ca",), 2, "https: /no/ca: no such file"),
        ((HTTPS + ",,!{0}/empty",), 2, "empty: "),
        ((HTTPS, "sni-dir = /no/such"), 3, "sni-dir: /no/such: there is no such directory"),
    ],
)
def test_files_that_do_not_fit(
    checked: Checked, lines: tuple[str, ...], line: int, text: str
) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    phrase = BestAvailableEncryption(b"phrase")
    checked.write("other.key", issuing.private_pem(key), 0o644)
    checked.write("empty", b"nothing\n", 0o644)
    checked.write("secret.key", key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, phrase), 0o644)
    problem = checked.problem(*lines)
    assert text in problem.message
    assert problem.severity is Severity.ERROR
    assert problem.where.endswith(f"router.ini:{line}")


def test_what_the_boot_may_make_later_is_no_error_yet(checked: Checked) -> None:
    problem = checked.problem("https = :8443,/run/no/such.crt,/run/no/such.key")
    assert problem.severity is Severity.DEPENDS


@root
def test_a_key_that_its_user_may_not_read(checked: Checked) -> None:
    checked.write("a.key", issuing.private_pem(issuing.P256), 0o600)
    problem = checked.problem(HTTPS, *AS_NOBODY)
    assert f"may not read {checked.directory}/a.key, " in problem.message
    assert "let that user, or a group of its, read it" in problem.message
    assert problem.severity is Severity.ERROR
    # As root it may.
    assert checked.problems(HTTPS) == []


@root
@pytest.mark.parametrize("closed", ["live", "archive"])
def test_certbots_directories_that_its_user_may_not_enter(checked: Checked, closed: str) -> None:
    """Links lead from one to the other; both have to be open."""
    for name in ("a.crt", "a.key"):
        content = (checked.directory / name).read_bytes()
        target = checked.write(f"archive/{name}", content, 0o644)
        link = checked.directory / "live" / name
        link.parent.mkdir(exist_ok=True)
        link.symlink_to(target)
    https = "https = :8443,{0}/live/a.crt,{0}/live/a.key"
    assert checked.problems(https, *AS_NOBODY) == []
    (checked.directory / closed).chmod(0o700)
    found = checked.problems(https, *AS_NOBODY)
    assert [f"may not read {checked.directory}/live/{name}, " in one.message
            for name, one in zip(("a.crt", "a.key"), found, strict=True)] == [True, True]  # fmt: skip


@pytest.mark.parametrize(("bits", "warned"), [(2048, False), (4096, True)])
def test_slow_keys_are_warned_of(checked: Checked, bits: int, warned: bool) -> None:
    key = rsa.generate_private_key(65537, bits)
    end = dt.datetime.now(dt.UTC) + dt.timedelta(days=90)
    checked.write("a.crt", issuing.pem(issuing.certificate(key=key, end=end)), 0o644)
    checked.write("a.key", issuing.private_pem(key), 0o644)
    found = checked.problems(HTTPS)
    assert len(found) == warned
    for problem in found:
        assert "an RSA key of 4096 bits: each handshake keeps everybody waiting" in problem.message
        assert problem.severity is Severity.WARNING


@pytest.mark.parametrize(
    ("days", "said"), [(30.0, ""), (5.5, " ends in 5 days, at "), (-1.0, " has ended, at ")]
)
@pytest.mark.parametrize("option", ["https", "sni"])
def test_ends(checked: Checked, days: float, said: str, option: str) -> None:
    now = dt.datetime.now(dt.UTC)
    issued = issuing.certificate(
        start=now - dt.timedelta(days=100), end=now + dt.timedelta(days=days)
    )
    checked.write("b.crt", issuing.pem(issued), 0o644)
    line = {"https": "https = :8443,{0}/b.crt,{0}/a.key", "sni": "sni = b {0}/b.crt,{0}/a.key"}
    lines = (line[option],) if option == "https" else (line[option], HTTPS)
    found = checked.problems(*lines)
    assert len(found) == bool(said)
    for problem in found:
        assert said in problem.message
        assert f"in {checked.directory}/b.crt " in problem.message
        assert problem.severity is Severity.WARNING
        assert problem.where.endswith("router.ini:2")


def test_files_stand_below_chdir(checked: Checked) -> None:
    lines = ("https = :8443,a.crt,a.key", "chdir = {0}")
    assert checked.problems(*lines) == []
    assert "no such file" in checked.problem(lines[0]).message
