"""What is fuzzed of TLS: the hello that a connection begins with, and certificates."""

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.x509.oid import NameOID

from tests.fuzz.target import Target, outcome
from tests.protocol.tls import hellos, issuing
from uwsgi_router.protocol.tls.certificate import (
    first_der,
    one_line_subject,
    read_certificate,
    read_der,
    to_pem,
)
from uwsgi_router.protocol.tls.errors import CertificateError, HelloError
from uwsgi_router.protocol.tls.hello import MAX_HELLO_BYTES, read_hello


def hello(data: bytes) -> str:
    """The first bytes of a connection: whole, in two pieces, with more behind them, in smaller records."""
    found = _hello_outcome(data)
    cut = len(data) // 2
    early = _hello_outcome(data[:cut])
    if isinstance(found, str):
        assert early is None or isinstance(early, str)
        return found
    if found is None:
        assert early is None
        assert len(data) < MAX_HELLO_BYTES
        return "more"
    assert early is None or early == found
    assert found.size <= len(data)
    assert _hello_outcome(data[: found.size]) == found
    assert _hello_outcome(data[: found.size - 1]) is None
    assert _hello_outcome(data[: found.size] + b"more") == found
    if found.server_name is not None:
        assert found.server_name == found.server_name.lower().strip(".")
        assert not {"", ".."} & set(found.server_name.split("."))
        assert found.server_name.isascii()
        assert "/" not in found.server_name
    return f"accepted {found.server_name is None} {len(found.alpn)} {len(found.versions)}"


def _hello_outcome(data: bytes) -> hellos.Said | str | None:
    try:
        hello = read_hello(data)
        return None if hello is None else hellos.said(hello)
    except HelloError as exc:
        refusal = exc
    assert len(str(refusal)) < 200
    return outcome(refusal)


def recorded_hellos(packet: bytes) -> list[bytes]:
    """Return the recorded hellos, and one with the packet as what nobody knows."""
    made = hellos.message([hellos.server_name(b"a.example"), (0x0A0A, packet)])
    sent = [line.data for line in hellos.recorded()]
    return [*sent, *(hellos.split(data, 200) for data in sent), hellos.records(made, 2000)]


def certificate(data: bytes) -> str:
    """A certificate in DER, and the same bytes as a file of PEM."""
    try:
        read = read_der(data)
    except CertificateError as exc:
        refusal = exc
    else:
        assert first_der(to_pem(data)) == data
        assert read_certificate(to_pem(data)) == read
        line = one_line_subject(data)
        assert line.decode("ascii").isprintable()
        assert line[:1] in {b"", b"/"}
        return f"accepted {len(read.names)} {len(read.addresses)} {read.kind} {line.count(b'=')}"
    assert len(str(refusal)) < 200
    try:
        read_certificate(data)
    except CertificateError:
        return outcome(refusal)
    return "accepted as PEM"


def issued_certificates(packet: bytes) -> list[bytes]:
    """Return certificates of several kinds, one of them with the packet in its subject, in DER and in PEM."""
    named = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, packet[:20].hex() or "-"),
            x509.NameAttribute(NameOID.COMMON_NAME, "a.example"),
        ]
    )
    issued = [
        issuing.certificate(
            named,
            names=["a.example", "*.b.example"],
            addresses=["::1"],
            key=P256,
            signer=ED25519,
            serial=1,
        ),
        issuing.certificate(key=ED25519, serial=1),
    ]
    return [*map(issuing.der, issued), *map(issuing.pem, issued)]


# Keys that are always the same, and signatures without chance in them: a seed makes the same inputs in every run.
ED25519 = ed25519.Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
P256 = ec.derive_private_key(7, ec.SECP256R1())

TARGETS = (
    Target("hello", hello, recorded_hellos),
    Target("certificate", certificate, issued_certificates),
)
