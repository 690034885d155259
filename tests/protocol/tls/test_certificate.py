"""Certificates: as `cryptography` and trustme make and read them, malformed, and OpenSSL's one-line subjects."""

import ctypes
import datetime as dt
import ssl

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.x509.name import _ASN1Type
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from tests.protocol.tls import issuing
from uwsgi_router.protocol.tls.certificate import (
    first_der,
    one_line_subject,
    read_certificate,
    read_der,
    to_pem,
)
from uwsgi_router.protocol.tls.der import Elements, read_object_id
from uwsgi_router.protocol.tls.errors import CertificateError
from uwsgi_router.protocol.tls.subject import SHORT_NAMES

Key = issuing.Key
ISSUED = issuing.certificate(names=["a.example", "*.b.example"], addresses=["192.0.2.7", "::1"])
DER = issuing.der(ISSUED)


# ---------------------------------------------------------------------------------------- what it says


def test_names_and_validity() -> None:
    read = read_certificate(issuing.pem(ISSUED))
    assert read.names == ("a.example", "*.b.example")
    assert read.addresses == ("192.0.2.7", "::1")
    assert read.common_name == "a.example"
    assert (read.kind, read.bits) == ("EC P-256", 256)
    assert read.not_before == ISSUED.not_valid_before_utc.timestamp()
    assert read.not_after == ISSUED.not_valid_after_utc.timestamp()


# From 1950, the first year that certificates can name, to the end of 9999.
SECONDS = st.integers(-631_152_000, 253_402_300_799)


@given(SECONDS, SECONDS)
def test_times_of_every_year(one: int, other: int) -> None:
    first, last = sorted((one, other))
    start, end = (dt.datetime.fromtimestamp(seconds, dt.UTC) for seconds in (first, last))
    read = read_der(issuing.der(issuing.certificate(start=start, end=end)))
    assert (read.not_before, read.not_after) == (first, last)


@pytest.mark.parametrize(
    ("key", "kind", "bits"),
    [
        (ec.generate_private_key(ec.SECP256R1()), "EC P-256", 256),
        (ec.generate_private_key(ec.SECP384R1()), "EC P-384", 384),
        (ec.generate_private_key(ec.SECP521R1()), "EC P-521", 521),
        (ec.generate_private_key(ec.SECP256K1()), "EC 1.3.132.0.10", 0),
        (rsa.generate_private_key(65537, 2048), "RSA", 2048),
        (rsa.generate_private_key(65537, 1024), "RSA", 1024),
        (ed25519.Ed25519PrivateKey.generate(), "Ed25519", 256),
        (ed448.Ed448PrivateKey.generate(), "Ed448", 456),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_keys(key: Key, kind: str, bits: int) -> None:
    read = read_der(issuing.der(issuing.certificate(key=key)))
    assert (read.kind, read.bits) == (kind, bits)


def test_leaf_of_a_chain_of_trustme_behind_its_key() -> None:
    authority = trustme.CA()
    leaf = authority.create_child_ca().issue_cert("Www.Example.com", "192.0.2.1")
    chain = b"".join(blob.bytes() for blob in leaf.cert_chain_pems)
    for pem in (chain, leaf.private_key_pem.bytes() + b"comment\r\n" + chain):
        read = read_certificate(pem.replace(b"\n", b"\r\n"))
        theirs = x509.load_pem_x509_certificate(chain)
        assert read.names == ("www.example.com",)
        assert read.addresses == ("192.0.2.1",)
        assert read.not_after == theirs.not_valid_after_utc.timestamp()
        assert read.kind.startswith("EC")


def test_certificate_without_extensions_and_without_a_name() -> None:
    plain = issuing.certificate(x509.Name([]))
    read = read_der(issuing.der(plain))
    assert read.names == read.addresses == ()
    assert read.common_name is None
    assert one_line_subject(issuing.der(plain)) == b""


def test_last_common_name_counts_in_any_encoding() -> None:
    kinds = (_ASN1Type.UTF8String, _ASN1Type.BMPString, _ASN1Type.UniversalString)
    for kind in kinds:
        subject = x509.Name(
            [
                x509.NameAttribute(NameOID.COMMON_NAME, "first"),
                x509.NameAttribute(NameOID.COMMON_NAME, "Bücher ☃", kind),
            ]
        )
        assert read_der(issuing.der(issuing.certificate(subject))).common_name == "Bücher ☃"


def test_pem_is_what_python_makes_of_it() -> None:
    assert to_pem(DER).decode() == ssl.DER_cert_to_PEM_cert(DER)
    assert to_pem(DER) == issuing.pem(ISSUED)
    assert first_der(to_pem(DER)) == DER


# ---------------------------------------------------------------------------------------- malformed


@pytest.mark.parametrize(
    ("pem", "reason"),
    [
        (b"", "no certificate"),
        (b"-----BEGIN CERTIFICATE-----\nAAAA\n", "no certificate"),
        (b"-----BEGIN CERTIFICATE REQUEST-----\nAA==\n-----END CERTIFICATE REQUEST-----", "no cer"),
        (b"-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n", "base64"),
        (b"-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n", "ends at byte 0"),
        (b"-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n", "ends at byte 0"),
    ],
)
def test_files_without_a_certificate(pem: bytes, reason: str) -> None:
    with pytest.raises(CertificateError, match=reason):
        read_certificate(pem)


def test_certificate_that_is_cut_off_or_goes_on() -> None:
    for size in range(len(DER)):
        with pytest.raises(CertificateError):
            read_der(DER[:size])
    with pytest.raises(CertificateError, match="follow"):
        read_der(DER + b"\0")
    with pytest.raises(CertificateError, match="70000 bytes"):
        read_der(bytes(70_000))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "ends at byte 0"),
        (b"\x30", "ends at byte 1"),
        (b"\x1f\x81\x01\x00", "several bytes"),
        (b"\x30\x80\x00\x00", "wrong form"),
        (b"\x30\x81\x7f" + bytes(127), "wrong form"),
        (b"\x30\x82\x00\x80" + bytes(128), "wrong form"),
        (b"\x30\x85\x01\x00\x00\x00\x00", "wrong form"),
        (b"\x30\x84\x00\x00", "wrong form"),
        (b"\x30\x03\x00\x00", "1 bytes behind the end"),
        (b"\x04\x00", "tag 0x04 in the place of 0x30"),
    ],
)
def test_elements_in_a_wrong_form(data: bytes, reason: str) -> None:
    with pytest.raises(CertificateError, match=reason):
        Elements(data).value(0x30)


@pytest.mark.parametrize("value", [b"", b"\x80\x01", b"\x55\x80\x01", b"\x55\x84"])
def test_object_identifiers_in_a_wrong_form(value: bytes) -> None:
    with pytest.raises(CertificateError):
        read_object_id(value)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (b"\x55\x04\x03", "2.5.4.3"),
        (b"\x2a\x86\x48\xce\x3d\x02\x01", "1.2.840.10045.2.1"),
        (b"\x88\x37\x03", "2.999.3"),
        (b"\x00", "0.0"),
        (b"\x27", "0.39"),
        (b"\x28", "1.0"),
    ],
)
def test_object_identifiers(value: bytes, text: str) -> None:
    assert read_object_id(value) == text


@given(st.data())
def test_what_is_changed_is_read_alike_or_refused(data: st.DataObject) -> None:
    """What `cryptography` reads in a changed certificate, we read too, or refuse it."""
    changed = bytearray(DER)
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(changed) - 1))
        changed[at] = data.draw(st.integers(0, 255))
    try:
        ours = read_der(bytes(changed))
    except CertificateError:
        return
    try:
        theirs = x509.load_der_x509_certificate(bytes(changed))
        until = theirs.not_valid_after_utc.timestamp()
        extension = theirs.extensions.get_extension_for_class(x509.SubjectAlternativeName)
        names = tuple(extension.value.get_values_for_type(x509.DNSName))
    except (
        ValueError,
        x509.ExtensionNotFound,
        x509.DuplicateExtension,
        x509.InvalidVersion,
        TypeError,
    ):
        return
    assert ours.not_after == until
    assert ours.names == names


# ---------------------------------------------------------------------------------------- one line


@pytest.fixture(scope="module")
def openssl() -> ctypes.CDLL:
    library = issuing.libcrypto()
    if library is None:
        pytest.skip("there is no libcrypto")
    return library


ATTRIBUTES = st.tuples(
    st.one_of(
        st.sampled_from(sorted(SHORT_NAMES)),
        st.sampled_from(["2.999.1", "1.3.6.1.4.1.99999.1.2.3", "1." + "2." * 50 + "3"]),
    ),
    st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=30),
    st.sampled_from([_ASN1Type.UTF8String, _ASN1Type.BMPString, _ASN1Type.UniversalString]),
)


def attribute(kind: str, value: str, encoding: _ASN1Type) -> x509.NameAttribute[str]:
    if encoding is _ASN1Type.BMPString:
        value = "".join(c for c in value if ord(c) < 0x10000) or "x"
    return x509.NameAttribute(x509.ObjectIdentifier(kind), value, encoding, _validate=False)


@pytest.mark.filterwarnings("ignore:Attribute's length")
@given(st.lists(st.lists(ATTRIBUTES, min_size=1, max_size=3), max_size=5))
def test_subjects_as_openssl_writes_them(
    openssl: ctypes.CDLL, parts: list[list[tuple[str, str, _ASN1Type]]]
) -> None:
    # One part has an attribute once at most.
    unique = [{one[0]: attribute(*one) for one in part} for part in parts]
    subject = x509.Name([x509.RelativeDistinguishedName(part.values()) for part in unique])
    issued = issuing.der(issuing.certificate(subject))
    theirs = issuing.one_line_of_openssl(openssl, issued)
    assert theirs is not None
    assert one_line_subject(issued) == theirs


def test_short_names_are_openssls(openssl: ctypes.CDLL) -> None:
    for number, short in SHORT_NAMES.items():
        assert openssl.OBJ_nid2sn(openssl.OBJ_txt2nid(number.encode())) == short.encode()


def test_one_line_of_a_subject_with_everything() -> None:
    subject = x509.Name(
        [
            x509.RelativeDistinguishedName([x509.NameAttribute(NameOID.COUNTRY_NAME, "IT")]),
            x509.RelativeDistinguishedName(
                [
                    x509.NameAttribute(NameOID.ORGANIZATION_NAME, "a/b+c"),
                    x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, "Bücher\n"),
                ]
            ),
            x509.RelativeDistinguishedName([x509.NameAttribute(NameOID.GIVEN_NAME, "A,=\\")]),
        ]
    )
    line = one_line_subject(issuing.der(issuing.certificate(subject)))
    assert line == rb"/C=IT/O=a\/b\+c+OU=B\xC3\xBCcher\x0A/GN=A,=" + b"\\"
