"""Command ``keys new DOMAIN``: a key pair for signed announces, with uWSGI's file names.

The public key is for the router's directory (``subscriptions-sign-check = SHA256:DIR``), which finds it by its name;
the private one is for the node. Nothing that exists is ever overwritten.
"""

import argparse
import os
from typing import Final

from uwsgi_router.router.cli import commands
from uwsgi_router.router.cli.commands import failed
from uwsgi_router.subscriptions.signature import key_file_name

#: What may be made: RSA with so many bits, or a curve.
KINDS: Final = {"rsa2048": 2048, "rsa3072": 3072, "rsa4096": 4096, "ec": 0}


class KeysError(Exception):
    """Error: no keys were made; ``str()`` says why."""


def main(args: list[str]) -> int:
    """Do what the command line says; return the exit status."""
    parsed = arguments().parse_args(args)
    try:
        private, public = make_pair(parsed.domain, parsed.dir, parsed.type)
    except KeysError as exc:
        return failed("keys", exc)
    directory = os.path.abspath(parsed.dir)
    key = os.path.abspath(private)
    print(f"public key, for the router:  {public}")
    print(f"private key, for the node:   {private}")
    print()
    print(f"the router's file:  subscriptions-sign-check = SHA256:{directory}")
    print(f"the node's file:    subscribe-to = ROUTER:PORT:{parsed.domain},0,SHA256:{key}")
    return 0


def arguments() -> argparse.ArgumentParser:
    """Return the parser of its command line."""
    parser = commands.parser(
        "keys",
        "Make keys for signed announces.",
        examples=("uwsgi-router keys new www.example.com --dir /etc/uwsgi-router/keys",),
    )
    kinds = parser.add_subparsers(required=True, metavar="new")
    new = kinds.add_parser("new", description="Make the pair of keys for one domain.")
    new.add_argument("domain", metavar="DOMAIN", help="the key that nodes announce: example.com")
    new.add_argument("--dir", default=".", help="where to put both files (default: here)")
    new.add_argument(
        "--type", choices=KINDS, default="rsa2048", help="kind of key (default: rsa2048)"
    )
    return parser


def make_pair(domain: str, directory: str, kind: str) -> tuple[str, str]:
    """Make both files.

    Args:
        domain: what nodes announce, 1 to 255 bytes.
        directory: where; it must be there.
        kind: one of :data:`KINDS`.

    Returns:
        The paths of the private and of the public key.

    Raises:
        KeysError: if one of them exists, or can't be made; nothing is left behind then.
    """
    key = os.fsencode(domain)
    if not 1 <= len(key) <= 255:
        raise KeysError(f"a key has 1 to 255 bytes, this one {len(key)}")
    public = os.path.join(directory, key_file_name(key))
    private = public.removesuffix(".pem") + ".key"
    secret, published = _generate(kind)
    _write(private, secret, 0o600)
    try:
        # Not secret: the router reads it as whatever user it runs.
        _write(public, published, 0o644)
    except KeysError:
        os.unlink(private)
        raise
    return private, public


def _generate(kind: str) -> tuple[bytes, bytes]:
    try:
        from cryptography.hazmat.primitives import serialization  # noqa: PLC0415
        from cryptography.hazmat.primitives.asymmetric import ec, rsa  # noqa: PLC0415
    except ImportError:
        raise KeysError(
            "the package cryptography is not installed (pip install cryptography)"
        ) from None
    bits = KINDS[kind]
    pair: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
    if bits:
        pair = rsa.generate_private_key(public_exponent=65_537, key_size=bits)
    else:
        pair = ec.generate_private_key(ec.SECP256R1())
    pem = serialization.Encoding.PEM
    # uWSGI reads no encrypted keys, and of the formats only this and older ones.
    secret = pair.private_bytes(
        pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public = pair.public_key().public_bytes(pem, serialization.PublicFormat.SubjectPublicKeyInfo)
    return secret, public


def _write(path: str, content: bytes, mode: int) -> None:
    """Make a file that was not there, with this mode whatever the umask."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        raise KeysError(f"{path} exists, and keys are never overwritten; move it away") from None
    except OSError as exc:
        raise KeysError(f"cannot make {path}: {exc.strerror}") from None
    try:
        with open(descriptor, "wb") as file:
            os.fchmod(descriptor, mode)
            file.write(content)
    except OSError as exc:
        os.unlink(path)
        raise KeysError(f"cannot write {path}: {exc.strerror}") from None
