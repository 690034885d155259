"""Contexts: what they speak, and whose certificates they take."""

import ssl
from dataclasses import replace
from pathlib import Path

import pytest

from tests.protocol.tls import issuing
from uwsgi_router.router.certificates.contexts import server_context
from uwsgi_router.router.certificates.errors import CertificateFault
from uwsgi_router.router.certificates.pem import read_pem
from uwsgi_router.router.config.tls import TlsConfig
from uwsgi_router.router.config.types import CertificateFiles


@pytest.fixture
def files(tmp_path: Path) -> CertificateFiles:
    found = CertificateFiles("a.example", str(tmp_path / "a.crt"), str(tmp_path / "a.key"))
    Path(found.certificate).write_bytes(issuing.pem(issuing.certificate()))
    Path(found.key).write_bytes(issuing.private_pem(issuing.P256))
    return found


def made(files: CertificateFiles, config: TlsConfig | None = None) -> ssl.SSLContext:
    return server_context(files, read_pem(files), config or TlsConfig(), ("http/1.1",))


def test_what_is_spoken_by_default(files: CertificateFiles) -> None:
    context = made(files)
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    assert context.options & ssl.OP_NO_RENEGOTIATION
    assert context.options & ssl.OP_NO_COMPRESSION
    # The client knows what it is fast at.
    assert not context.options & ssl.OP_CIPHER_SERVER_PREFERENCE
    ciphers = {one["name"]: one for one in context.get_ciphers()}
    old = [one for one in ciphers.values() if one["protocol"] != "TLSv1.3"]
    assert old
    assert all(name.startswith("ECDHE-") for name in (one["name"] for one in old))
    assert all(one["aead"] for one in ciphers.values())
    assert context.verify_mode is ssl.CERT_NONE


def test_lowest_version(files: CertificateFiles) -> None:
    context = made(files, TlsConfig(min_version="1.3"))
    assert context.minimum_version is ssl.TLSVersion.TLSv1_3


def test_ciphers_of_the_operator_stand_in_his_order(files: CertificateFiles) -> None:
    wanted = "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-ECDSA-AES128-GCM-SHA256"
    context = made(replace(files, ciphers=wanted))
    assert context.options & ssl.OP_CIPHER_SERVER_PREFERENCE
    found = [one["name"] for one in context.get_ciphers() if one["protocol"] != "TLSv1.3"]
    assert found == wanted.split(":")
    with pytest.raises(CertificateFault, match="knows none of them"):
        made(replace(files, ciphers="TLS_AES_128_GCM_SHA256"))


@pytest.mark.parametrize("required", [False, True])
def test_authorities_of_clients(files: CertificateFiles, required: bool) -> None:
    context = made(replace(files, client_ca=files.certificate, ca_required=required))
    assert context.verify_mode is (ssl.CERT_REQUIRED if required else ssl.CERT_OPTIONAL)
    assert len(context.get_ca_certs()) == 1
    # Nobody else's: not the system's.
    assert context.cert_store_stats()["x509"] == 1


@pytest.mark.parametrize("content", [b"", b"nothing", b"-----BEGIN CERTIFICATE-----\nAAAA\n"])
def test_authorities_that_are_none(files: CertificateFiles, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "ca").write_bytes(content)
    with pytest.raises(CertificateFault, match="ca: "):
        made(replace(files, client_ca=str(tmp_path / "ca"), ca_required=True))


def test_nothing_of_a_key_is_left_behind(files: CertificateFiles, tmp_path: Path) -> None:
    """OpenSSL reads files; what it is lent lies in memory, and in no directory."""
    before = set(tmp_path.iterdir())
    made(files)
    assert set(tmp_path.iterdir()) == before
