"""``uwsgi-router keys new``: a pair that fits, and nothing that was there is touched."""

import os
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization

from tests.subscriptions.signing import NOW, PrivateKey, read, signed
from uwsgi_router.router.cli.main import main
from uwsgi_router.subscriptions.sender import Sender
from uwsgi_router.subscriptions.signature import Signatures, SignCheck

SENDER = Sender("10.0.0.1", "10.0.0.1")


@pytest.mark.parametrize("kind", ["rsa2048", "rsa3072", "ec"])
def test_what_is_signed_with_one_is_verified_with_the_other(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old = os.umask(0o077)
    try:
        args = ["keys", "new", "example.com:8000", "--dir", str(tmp_path), "--type", kind]
        assert main(args) == 0
    finally:
        os.umask(old)
    private, public = tmp_path / "example.com_8000.key", tmp_path / "example.com_8000.pem"
    assert private.stat().st_mode & 0o777 == 0o600
    assert public.stat().st_mode & 0o777 == 0o644
    pair = serialization.load_pem_private_key(private.read_bytes(), None)
    assert isinstance(pair, PrivateKey)
    signatures = Signatures(SignCheck("SHA256", str(tmp_path)))
    signatures.verify(read(signed(pair, key=b"example.com:8000")), SENDER, NOW)
    out = capsys.readouterr().out
    assert f"subscriptions-sign-check = SHA256:{tmp_path}\n" in out
    assert f"subscribe-to = ROUTER:PORT:example.com:8000,0,SHA256:{private}\n" in out


def test_openssl_can_read_them(tmp_path: Path) -> None:
    assert main(["keys", "new", "a.example", "--dir", str(tmp_path)]) == 0
    try:
        done = subprocess.run(
            ["openssl", "pkey", "-in", str(tmp_path / "a.example.key"), "-pubout"],
            capture_output=True,
            check=True,
        )
    except FileNotFoundError:
        pytest.skip("openssl is not here")
    assert done.stdout == (tmp_path / "a.example.pem").read_bytes()


@pytest.mark.parametrize("there", ["a.example.key", "a.example.pem"])
def test_nothing_is_overwritten_and_no_half_is_left(
    there: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / there).write_text("mine")
    assert main(["keys", "new", "a.example", "--dir", str(tmp_path)]) == 1
    assert (tmp_path / there).read_text() == "mine"
    assert [path.name for path in tmp_path.iterdir()] == [there]
    (line,) = capsys.readouterr().err.splitlines()
    assert f"{there} exists, and keys are never overwritten" in line


def test_what_can_not_be_made_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["keys", "new", "a.example", "--dir", str(tmp_path / "none")]) == 1
    assert main(["keys", "new", "k" * 256]) == 1
    assert main(["keys", "new", ""]) == 1
    first, second, third = capsys.readouterr().err.splitlines()
    assert "a.example.key: No such file" in first
    assert "this one 256" in second
    assert "this one 0" in third
