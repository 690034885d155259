"""Certificates that end soon are told of by ``check``, with their place."""

import datetime as dt
import os
from pathlib import Path

import pytest

from tests.protocol.tls import issuing
from uwsgi_router.router.app.prepare.prepare import prepare
from uwsgi_router.router.config.load import examine


@pytest.mark.parametrize(
    ("days", "said"),
    [(30.0, ""), (5.5, " ends in 5 days, at "), (-1.0, " has ended, at ")],
)
@pytest.mark.parametrize(
    "line", ["https = 127.0.0.1:8443,{0},{1}", "sni = b.example {0},{1}"], ids=["https", "sni"]
)
def test_a_certificate_that_ends_is_told_of(
    tmp_path: Path, days: float, said: str, line: str
) -> None:
    now = dt.datetime.now(dt.UTC)
    issued = issuing.certificate(
        start=now - dt.timedelta(days=100), end=now + dt.timedelta(days=days)
    )
    certificate, key = tmp_path / "a.crt", tmp_path / "a.key"
    certificate.write_bytes(issuing.pem(issued))
    key.write_bytes(issuing.private_pem(issuing.P256))
    good = issuing.certificate(end=now + dt.timedelta(days=300))
    (tmp_path / "good.crt").write_bytes(issuing.pem(good))
    lines = ["[uwsgi]", "http-to = 127.0.0.1:8000", line.format(certificate, key)]
    if line.startswith("sni"):
        lines.append(f"https = 127.0.0.1:8443,{tmp_path}/good.crt,{key}")
    file = tmp_path / "router.ini"
    file.write_text("\n".join((*lines, "")))
    report = prepare(examine([os.fspath(file)], {}))
    assert not report.problems
    assert len(report.warnings) == bool(said)
    for warning in report.warnings:
        assert said in warning.message
        assert f"in {certificate} " in warning.message
        assert warning.where.endswith("router.ini:3")
