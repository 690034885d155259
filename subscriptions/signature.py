"""Signatures of announces, verified as uWSGI's clients make them (uWSGI: core/subscription.c).

A client signs the variables, ``unix`` (its clock) being the last of them, with RSASSA-PKCS1-v1_5 or
ECDSA (DER). The router has the public key of each key in a directory, as PEM.

The header of a packet, and so its command, is not signed. Our own clients say the command in a variable as well; where
that is there, it has to agree (``protocol.subscription``).

Stricter than uWSGI: every packet must be of our time, not only the first of a node, and no time is
accepted twice (see :mod:`uwsgi_router.subscriptions.replay`); key files are read again when they change.

``cryptography`` is imported when the first :class:`Signatures` is made, and nowhere else here.
"""

import os
import re
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from uwsgi_router.protocol.address import InetAddress
from uwsgi_router.protocol.bounded import Bounded
from uwsgi_router.protocol.subscription import Subscription
from uwsgi_router.subscriptions.node_address import node_address
from uwsgi_router.subscriptions.refusal import Refused
from uwsgi_router.subscriptions.replay import ReplayMemory
from uwsgi_router.subscriptions.sender import Sender

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

    PublicKey = RSAPublicKey | EllipticCurvePublicKey

#: Digests that ``subscriptions-sign-check`` knows, and what ``cryptography`` calls them.
DIGESTS: Final = {
    "MD5": "MD5",
    "SHA1": "SHA1",
    "SHA224": "SHA224",
    "SHA256": "SHA256",
    "SHA384": "SHA384",
    "SHA512": "SHA512",
    "SHA3-224": "SHA3_224",
    "SHA3-256": "SHA3_256",
    "SHA3-384": "SHA3_384",
    "SHA3-512": "SHA3_512",
}
#: A client's clock may be ahead by so much; uWSGI lets it be ahead by any time.
AHEAD: Final = 300.0
MAX_KEY_FILE: Final = 65_536
MAX_KEY_FILES: Final = 10_000

_UNSAFE: Final = re.compile(rb"[^0-9A-Za-z.\-_]")


class SignatureError(Exception):
    """Error: signatures can't be checked at all; ``str()`` says why and what to do."""


@dataclass(frozen=True, slots=True)
class SignCheck:
    """Setting ``subscriptions-sign-check = DIGEST:DIR``.

    Attributes:
        digest: a key of :data:`DIGESTS`.
        directory: where the public keys are.
    """

    digest: str
    directory: str

    def __str__(self) -> str:
        return f"{self.digest}:{self.directory}"


def digest_name(text: str) -> str:
    """Return the key of :data:`DIGESTS` that ``text`` means, in whatever case, ``SHA-256`` too.

    Raises:
        ValueError: with what was expected.
    """
    plain = text.upper().removeprefix("RSA-")
    for name in (plain, plain.replace("SHA-", "SHA", 1)):
        if name in DIGESTS:
            return name
    raise ValueError(f"expected a digest ({', '.join(DIGESTS)})")


def key_file_name(key: bytes) -> str:
    """Return the name of the file with the public key of ``key``, as uWSGI has it."""
    return _UNSAFE.sub(b"_", key).decode("ascii") + ".pem"


class KeyFiles:
    """Public keys of a directory, each read when it is first needed and when it has changed."""

    def __init__(self, directory: str) -> None:
        self._directory = directory
        # name -> (what tells that the file is the same, the key or why there is none).
        self._known: Bounded[str, tuple[tuple[int, ...], PublicKey | str]] = Bounded(MAX_KEY_FILES)

    def load(self, name: str) -> "PublicKey":
        """Return the key in the file called ``name``.

        Raises:
            Refused: there is none, or it can't be used.
        """
        path = os.path.join(self._directory, name)
        try:
            identity = _identity(os.stat(path))
            known = self._known.get(name)
            if known is None or known[0] != identity:
                known = self._known[name] = identity, _read(path)
        except OSError as exc:
            self._known.pop(name, None)
            raise Refused("key-file", f"no public key: {path}: {exc.strerror}") from None
        if isinstance(known[1], str):
            raise Refused("key-file", f"the public key {path} can't be used: {known[1]}")
        return known[1]


class Signatures:
    """Verifier of signatures: the public keys, and the times that were used.

    Args:
        check: digest and directory.
        tolerance: seconds that a packet may be old.
        signs_command: refuse packets whose signature does not cover their command.

    Raises:
        SignatureError: the directory can't be used, or ``cryptography`` is not there.
    """

    def __init__(
        self, check: SignCheck, tolerance: float = 86_400.0, *, signs_command: bool = False
    ) -> None:
        try:
            from cryptography.hazmat.primitives import hashes  # noqa: PLC0415
        except ImportError:
            raise SignatureError(
                f"subscriptions-sign-check = {check}: the package cryptography is not installed"
                " (pip install cryptography)"
            ) from None
        if not os.path.isdir(check.directory) or not os.access(check.directory, os.X_OK):
            raise SignatureError(
                f"subscriptions-sign-check = {check}: {check.directory} is no directory that we may"
                " look into; make it, and put the public keys there"
            )
        self._digest: hashes.HashAlgorithm = getattr(hashes, DIGESTS[check.digest])()
        self._directory = check.directory
        self._files = KeyFiles(check.directory)
        self._tolerance = tolerance
        self._signs_command = signs_command
        self._used = ReplayMemory(tolerance)

    def __repr__(self) -> str:
        return f"<Signatures {self._digest.name} {self._directory} remembered={len(self._used)}>"

    def verify(self, subscription: Subscription, sender: Sender, wall: float) -> None:
        """Verify that the packet is signed, of our time and new; its time is used then.

        Args:
            subscription: the packet.
            sender: who sent it.
            wall: seconds since the epoch.

        Raises:
            Refused: it is not; nothing is remembered of it.
        """
        time, sign, signed = subscription.unix, subscription.sign, subscription.signed
        if sign is None:
            raise Refused("unsigned", "it is not signed, and announces have to be")
        if signed is None:
            raise Refused("unsigned", "its signature is not the last variable, so covers nothing")
        if time is None:
            raise Refused(
                "unsigned", "it is signed without a time (unix), so it would be good for ever"
            )
        if self._signs_command and not subscription.says_command:
            raise Refused(
                "unsigned",
                "its signature does not cover its command, and has to (subscriptions-sign-command): uWSGI's own"
                " clients can't, those of uwsgi-router do",
            )
        self._check_time(time, wall)
        self._check_address(subscription, sender)
        name = key_file_name(subscription.key)
        node = subscription.key, subscription.address
        if not self._used.allows(name, node, subscription.command, time):
            raise Refused(
                "replay",
                f"its time {time} was used before for {subscription.address}, or a later one was:"
                " a recorded packet, or the client's clock went back",
            )
        if not self._fits(self._files.load(name), sign, signed):
            raise Refused(
                "signature",
                f"its signature does not fit {os.path.join(self._directory, name)}: it was changed"
                " on its way, or signed with another key or digest",
            )
        self._used.use(name, node, subscription.command, time)

    @property
    def used(self) -> ReplayMemory:
        """Times that were used."""
        return self._used

    def check_key_file(self, key: bytes) -> None:
        """Check that there is a public key for ``key``.

        Raises:
            Refused: there is none, or it can't be used.
        """
        self._files.load(key_file_name(key))

    def forget_old(self, wall: float) -> None:
        """Free the space of used times that are too old; to be called now and then."""
        self._used.forget_old(wall)

    def _check_time(self, time: int, wall: float) -> None:
        if time < wall - self._tolerance:
            raise Refused(
                "time",
                f"it was signed {wall - time:.0f} s ago, subscriptions-sign-check-tolerance is"
                f" {self._tolerance:g}: a recorded packet, or clocks that differ",
            )
        if time > wall + min(AHEAD, self._tolerance):
            raise Refused(
                "time",
                f"it is dated {time - wall:.0f} s ahead: the client's clock or ours is wrong",
            )

    def _check_address(self, subscription: Subscription, sender: Sender) -> None:
        """Refuse an address whose host is taken from the datagram's source: nobody signed that."""
        if sender.is_local:
            return
        name, address = node_address(subscription.address, sender.source)
        if isinstance(address, InetAddress) and name != subscription.address:
            raise Refused(
                "signature",
                f"the signature of {subscription.address} does not say on which host: have the node"
                " announce its full address",
            )

    def _fits(self, key: "PublicKey", sign: bytes, signed: bytes) -> bool:
        from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm  # noqa: PLC0415
        from cryptography.hazmat.primitives.asymmetric import ec, padding  # noqa: PLC0415

        try:
            if isinstance(key, ec.EllipticCurvePublicKey):
                key.verify(sign, signed, ec.ECDSA(self._digest))
            else:
                key.verify(sign, signed, padding.PKCS1v15(), self._digest)
        except (InvalidSignature, UnsupportedAlgorithm, ValueError):
            # The last one: the key is too short for the digest.
            return False
        return True


def _identity(status: os.stat_result) -> tuple[int, ...]:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _read(path: str) -> "PublicKey | str":
    """Return the public key in a file, or, as text, why there is none.

    Raises:
        OSError: it can't be read.
    """
    from cryptography.exceptions import UnsupportedAlgorithm  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric import ec, rsa  # noqa: PLC0415
    from cryptography.hazmat.primitives.serialization import load_pem_public_key  # noqa: PLC0415

    # Not waiting for a writer, should somebody have put a fifo there.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return "it is not a file"
        text = file.read(MAX_KEY_FILE)
    try:
        key = load_pem_public_key(text)
    except (ValueError, UnsupportedAlgorithm):
        return "it is not a public key in PEM form (-----BEGIN PUBLIC KEY-----)"
    if isinstance(key, rsa.RSAPublicKey | ec.EllipticCurvePublicKey):
        return key
    return "it is neither an RSA nor an EC key"
