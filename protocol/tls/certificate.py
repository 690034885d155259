"""Certificate (X.509, RFC 5280): names, validity and key of one in PEM or DER. Signatures are not looked at.

It is for what people are told (when it ends, what it is for) and for variables of nodes. Whether a certificate is to be
believed, OpenSSL decides.
"""

import base64
import binascii
import ipaddress
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from uwsgi_router.protocol.tls import der
from uwsgi_router.protocol.tls.der import Elements
from uwsgi_router.protocol.tls.errors import CertificateError
from uwsgi_router.protocol.tls.subject import common_name, one_line

#: Bytes of a certificate in DER. OpenSSL takes chains of 100 KB from clients; real leaves have 500 to 4,000.
MAX_CERTIFICATE: Final = 65536

_PEM = re.compile(
    rb"-----BEGIN (?:X509 )?CERTIFICATE-----[ \t]*\r?\n(.*?)-----END (?:X509 )?CERTIFICATE-----",
    re.DOTALL,
)
_UTC_TIME = re.compile(rb"[0-9]{12}Z")
_GENERALIZED_TIME = re.compile(rb"[0-9]{14}Z")

_RSA: Final = ("1.2.840.113549.1.1.1", "1.2.840.113549.1.1.10")
_EC: Final = "1.2.840.10045.2.1"
_CURVES: Final = {
    "1.2.840.10045.3.1.7": ("EC P-256", 256),
    "1.3.132.0.34": ("EC P-384", 384),
    "1.3.132.0.35": ("EC P-521", 521),
}
_WITHOUT_PARAMETERS: Final = {"1.3.101.112": ("Ed25519", 256), "1.3.101.113": ("Ed448", 456)}
_ALTERNATIVE_NAMES: Final = "2.5.29.17"

_VERSION_TAG: Final = 0xA0
_ISSUER_ID_TAG: Final = 0x81
_SUBJECT_ID_TAG: Final = 0x82
_EXTENSIONS_TAG: Final = 0xA3
_DNS_TAG: Final = 0x82
_IP_TAG: Final = 0x87


@dataclass(frozen=True, slots=True)
class Certificate:
    """Certificate, as far as people are told of it.

    Attributes:
        not_before: when it begins to be valid, in Unix seconds.
        not_after: the last second in which it is valid.
        names: host names that it is for (subjectAltName), as they are written, ``*.example.com`` among them.
        addresses: IP addresses that it is for.
        common_name: CN of the subject, which clients no longer look at; None if there is none.
        kind: of the key: "RSA", "EC P-256" and other curves, "Ed25519"; an object identifier if it is unknown.
        bits: size of the key; 0 if it is not known.
    """

    not_before: int
    not_after: int
    names: tuple[str, ...]
    addresses: tuple[str, ...]
    common_name: str | None
    kind: str
    bits: int


def read_certificate(pem: bytes) -> Certificate:
    """Read the first certificate of a PEM file, which is a server's own; the others are its chain.

    Raises:
        CertificateError: there is none, or it is malformed.
    """
    return read_der(first_der(pem))


def first_der(pem: bytes) -> bytes:
    """Return the first certificate of a PEM file in DER, whatever else is in the file.

    Raises:
        CertificateError: there is none, or it is not in base64.
    """
    found = _PEM.search(pem)
    if found is None:
        raise CertificateError("there is no certificate in PEM")
    try:
        return base64.b64decode(b"".join(found[1].split()), validate=True)
    except binascii.Error as exc:
        raise CertificateError(f"the certificate is not in base64: {exc}") from exc


def to_pem(certificate: bytes) -> bytes:
    """Return a certificate that is in DER in PEM: HTTPS_CC, as OpenSSL's PEM_write_bio_X509 writes it for uWSGI."""
    text = base64.b64encode(certificate)
    lines = b"".join(text[at : at + 64] + b"\n" for at in range(0, len(text), 64))
    return b"-----BEGIN CERTIFICATE-----\n" + lines + b"-----END CERTIFICATE-----\n"


def read_der(certificate: bytes) -> Certificate:
    """Read a certificate in DER.

    Raises:
        CertificateError: it is malformed.
    """
    fields = _fields(certificate)
    fields.value(der.SEQUENCE)  # the issuer
    validity = Elements(fields.value(der.SEQUENCE))
    not_before, not_after = _time(validity), _time(validity)
    validity.end()
    subject = fields.value(der.SEQUENCE)
    kind, bits = _key(fields.value(der.SEQUENCE))
    fields.optional(_ISSUER_ID_TAG)
    fields.optional(_SUBJECT_ID_TAG)
    extensions = fields.optional(_EXTENSIONS_TAG)
    fields.end()
    names, addresses = ((), ()) if extensions is None else _alternative_names(extensions)
    return Certificate(not_before, not_after, names, addresses, common_name(subject), kind, bits)


def one_line_subject(certificate: bytes) -> bytes:
    """Return the subject of a certificate that is in DER in OpenSSL's one-line form: HTTPS_DN.

    Raises:
        CertificateError: the certificate is malformed.
    """
    fields = _fields(certificate)
    fields.value(der.SEQUENCE)
    fields.value(der.SEQUENCE)
    return one_line(fields.value(der.SEQUENCE))


def _fields(certificate: bytes) -> Elements:
    """Return the fields of a certificate in DER, from the issuer on.

    Raises:
        CertificateError: it is larger than 64 KB, or malformed.
    """
    if len(certificate) > MAX_CERTIFICATE:
        raise CertificateError(f"a certificate of {len(certificate)} bytes")
    whole = Elements(der.read_one(certificate, der.SEQUENCE))
    fields = Elements(whole.value(der.SEQUENCE))
    whole.value(der.SEQUENCE)
    whole.value(der.BIT_STRING)
    whole.end()
    fields.optional(_VERSION_TAG)
    fields.value(der.INTEGER)
    fields.value(der.SEQUENCE)
    return fields


def _time(elements: Elements) -> int:
    """Read a time (4.1.2.5): with two digits of the year from 1950 to 2049, with four for others."""
    tag, value = elements.next()
    if tag == der.UTC_TIME and _UTC_TIME.fullmatch(value):
        value = (b"20" if value[:2] < b"50" else b"19") + value
    elif tag != der.GENERALIZED_TIME or not _GENERALIZED_TIME.fullmatch(value):
        raise CertificateError(f"{value[:20]!r} is no time")
    try:
        # Not by strptime(), which reads further files of Python's at its first call.
        month, day, hour, minute, second = (int(value[at : at + 2]) for at in range(4, 14, 2))
        when = datetime(int(value[:4]), month, day, hour, minute, second, tzinfo=UTC)
    except ValueError as exc:
        raise CertificateError(f"{value!r} is no time") from exc
    return int(when.timestamp())


def _key(value: bytes) -> tuple[str, int]:
    info = Elements(value)
    algorithm = Elements(info.value(der.SEQUENCE))
    key = info.value(der.BIT_STRING)
    info.end()
    if key[:1] != b"\0":
        raise CertificateError("the public key is no whole number of bytes")
    kind = der.read_object_id(algorithm.value(der.OBJECT_ID))
    if kind in _RSA:
        modulus = Elements(der.read_one(key[1:], der.SEQUENCE)).value(der.INTEGER)
        return "RSA", int.from_bytes(modulus).bit_length()
    if kind == _EC and algorithm.tag == der.OBJECT_ID:
        curve = der.read_object_id(algorithm.value(der.OBJECT_ID))
        return _CURVES.get(curve, (f"EC {curve}", 0))
    return _WITHOUT_PARAMETERS.get(kind, (kind, 0))


def _alternative_names(value: bytes) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the host names and addresses that the extensions name."""
    extensions = Elements(der.read_one(value, der.SEQUENCE))
    found = None
    while extensions.tag >= 0:
        extension = Elements(extensions.value(der.SEQUENCE))
        kind = der.read_object_id(extension.value(der.OBJECT_ID))
        extension.optional(der.BOOLEAN)
        content = extension.value(der.OCTET_STRING)
        extension.end()
        if kind == _ALTERNATIVE_NAMES:
            if found is not None:
                raise CertificateError("two lists of alternative names")
            found = content
    names: list[str] = []
    addresses: list[str] = []
    general = Elements(b"" if found is None else der.read_one(found, der.SEQUENCE))
    while general.tag >= 0:
        tag, name = general.next()
        if tag == _DNS_TAG:
            names.append(name.decode("ascii", "backslashreplace"))
        elif tag == _IP_TAG:
            addresses.append(_address(name))
    return tuple(names), tuple(addresses)


def _address(packed: bytes) -> str:
    try:
        return str(ipaddress.ip_address(packed))
    except ValueError as exc:
        raise CertificateError(f"an IP address of {len(packed)} bytes") from exc
