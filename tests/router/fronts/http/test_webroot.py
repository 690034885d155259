"""Files of challenges: found, never outside of their directory, never waited for."""

import logging
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from uwsgi_router.router.fronts.http.webroot import MAX_CHALLENGE, Webroot


@pytest.fixture
def challenges(tmp_path: Path) -> Path:
    folder = tmp_path / "webroot" / ".well-known" / "acme-challenge"
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
def webroot(tmp_path: Path) -> Webroot:
    return Webroot(str(tmp_path / "webroot"))


def test_challenge(webroot: Webroot, challenges: Path) -> None:
    (challenges / "a_Token-1").write_bytes(b"a_Token-1.hash")
    assert webroot.read(b"a_Token-1") == b"a_Token-1.hash"
    (challenges / "a_Token-1").write_bytes(b"x" * MAX_CHALLENGE)
    assert webroot.read(b"a_Token-1") == b"x" * MAX_CHALLENGE
    (challenges / "a_Token-1").unlink()
    assert webroot.read(b"a_Token-1") is None


def test_the_directory_may_be_a_link_and_may_come_later(tmp_path: Path) -> None:
    webroot = Webroot(str(tmp_path / "link"))
    assert webroot.read(b"token") is None
    folder = tmp_path / "real" / ".well-known" / "acme-challenge"
    folder.mkdir(parents=True)
    (folder / "token").write_bytes(b"answer")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert webroot.read(b"token") == b"answer"


@pytest.mark.parametrize(
    "token",
    [b"", b".", b"..", b"a.txt", b"a/b", b"../secret", b"a b", b"a\0", b"\xc3\xbc", b"a" * 256],
)
def test_what_is_no_token_is_not_looked_for(
    webroot: Webroot, challenges: Path, token: bytes
) -> None:
    (challenges / "a.txt").write_bytes(b"a file")
    (challenges.parent / "secret").write_bytes(b"a secret")
    assert webroot.read(token) is None


def link_to_file(challenges: Path) -> None:
    (challenges.parent / "secret").write_bytes(b"a secret")
    (challenges / "token").symlink_to("../secret")


def link_to_folder(challenges: Path) -> None:
    elsewhere = challenges.parent.parent / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "token").write_bytes(b"a secret")
    challenges.rmdir()
    challenges.symlink_to(elsewhere)


def link_to_folder_above(challenges: Path) -> None:
    elsewhere = challenges.parent.parent / "elsewhere"
    challenges.parent.rename(elsewhere)
    (elsewhere / "acme-challenge" / "token").write_bytes(b"a secret")
    challenges.parent.symlink_to(elsewhere)


def pipe(challenges: Path) -> None:
    os.mkfifo(challenges / "token")


def folder(challenges: Path) -> None:
    (challenges / "token").mkdir()


def large(challenges: Path) -> None:
    (challenges / "token").write_bytes(b"x" * (MAX_CHALLENGE + 1))


@pytest.mark.parametrize(
    "put", [link_to_file, link_to_folder, link_to_folder_above, pipe, folder, large]
)
def test_what_is_no_challenge_is_told_to_the_operator(
    webroot: Webroot,
    challenges: Path,
    put: Callable[[Path], None],
    caplog: pytest.LogCaptureFixture,
) -> None:
    put(challenges)
    before = len(os.listdir("/proc/self/fd"))
    with caplog.at_level(logging.WARNING):
        assert webroot.read(b"token") is None
    assert len(os.listdir("/proc/self/fd")) == before
    (line,) = [record.getMessage() for record in caplog.records]
    assert "the challenge token can't be read: " in line


def test_a_challenge_that_is_not_there_is_not_logged(
    webroot: Webroot, challenges: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert webroot.read(b"token") is None
    challenges.rmdir()
    assert webroot.read(b"token") is None
    assert not caplog.records
