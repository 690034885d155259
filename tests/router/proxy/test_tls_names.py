"""Certificates by name, certificates of clients, and what is served when files change."""

import asyncio
import os
import ssl
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from tests.lab.lab import Lab
from tests.lab.messages import ask, says
from tests.lab.router import Router
from tests.lab.scripts import always
from tests.lab.tls import NAME, Authority, TlsPeer
from tests.lab.waiting import until
from uwsgi_router.protocol.subscription import Subscription
from uwsgi_router.router.config.types import CertificateFiles, SecureListener
from uwsgi_router.subscriptions.sni import SniFiles

V1_2, V1_3 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority.made(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def clients(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Signs certificates of clients."""
    return Authority.made(tmp_path_factory.mktemp("clients"))


def read(path: str) -> bytes:
    return Path(path).read_bytes()


def write(path: str, data: bytes) -> None:
    Path(path).write_bytes(data)


def trusting(
    authority: Authority, certificate: CertificateFiles | None = None, **how: Any
) -> ssl.SSLContext:
    """The context of a client that looks at names itself."""
    context = authority.client(certificate, **how)
    context.check_hostname = False
    return context


def names_of(client: TlsPeer) -> list[str]:
    """The names of the certificate that a client got."""
    der = client.tls.getpeercert(True)
    assert der is not None
    certificate = x509.load_der_x509_certificate(der)
    extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    return extension.value.get_values_for_type(x509.DNSName)


async def served(lab: Lab, router: Router, context: ssl.SSLContext, name: str | None) -> list[str]:
    client = await lab.tls_open(router, context, name=name)
    found = names_of(client)
    client.eof()
    assert await client.ending() == (b"", "closed")
    return found


# --- which certificate ---


async def test_the_name_decides(lab: Lab, authority: Authority, tmp_path: Path) -> None:
    in_dir = Authority(authority.ca, tmp_path / "dir")
    in_dir.directory.mkdir()
    in_dir.issue("in-dir.example")
    in_dir.issue("*.wild.example")
    (tmp_path / "dir" / "certbot.example").mkdir()
    issued = authority.issue("certbot.example")
    os.rename(issued.certificate, tmp_path / "dir/certbot.example/fullchain.pem")
    os.rename(issued.key, tmp_path / "dir/certbot.example/privkey.pem")
    pattern = replace(authority.issue("by-pattern.example"), name="^by-.*[.]example$")
    router = await lab.to(
        lab.http_node(),
        secure=(authority.listener(),),
        tls={
            "sni": (
                authority.issue("exact.example"),
                authority.issue("*.star.example", at="star"),
                authority.issue("below.star.example"),
            ),
            "sni_regexps": (pattern,),
            "sni_dirs": (str(in_dir.directory),),
        },
    )
    context = trusting(authority)
    for name, expected in {
        "exact.example": "exact.example",
        "EXACT.Example": "exact.example",
        "a.star.example": "*.star.example",
        "below.star.example": "below.star.example",
        "a.b.star.example": NAME,
        "star.example": NAME,
        "by-chance.example": "by-pattern.example",
        "in-dir.example": "in-dir.example",
        "a.wild.example": "*.wild.example",
        "certbot.example": "certbot.example",
        "unknown.example": NAME,
        "dir": NAME,
        None: NAME,
    }.items():
        assert await served(lab, router, context, name) == [expected], name


async def test_dotsplit_is_for_certificates_too(lab: Lab, authority: Authority) -> None:
    for dotsplit in (False, True):
        router = await lab.to(
            lab.http_node(),
            secure=(authority.listener(),),
            subscription={"dotsplit": dotsplit},
            tls={"sni": (authority.issue("split.example"),)},
        )
        expected = "split.example" if dotsplit else NAME
        assert await served(lab, router, trusting(authority), "a.b.split.example") == [expected]


async def test_a_name_without_a_certificate_may_be_refused(lab: Lab, authority: Authority) -> None:
    router = await lab.to(lab.http_node(), secure=(authority.listener(),), tls={"sni_strict": True})
    client = await lab.tls_client(router, trusting(authority), "unknown.example")
    with pytest.raises(ssl.SSLError, match="UNRECOGNIZED_NAME"):
        await client.handshake()
    assert await served(lab, router, trusting(authority), None) == [NAME]
    assert router.counters.handshakes_failed == {"unknown-name": 1}


async def test_nodes_announce_certificates(lab: Lab, authority: Authority) -> None:
    router = await lab.announced(
        secure=(authority.listener(),),
        subscription={"sni_allow_dirs": (str(authority.directory),)},
    )
    files = authority.issue("announced.example")
    node = lab.uwsgi_node(always(says(b"x")))
    context = trusting(authority)
    assert await served(lab, router, context, "announced.example") == [NAME]
    key = b"announced.example"
    subscription = Subscription(
        "subscribe",
        key,
        node.address,
        sni_key=files.key.encode(),
        sni_crt=files.certificate.encode(),
    )
    table = router.table
    table.report(
        table.registry.apply(
            subscription,
            source="127.0.0.1",
            now=asyncio.get_running_loop().time(),
            sni=SniFiles((str(authority.directory),)).take(subscription),
        )
    )
    assert await served(lab, router, context, "announced.example") == ["announced.example"]
    assert await served(lab, router, context, "Announced.example") == ["announced.example"]
    router.leave(node.address, key)
    assert await served(lab, router, context, "announced.example") == [NAME]


# --- files that change ---


async def test_a_replaced_certificate_is_served_and_open_connections_stay(
    lab: Lab, authority: Authority
) -> None:
    router = await lab.to(lab.http_node(always(says(b"x"))), secure=(authority.listener(),))
    context = trusting(authority)
    before = await lab.tls_open(router, context, ask("/"))
    await before.answer()
    files = authority.issue("new.example", at=NAME)
    assert files.certificate.endswith(f"{NAME}.crt")
    names = [NAME]
    async with asyncio.timeout(2):
        while names == [NAME]:
            names = await served(lab, router, context, NAME)
    assert names == ["new.example"]
    await before.send(ask("/"))
    assert (await before.answer()).body == b"x"


async def test_a_mismatched_pair_is_never_served(lab: Lab, authority: Authority) -> None:
    files = authority.issue("pair.example")
    router = await lab.to(lab.http_node(), secure=(authority.listener(),), tls={"sni": (files,)})
    store = router.instance.certificates.store
    store._look_again = 0
    context = trusting(authority)
    assert await served(lab, router, context, "pair.example") == ["pair.example"]
    old_key = read(files.key)
    authority.issue("second.example", at="pair.example")
    new_key = read(files.key)
    write(files.key, old_key)
    for _ in range(3):
        assert await served(lab, router, context, "pair.example") == ["pair.example"]
    (line,) = lab.log.having("certificate of pair.example")
    assert "the key is not the one of the certificate" in line
    assert "the one before is served on" in line
    os.unlink(files.key)
    assert await served(lab, router, context, "pair.example") == ["pair.example"]
    write(files.key, new_key)
    assert await served(lab, router, context, "pair.example") == ["second.example"]


async def test_a_name_whose_files_are_broken_is_refused_until_they_are_not(
    lab: Lab, authority: Authority
) -> None:
    files = authority.issue("broken.example")
    text = read(files.certificate)
    write(files.certificate, b"nothing")
    router = await lab.to(lab.http_node(), secure=(authority.listener(),), tls={"sni": (files,)})
    router.instance.certificates.store._look_again = 0
    context = trusting(authority)
    client = await lab.tls_client(router, context, "broken.example")
    with pytest.raises(ssl.SSLError, match="INTERNAL_ERROR"):
        await client.handshake()
    assert router.counters.handshakes_failed == {"no-certificate": 1}
    write(files.certificate, text)
    assert await served(lab, router, context, "broken.example") == ["broken.example"]


# --- certificates of clients ---


def listener(authority: Authority, clients: Authority, mode: str) -> SecureListener:
    files = authority.issue()
    if mode:
        files = replace(files, client_ca=clients.file, ca_required=mode == "!")
    return authority.listener(files)


async def told(lab: Lab, router: Router, context: ssl.SSLContext, name: str = NAME) -> Any:
    client = await lab.tls_open(router, context, ask("/", host=name), name=name)
    return await client.answer()


@pytest.mark.parametrize("version", [V1_2, V1_3])
async def test_a_certificate_of_the_client_is_told_to_nodes(
    version: ssl.TLSVersion, lab: Lab, authority: Authority, clients: Authority
) -> None:
    node = lab.uwsgi_node(always(says(b"x")))
    router = await lab.http(
        node, secure=(listener(authority, clients, "?"),), https_export_cert=True
    )
    mine = clients.issue("me.example", common_name="Me/+")
    context = trusting(authority, mine, minimum=version, maximum=version)
    assert (await told(lab, router, context)).body == b"x"
    variables = node.requests[0].variables
    pem = read(mine.certificate).decode()
    leaf = ssl.PEM_cert_to_DER_cert(pem[: pem.index("-----END CERTIFICATE-----") + 26])
    assert variables[b"HTTPS_CLIENT_CERTIFICATE"] == leaf
    assert ssl.PEM_cert_to_DER_cert(variables[b"HTTPS_CC"].decode()) == leaf
    assert variables[b"HTTPS_DN"].endswith(b"/CN=Me\\/\\+")


async def test_an_optional_certificate_may_be_missing_but_not_a_strangers(
    lab: Lab, authority: Authority, clients: Authority
) -> None:
    node = lab.uwsgi_node(always(says(b"x")))
    router = await lab.http(node, secure=(listener(authority, clients, "?"),))
    assert (await told(lab, router, trusting(authority))).body == b"x"
    assert b"HTTPS_DN" not in node.requests[0].variables
    with pytest.raises(ssl.SSLError, match="UNKNOWN_CA"):
        await told(lab, router, trusting(authority, authority.issue("me.example")))
    await until(lambda: router.counters.handshakes_failed == {"bad-client-certificate": 1})


REFUSED = r"CERTIFICATE_REQUIRED|HANDSHAKE_FAILURE|reset"


async def first_byte(
    lab: Lab, router: Router, context: ssl.SSLContext, session: ssl.SSLSession | None
) -> None:
    """What a client gets without the certificate that the name demands."""
    name = "closed.example"
    client = await lab.tls_open(router, context, ask("/", host=name), name=name, session=session)
    await client.exactly(1)


@pytest.mark.parametrize("version", [V1_2, V1_3])
@pytest.mark.parametrize("asked_first", ["open.example", "closed.example", None])
async def test_a_name_that_demands_a_certificate_is_not_had_without(
    version: ssl.TLSVersion,
    asked_first: str | None,
    lab: Lab,
    authority: Authority,
    clients: Authority,
) -> None:
    """By no order of names, and not with the ticket of another name."""
    node = lab.http_node(always(says(b"x")))
    closed = replace(authority.issue("closed.example"), client_ca=clients.file, ca_required=True)
    router = await lab.to(
        node,
        secure=(authority.listener(),),
        tls={"sni": (authority.issue("open.example"), closed)},
    )
    context = trusting(authority, minimum=version, maximum=version)
    session = None
    if asked_first != "closed.example":
        client = await lab.tls_open(
            router, context, ask("/", host="open.example"), name=asked_first
        )
        assert (await client.answer()).body == b"x"
        # The name of a request counts, not only that of the connection.
        for host in ("closed.example", "CLOSED.example:443", "closed.example."):
            client = await lab.tls_open(router, context, ask("/", host=host), name=asked_first)
            assert (await client.answer()).status == 421
        session = client.tls.session
    with pytest.raises((ssl.SSLError, ConnectionError), match=REFUSED):
        await first_byte(lab, router, context, session)
    hosts = [request.get("host") for request in node.requests]
    assert all(b"closed" not in host.lower() for host in hosts if host)
    mine = trusting(authority, clients.issue("me.example"), minimum=version, maximum=version)
    assert (await told(lab, router, mine, "closed.example")).body == b"x"
    # And the other way round: whoever was verified for one name is nobody for another.
    client = await lab.tls_open(router, mine, ask("/", host="open.example"), name="closed.example")
    assert (await client.answer()).status == 421


async def test_a_resumed_session_keeps_the_certificate(
    lab: Lab, authority: Authority, clients: Authority
) -> None:
    node = lab.uwsgi_node(always(says(b"x")))
    router = await lab.http(node, keepalive=0, secure=(listener(authority, clients, "!"),))
    context = trusting(authority, clients.issue("me.example", common_name="Me"))
    session = None
    for _ in range(2):
        client = await lab.tls_open(router, context, ask("/"), session=session)
        await client.answer()
        session = client.tls.session
    assert client.tls.session_reused
    assert [b"CN=Me" in one.variables[b"HTTPS_DN"] for one in node.requests] == [True, True]


async def test_http_nodes_are_told_in_a_field_that_nobody_can_forge(
    lab: Lab, authority: Authority, clients: Authority
) -> None:
    node = lab.http_node(always(says(b"x")))
    router = await lab.to(
        node,
        listen=("127.0.0.1:0",),
        secure=(listener(authority, clients, "?"),),
        https_client_cert_header="Client-Cert",
    )
    forged = ask("/", "client-CERT: :Zm9yZ2Vk:", "X-Other: 1")
    mine = trusting(authority, clients.issue("me.example"))
    for context in (trusting(authority), mine):
        client = await lab.tls_open(router, context, forged)
        await client.answer()
    client_over_http = await lab.open(router, forged)
    await client_over_http.answer()
    values = [request.get("client-cert") for request in node.requests]
    assert values[0] is None
    assert values[1] is not None
    assert values[1].startswith(b":MII")
    assert values[1].endswith(b":")
    assert values[2] is None
    assert [request.get("x-other") for request in node.requests] == [b"1"] * 3


async def test_variables_of_a_certificate_cannot_be_forged(lab: Lab, authority: Authority) -> None:
    node = lab.uwsgi_node(always(says(b"x")))
    router = await lab.http(node, secure=(authority.listener(),))
    fields = ("HTTPS-DN: /CN=root", "HTTPS_DN: /CN=root", "HTTPS-CLIENT-CERTIFICATE: x")
    client = await lab.tls_open(router, authority.client(), ask("/", *fields))
    await client.answer()
    variables = node.requests[0].variables
    assert b"HTTPS_DN" not in variables
    assert b"HTTPS_CLIENT_CERTIFICATE" not in variables


# --- many names ---


async def test_contexts_are_bounded(lab: Lab, authority: Authority) -> None:
    files = tuple(authority.issue(f"n{number}.example") for number in range(6))
    router = await lab.to(lab.http_node(), secure=(authority.listener(),), tls={"sni": files})
    store = router.instance.certificates.store
    store._capacity = 3
    context = trusting(authority)
    for one in (*files, *files):
        assert await served(lab, router, context, one.name) == [one.name]
        assert len(store) <= 3
