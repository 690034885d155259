"""``RouterHttps``: uwsgiconf's parameters mean the same here, and a program's router serves."""

import inspect
import os
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from uwsgiconf.config import Section
from uwsgiconf.options import routing_routers as theirs

from tests.lab.lab import Lab
from tests.lab.messages import ask
from tests.lab.tls import NAME, Authority, TlsPeer
from tests.router.api.asking import connect
from tests.router.config.configuring import load
from uwsgi_router.router.api import ParameterError, RouterHttp, RouterHttps
from uwsgi_router.router.config.model import Configuration, HttpRouterConfig

ON = "127.0.0.1:8443"
FILES: dict[str, Any] = {"cert": "/etc/a.crt", "key": "/etc/a.key"}


def configuration(ini: str) -> Configuration:
    """What an ini file means to the command."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "router.ini"
        path.write_text(ini)
        return load([os.fspath(path)], {"HOME": "/home/me"})


def loaded(ini: str) -> HttpRouterConfig:
    """Its router."""
    (config,) = configuration(ini).routers
    assert isinstance(config, HttpRouterConfig)
    return config


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"ciphers": "ECDHE-RSA-AES128-GCM-SHA256:HIGH"},
        {"client_ca": "/etc/ca.pem"},
        {"client_ca": "!/etc/ca.pem"},
        {"session_context": "mine"},
        {"use_spdy": True},
        {"export_cert_var": True},
        {"ciphers": "HIGH", "client_ca": "!/etc/ca.pem", "use_spdy": True, "export_cert_var": True},
    ],
    ids=" ".join,
)
def test_what_uwsgiconf_writes_means_the_same(more: dict[str, Any]) -> None:
    section = Section()
    section.routing.use_router(theirs.RouterHttps(ON, **FILES, **more))
    written = section.as_configuration().format()
    lines = [line for line in written.splitlines() if line.startswith("http")]
    config = loaded("\n".join(("[uwsgi]", *lines, "http-to = 127.0.0.1:1", "")))
    ours = RouterHttps(ON, forward_to="127.0.0.1:1", **FILES, **more)
    (one,), (other,) = config.secure, loaded(ours.as_ini()).secure
    assert one.listen == other.listen == ON
    assert one.files == other.files
    exports = bool(more.get("export_cert_var"))
    assert (one.exports or config.https_export_cert) == exports
    assert (other.exports or loaded(ours.as_ini()).https_export_cert) == exports


def test_parameters_of_uwsgiconf_are_there() -> None:
    def names(router: Any) -> dict[str, object]:
        parameters = inspect.signature(router.__init__).parameters.values()
        return {one.name: (one.kind, one.default) for one in parameters}

    here, there = names(RouterHttps), names(theirs.RouterHttps)
    # What its RouterHttp has, and this one has forgotten.
    assert here.pop("forward_to") == names(RouterHttp)["forward_to"]
    assert here == there


def test_several_addresses_and_commas_in_names() -> None:
    router = RouterHttps(
        ["127.0.0.1:1", "[::1]:1"], cert="/a,b.crt", key="/k", forward_to=":1"
    ).set_tls_params(sni="b.example /b.crt,/b.key", sni_dir=["/one", "/two"])
    router.set_https_params(hsts=300)
    config = loaded(router.as_ini())
    tls = configuration(router.as_ini()).tls
    assert [one.listen for one in config.secure] == ["127.0.0.1:1", "[::1]:1"]
    assert {one.files.certificate for one in config.secure} == {"/a,b.crt"}
    assert config.hsts == 300
    assert [one.name for one in tls.sni] == ["b.example"]
    assert tls.sni_dirs == ("/one", "/two")


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: RouterHttps(ON, cert="", key="/k"), "cert"),
        (lambda: RouterHttps(ON, cert="/c", key=None), "key"),  # type: ignore[arg-type]
        (lambda: RouterHttps("8443", cert="/c", key="/k"), "8443"),
        (lambda: RouterHttps(ON, cert="-----BEGIN CERTIFICATE-----", key="/k"), "paths of files"),
        (lambda: RouterHttps(ON, **FILES).set_tls_params(min_version="1.1"), "min_version"),
        (lambda: RouterHttps(ON, **FILES).set_tls_params(sni="b.example /b.crt"), "sni"),
        (lambda: RouterHttps(ON, **FILES).set_https_params(hsts=-1), "hsts"),
        (lambda: RouterHttps(ON, **FILES).set_tls_params(sni_directory="/x"), "sni_dir"),  # type: ignore[call-arg]
    ],
)
def test_a_wrong_value_is_refused_at_once(make: Callable[[], RouterHttps], reason: str) -> None:
    with pytest.raises((ParameterError, TypeError), match=reason):
        make()


async def test_it_serves_inside_a_program(lab: Lab) -> None:
    authority = Authority.made(lab.tmp_path / "tls")
    files = authority.issue()
    router = RouterHttps(
        "127.0.0.1:0",
        cert=files.certificate,
        key=files.key,
        forward_to=f"http://{lab.http_node().address}",
    ).set_tls_params(min_version="1.3")
    router.set_https_params(hsts=60)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        async with router:
            (address,) = router.addresses
            peer = await connect(address)
            client = TlsPeer(peer.sock, authority.client(), NAME)
            await client.handshake()
            assert client.tls.version() == "TLSv1.3"
            await client.send(ask())
            answer = await client.answer()
            client.close()
    assert answer.status == 200
    assert answer.get("strict-transport-security") == b"max-age=60"
