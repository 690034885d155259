"""Issues certificates of all sorts, and asks OpenSSL how it writes their subjects."""

import ctypes
import ctypes.util
import datetime as dt
import ipaddress
from collections.abc import Sequence

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.x509.oid import NameOID

Key = (
    rsa.RSAPrivateKey
    | ec.EllipticCurvePrivateKey
    | ed25519.Ed25519PrivateKey
    | ed448.Ed448PrivateKey
)

P256 = ec.generate_private_key(ec.SECP256R1())
START = dt.datetime(2024, 2, 29, 12, 30, 59, tzinfo=dt.UTC)
END = dt.datetime(2049, 12, 31, 23, 59, 59, tzinfo=dt.UTC)


def name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def certificate(
    subject: x509.Name | None = None,
    *,
    names: Sequence[str] = (),
    addresses: Sequence[str] = (),
    key: Key = P256,
    signer: Key | None = None,
    serial: int | None = None,
    start: dt.datetime = START,
    end: dt.datetime = END,
    critical: bool = False,
) -> x509.Certificate:
    """Issue a certificate, self-signed if nobody else signs it."""
    signer = key if signer is None else signer
    subject = name("a.example") if subject is None else subject
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number() if serial is None else serial)
        .not_valid_before(start)
        .not_valid_after(end)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    )
    others: list[x509.GeneralName] = [x509.DNSName(word) for word in names]
    others += [x509.IPAddress(ipaddress.ip_address(address)) for address in addresses]
    if others:
        others.append(x509.RFC822Name("someone@a.example"))
        builder = builder.add_extension(x509.SubjectAlternativeName(others), critical)
    silent = isinstance(signer, ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey)
    return builder.sign(signer, None if silent else hashes.SHA256())


def der(issued: x509.Certificate) -> bytes:
    return issued.public_bytes(serialization.Encoding.DER)


def pem(issued: x509.Certificate) -> bytes:
    return issued.public_bytes(serialization.Encoding.PEM)


def private_pem(key: Key) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def libcrypto() -> ctypes.CDLL | None:
    """Load the system's OpenSSL; None if there is none."""
    found = ctypes.util.find_library("crypto")
    if found is None:
        return None
    library = ctypes.CDLL(found)
    pointer = ctypes.c_void_p
    library.d2i_X509.restype = pointer
    library.d2i_X509.argtypes = [pointer, pointer, ctypes.c_long]
    library.X509_get_subject_name.restype = pointer
    library.X509_get_subject_name.argtypes = [pointer]
    library.X509_NAME_oneline.restype = ctypes.c_char_p
    library.X509_NAME_oneline.argtypes = [pointer, ctypes.c_char_p, ctypes.c_int]
    library.X509_free.argtypes = [pointer]
    library.OBJ_nid2sn.restype = ctypes.c_char_p
    return library


def one_line_of_openssl(library: ctypes.CDLL, certificate: bytes) -> bytes | None:
    """Return a subject as OpenSSL writes it; None if it does not take the certificate."""
    data = ctypes.create_string_buffer(certificate, len(certificate))
    at = ctypes.c_void_p(ctypes.addressof(data))
    read = library.d2i_X509(None, ctypes.byref(at), len(certificate))
    if not read:
        return None
    try:
        line = ctypes.create_string_buffer(1 << 20)
        written: bytes = library.X509_NAME_oneline(
            library.X509_get_subject_name(read), line, len(line)
        )
        return written
    finally:
        library.X509_free(read)
