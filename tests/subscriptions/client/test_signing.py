"""Signatures are made by cryptography or by openssl, and verify with openssl; or it is said why not."""

import subprocess
import sys
from pathlib import Path

import pytest

from uwsgi_router.subscriptions.client.errors import SubscribeError
from uwsgi_router.subscriptions.client.signing import Signer


@pytest.fixture(params=["cryptography", "openssl"])
def means(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """With only one of the two there."""
    if request.param == "openssl":
        monkeypatch.setitem(sys.modules, "cryptography", None)
    else:
        monkeypatch.setenv("PATH", "/nonexistent")
    return str(request.param)


@pytest.mark.usefixtures("means")
@pytest.mark.parametrize("digest", ["SHA1", "sha256", "MD5"])
@pytest.mark.parametrize("kind", ["rsa", "ec"])
def test_signatures_verify(keys: Path, tmp_path: Path, kind: str, digest: str) -> None:
    signature = tmp_path / "signature"
    signature.write_bytes(Signer.checked(digest, str(keys / f"{kind}.pem")).sign(b"the block"))
    argv = ["/usr/bin/env", "PATH=/usr/bin:/bin", "openssl", "dgst", f"-{digest.lower()}"]
    argv += ["-verify", str(keys / f"{kind}.pub"), "-signature", str(signature)]
    verified = subprocess.run(argv, input=b"the block", capture_output=True, check=False)
    assert verified.stdout == b"Verified OK\n"


@pytest.mark.usefixtures("means")
@pytest.mark.parametrize("name", ["ed25519", "encrypted"])
def test_keys_that_routers_cannot_check_are_refused(keys: Path, name: str) -> None:
    with pytest.raises(SubscribeError, match=f"{name}.pem"):
        Signer.checked("SHA256", str(keys / f"{name}.pem")).sign(b"")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "No such file"),
        (b"nonsense", "no private key in PEM form"),
        (
            b"-----BEGIN OPENSSH PRIVATE KEY-----\nYQ==\n-----END OPENSSH PRIVATE KEY-----\n",
            "ssh-keygen -p -m PEM",
        ),
        (b"-----BEGIN PRIVATE KEY-----\nYQ==\n-----END PRIVATE KEY-----\n", "cannot sign with"),
    ],
)
def test_a_key_file_that_is_none(tmp_path: Path, content: bytes | None, reason: str) -> None:
    file = tmp_path / "key.pem"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(SubscribeError) as caught:
        Signer.checked("SHA256", str(file)).sign(b"")
    assert str(file) in str(caught.value)
    assert reason in str(caught.value)


def test_without_any_means_it_is_said(keys: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cryptography", None)
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(SubscribeError, match="openssl or the Python package cryptography"):
        Signer.checked("SHA256", str(keys / "rsa.pem")).sign(b"")


def test_a_replaced_key_is_used_at_once(keys: Path, tmp_path: Path) -> None:
    file = tmp_path / "key.pem"
    file.write_bytes((keys / "rsa.pem").read_bytes())
    signer = Signer.checked("SHA256", str(file))
    assert len(signer.sign(b"")) == 256
    file.write_bytes((keys / "ec.pem").read_bytes())
    assert len(signer.sign(b"")) < 80


@pytest.mark.parametrize("text", ["SHA256", "SHA256:", ":/k", "", "-out:/k", "shake_128:/k"])
def test_what_is_no_digest_and_file(text: str) -> None:
    with pytest.raises(SubscribeError):
        Signer.parse(text)
