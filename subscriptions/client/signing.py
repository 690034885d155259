"""Signing of announces with RSA or EC keys, by cryptography or the program openssl.

The standard library can't sign with RSA or EC keys. The package ``cryptography`` does if it can be imported, otherwise
the program ``openssl``: both make what uWSGI's clients send, PKCS#1 v1.5 for RSA keys, DER for EC keys.
"""

import hashlib
import importlib
import importlib.util
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from typing import Any, Final

from uwsgi_router.subscriptions.client.errors import SubscribeError

_PRIVATE_KEY: Final = re.compile(
    rb"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?-----END [A-Z ]*PRIVATE KEY-----\s*", re.DOTALL
)
_CRYPTOGRAPHY: Final = "cryptography.hazmat.primitives"
# openssl needs milliseconds; a machine so busy that this is not enough would announce too late anyway.
_PATIENCE: Final = 10.0


@dataclass(frozen=True, slots=True)
class Signer:
    """Signer with a digest and a private key file, which is read anew for each signature (keys are replaced).

    Attributes:
        digest: OpenSSL's name, ``SHA1`` or ``SHA256``; the router must have the same.
        key_file: a PEM file with an RSA or EC private key, without a passphrase.
    """

    digest: str
    key_file: str

    @classmethod
    def parse(cls, text: str) -> "Signer":
        """Read ``DIGEST:KEYFILE``.

        Raises:
            SubscribeError: if it is something else, or no such digest exists.
        """
        digest, colon, key_file = text.partition(":")
        if not (digest and colon and key_file):
            raise SubscribeError(f"signing {text!r}: write DIGEST:KEYFILE, as SHA256:/etc/key.pem")
        return cls.checked(digest, key_file)

    @classmethod
    def checked(cls, digest: str, key_file: str) -> "Signer":
        """Make a signer.

        Raises:
            SubscribeError: if there is no such digest.
        """
        known = {name.replace("_", "-") for name in hashlib.algorithms_available}
        if digest.lower() not in known or digest.lower().startswith("shake"):
            raise SubscribeError(f"{digest!r} is no digest; routers know SHA1, SHA256 and others")
        return cls(digest, os.path.abspath(key_file))

    def sign(self, block: bytes) -> bytes:
        """Return the signature of ``block``.

        Raises:
            SubscribeError: if the key can't be read or used, or nothing here can sign.
        """
        try:
            with open(self.key_file, "rb") as file:
                pem = file.read(1_000_000)
        except OSError as exc:
            raise SubscribeError(f"the key file {self.key_file}: {exc.strerror or exc}") from exc
        # Files of `openssl ecparam` hold the curve's parameters before it.
        found = _PRIVATE_KEY.search(pem)
        if found is None:
            raise SubscribeError(f"the key file {self.key_file} holds no private key in PEM form")
        if b"BEGIN OPENSSH " in pem:
            raise SubscribeError(
                f"the key file {self.key_file} has ssh-keygen's form, which routers' tools don't read:"
                " convert it with ssh-keygen -p -m PEM"
            )
        if b"ENCRYPTED" in pem:
            raise SubscribeError(f"the key file {self.key_file} has a passphrase: take it out")
        if importlib.util.find_spec("cryptography") is not None:
            signature = self._with_cryptography(found[0], block)
            if signature is not None:
                return signature
        return self._with_openssl(block)

    def _with_cryptography(self, pem: bytes, block: bytes) -> bytes | None:
        """Sign, or return None if the package does not know the digest or can't be loaded."""
        # By name: the client has no dependencies, and its types must not need any either.
        try:
            load: Any = importlib.import_module(f"{_CRYPTOGRAPHY}.serialization")
            hashes: Any = importlib.import_module(f"{_CRYPTOGRAPHY}.hashes")
            asymmetric = f"{_CRYPTOGRAPHY}.asymmetric"
            ec: Any = importlib.import_module(f"{asymmetric}.ec")
            rsa: Any = importlib.import_module(f"{asymmetric}.rsa")
            padding: Any = importlib.import_module(f"{asymmetric}.padding")
            digest = getattr(hashes, self.digest.upper().replace("-", "_"), None)
            if digest is None:
                return None
        except ImportError:
            return None
        try:
            key = load.load_pem_private_key(pem, None)
            if isinstance(key, rsa.RSAPrivateKey):
                signature: bytes = key.sign(block, padding.PKCS1v15(), digest())
            elif isinstance(key, ec.EllipticCurvePrivateKey):
                signature = key.sign(block, ec.ECDSA(digest()))
            else:
                raise SubscribeError(f"the key in {self.key_file} is neither RSA nor EC")
        except SubscribeError:
            raise
        except Exception as exc:
            # The package has many errors, and they have changed over time.
            raise SubscribeError(f"cannot sign with {self.key_file}: {exc}") from exc
        return signature

    def _with_openssl(self, block: bytes) -> bytes:
        program = shutil.which("openssl")
        if program is None:
            raise SubscribeError(
                "signing needs the program openssl or the Python package cryptography;"
                " neither is here"
            )
        argv = [program, "dgst", f"-{self.digest.lower()}", "-sign", self.key_file]
        try:
            done = subprocess.run(  # noqa: S603
                argv, input=block, capture_output=True, timeout=_PATIENCE, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as exc:
            raise SubscribeError(f"cannot sign with {self.key_file}: {exc}") from exc
        # As process 1 we may have reaped it elsewhere; an empty signature shows a failure, too.
        if done.returncode or not done.stdout:
            said = done.stderr.decode("utf-8", "replace").strip().splitlines()
            raise SubscribeError(
                f"cannot sign with {self.key_file}: openssl says {said[-1] if said else 'nothing'}"
            )
        return done.stdout
