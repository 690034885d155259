"""Subject of a certificate: HTTPS_DN in OpenSSL's one-line form, and the common name.

Source: ``X509_NAME_oneline`` of OpenSSL 3.0 (crypto/x509/x509_obj.c), which uWSGI calls.
"""

from collections.abc import Iterator
from typing import Final

from uwsgi_router.protocol.tls import der
from uwsgi_router.protocol.tls.der import Elements

_COMMON_NAME: Final = "2.5.4.3"
_ENCODINGS: Final = {
    der.UTF8_STRING: "utf-8",
    der.PRINTABLE_STRING: "ascii",
    der.IA5_STRING: "ascii",
    der.TELETEX_STRING: "latin-1",
    der.BMP_STRING: "utf-16-be",
    der.UNIVERSAL_STRING: "utf-32-be",
}
#: OpenSSL's short names of the attributes that names of people, companies and hosts are made of.
SHORT_NAMES: Final = {
    "2.5.4.3": "CN",
    "2.5.4.4": "SN",
    "2.5.4.5": "serialNumber",
    "2.5.4.6": "C",
    "2.5.4.7": "L",
    "2.5.4.8": "ST",
    "2.5.4.9": "street",
    "2.5.4.10": "O",
    "2.5.4.11": "OU",
    "2.5.4.12": "title",
    "2.5.4.13": "description",
    "2.5.4.14": "searchGuide",
    "2.5.4.15": "businessCategory",
    "2.5.4.16": "postalAddress",
    "2.5.4.17": "postalCode",
    "2.5.4.18": "postOfficeBox",
    "2.5.4.19": "physicalDeliveryOfficeName",
    "2.5.4.20": "telephoneNumber",
    "2.5.4.21": "telexNumber",
    "2.5.4.22": "teletexTerminalIdentifier",
    "2.5.4.23": "facsimileTelephoneNumber",
    "2.5.4.24": "x121Address",
    "2.5.4.25": "internationaliSDNNumber",
    "2.5.4.26": "registeredAddress",
    "2.5.4.27": "destinationIndicator",
    "2.5.4.31": "member",
    "2.5.4.32": "owner",
    "2.5.4.33": "roleOccupant",
    "2.5.4.34": "seeAlso",
    "2.5.4.41": "name",
    "2.5.4.42": "GN",
    "2.5.4.43": "initials",
    "2.5.4.44": "generationQualifier",
    "2.5.4.45": "x500UniqueIdentifier",
    "2.5.4.46": "dnQualifier",
    "2.5.4.49": "distinguishedName",
    "2.5.4.50": "uniqueMember",
    "2.5.4.51": "houseIdentifier",
    "2.5.4.54": "dmdName",
    "2.5.4.65": "pseudonym",
    "2.5.4.72": "role",
    "2.5.4.97": "organizationIdentifier",
    "2.5.4.98": "c3",
    "2.5.4.99": "n3",
    "2.5.4.100": "dnsName",
    "0.9.2342.19200300.100.1.1": "UID",
    "0.9.2342.19200300.100.1.3": "mail",
    "0.9.2342.19200300.100.1.8": "userClass",
    "0.9.2342.19200300.100.1.9": "host",
    "0.9.2342.19200300.100.1.25": "DC",
    "0.9.2342.19200300.100.1.44": "uid",
    "1.2.643.100.1": "OGRN",
    "1.2.643.100.3": "SNILS",
    "1.2.643.3.131.1.1": "INN",
    "1.2.840.113549.1.9.1": "emailAddress",
    "1.2.840.113549.1.9.2": "unstructuredName",
    "1.2.840.113549.1.9.8": "unstructuredAddress",
    "1.3.6.1.4.1.311.60.2.1.1": "jurisdictionL",
    "1.3.6.1.4.1.311.60.2.1.2": "jurisdictionST",
    "1.3.6.1.4.1.311.60.2.1.3": "jurisdictionC",
}
# OpenSSL's buffer for object identifiers.
_MAX_OBJECT_ID: Final = 79


def one_line(subject: bytes) -> bytes:
    r"""Return a name in OpenSSL's one-line form, ``/C=IT/O=Example/CN=a.example``: HTTPS_DN.

    Values are the certificate's bytes, whatever their encoding; those outside of 0x20 to 0x7e are ``\xNN``, and ``/``
    and ``+`` have a ``\`` in front. Several attributes of one part are joined by ``+``. An attribute without a short
    name is written by its object identifier.

    Args:
        subject: the value of a Name in DER (RFC 5280 section 4.1.2.4).

    Raises:
        CertificateError: it is malformed.
    """
    line = b""
    for first, kind, _, value in _attributes(subject):
        name = SHORT_NAMES.get(kind, kind[:_MAX_OBJECT_ID]).encode("ascii")
        line += (b"/" if first else b"+") + name + b"=" + b"".join(map(_escaped, value))
    return line


def _escaped(byte: int) -> bytes:
    if not 0x20 <= byte <= 0x7E:
        return b"\\x%02X" % byte
    return b"\\%c" % byte if byte in b"/+" else b"%c" % byte


def common_name(subject: bytes) -> str | None:
    """Return the last CN of a name, None if there is none; bytes that are not in its encoding are escaped.

    Args:
        subject: the value of a Name in DER.

    Raises:
        CertificateError: it is malformed.
    """
    found = None
    for _, kind, tag, value in _attributes(subject):
        if kind == _COMMON_NAME:
            found = value.decode(_ENCODINGS.get(tag, "ascii"), "backslashreplace")
    return found


def _attributes(subject: bytes) -> Iterator[tuple[bool, str, int, bytes]]:
    """Return the attributes of a name: whether a part begins with it, object identifier, tag and value."""
    parts = Elements(subject)
    while parts.tag >= 0:
        part = Elements(parts.value(der.SET))
        first = True
        while part.tag >= 0:
            attribute = Elements(part.value(der.SEQUENCE))
            kind = der.read_object_id(attribute.value(der.OBJECT_ID))
            tag, value = attribute.next()
            attribute.end()
            yield first, kind, tag, value
            first = False
