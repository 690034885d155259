"""Keys and signed datagrams, as uWSGI's clients make them; keys are made once for all tests."""

from dataclasses import replace
from functools import cache
from pathlib import Path

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa

from uwsgi_router.protocol.subscription import Command, Subscription, decode, encode
from uwsgi_router.subscriptions.signature import key_file_name

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
KEY = b"example.com"
NODE = "10.0.0.1:3031"
#: What time it is on every clock of these tests.
NOW = 1_800_000_000


@cache
def rsa_key(number: int = 0) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65_537, key_size=2048)


@cache
def ec_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def publish(
    directory: Path, pair: PrivateKey | ed25519.Ed25519PrivateKey, key: bytes = KEY
) -> Path:
    """Put the public key where the router looks for it."""
    path = directory / key_file_name(key)
    path.write_bytes(
        pair.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    )
    return path


def signed(
    pair: PrivateKey,
    unix: int = NOW,
    command: Command = "subscribe",
    *,
    digest: hashes.HashAlgorithm | None = None,
    key: bytes = KEY,
    address: str = NODE,
    says_command: bool = False,
) -> bytes:
    """Make a signed datagram; uWSGI's clients date an unsubscribe a second ahead, and say no command."""
    plain = Subscription(command, key, address, unix=unix, says_command=says_command)
    block = encode(plain)[4:]
    chosen = digest or hashes.SHA256()
    if isinstance(pair, rsa.RSAPrivateKey):
        signature = pair.sign(block, padding.PKCS1v15(), chosen)
    else:
        signature = pair.sign(block, ec.ECDSA(chosen))
    return encode(replace(plain, sign=signature))


def flipped(datagram: bytes) -> bytes:
    """Turn a subscribe into an unsubscribe or back: the header is not signed."""
    return datagram[:3] + bytes([1 - datagram[3]]) + datagram[4:]


def read(datagram: bytes) -> Subscription:
    return decode(datagram)
