"""Announcement: one node for one subscription server, with uwsgiconf's parameter names."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, Protocol, get_args

from uwsgi_router.protocol.subscription import (
    Command,
    Proto,
    Subscription,
    SubscriptionError,
    encode,
)
from uwsgi_router.protocol.text import to_bytes
from uwsgi_router.subscriptions.client.address import check_address, is_auto
from uwsgi_router.subscriptions.client.errors import SubscribeError
from uwsgi_router.subscriptions.client.servers import Server
from uwsgi_router.subscriptions.client.signing import Signer

PROTOS: Final[tuple[Proto, ...]] = get_args(Proto)
ALGORITHMS: Final = ("wrr", "lrc", "wlrc", "iphash")
# A signature with the longest key in use (RSA 8192); for the check that everything fits a datagram.
_LONGEST_SIGNATURE: Final = bytes(1024)


class UwsgiconfModifier(Protocol):
    """Shape of uwsgiconf's ``routing.modifiers``."""

    code: int
    submod: str


class UwsgiconfAlgorithm(Protocol):
    """Shape of uwsgiconf's ``subscriptions.algorithms``."""

    name: str
    backup_level: int | None


Modifier = int | tuple[int, int] | UwsgiconfModifier
Algorithm = str | UwsgiconfAlgorithm


@dataclass(frozen=True, slots=True)
class Announcement:
    """Announcement of one node to one server.

    Attributes:
        server: who is told.
        key: what the node serves; "" if ``key_file`` says it.
        address: where it is, or ``auto:PORT``.
        key_file: a file with one ``KEY[,MODIFIER1]`` per line, read for each round.
        check_file: announced only while this file exists.
        signer: signs, if the router wants signatures.
        weight, modifier1, modifier2, algo, backup, proto, vassal, sni_key, sni_crt, sni_ca, cores: as in
            :class:`~uwsgi_router.protocol.subscription.Subscription`.
    """

    server: Server
    key: str
    address: str
    key_file: str | None = None
    check_file: str | None = None
    signer: Signer | None = None
    weight: int = 1
    modifier1: int = 0
    modifier2: int = 0
    algo: str | None = None
    backup: int = 0
    proto: Proto = "uwsgi"
    vassal: str | None = None
    sni_key: str | None = None
    sni_crt: str | None = None
    sni_ca: str | None = None
    cores: int = 0

    def __post_init__(self) -> None:
        """Check what uWSGI would swallow or only find out when it sends.

        Raises:
            SubscribeError: with the first mistake.
        """
        if not self.key and not self.key_file:
            raise SubscribeError("there is no key: write the host that the node serves")
        if "://" in self.key or any(character.isspace() for character in self.key):
            raise SubscribeError(
                f"key {self.key!r} is no host: write it as in the Host field of requests"
            )
        if is_auto(self.address):
            return
        # A key file's keys are checked when it is read.
        self.datagram("subscribe", self.key or "any", self.modifier1, b"/" * 100, signed=False)

    def wanted(self) -> list[tuple[str, int]]:
        """Return (key, modifier1) of all that is to be announced now: nothing if the check file is missing.

        Raises:
            OSError: if the file of keys can't be read.
        """
        if self.check_file is not None and not os.path.exists(self.check_file):
            return []
        if self.key_file is None:
            return [(self.key, self.modifier1)]
        with open(self.key_file, encoding="utf-8", errors="surrogateescape") as file:
            lines = [line.strip() for line in file]
        keys = [line.partition(",") for line in lines if line and not line.startswith("#")]
        return [(key.strip(), _modifier1(key, code.strip())) for key, _, code in keys]

    def datagram(
        self,
        command: Command,
        key: str,
        modifier1: int,
        notify: bytes | None = None,
        *,
        unix: int = 0,
        signed: bool = True,
    ) -> bytes:
        """Make one datagram.

        Args:
            command: what it says.
            key: one of :meth:`wanted`.
            modifier1: the same.
            notify: path of the socket that wants to hear of acceptance.
            unix: seconds since the epoch, for the signature.
            signed: False for a trial without the key file; the signature is zeros then.

        Raises:
            SubscribeError: if it can't be made or signed.
        """
        signer = self.signer
        try:
            bare = Subscription(
                command=command,
                key=to_bytes(key),
                address=self.address,
                modifier1=modifier1,
                modifier2=self.modifier2,
                cores=self.cores,
                weight=self.weight,
                algo=self.algo,
                backup=self.backup,
                proto=self.proto,
                vassal=_bytes(self.vassal),
                notify=notify,
                report=notify is not None,
                sni_key=_bytes(self.sni_key),
                sni_crt=_bytes(self.sni_crt),
                sni_ca=_bytes(self.sni_ca),
                says_command=signer is not None,
                unix=unix if signer else None,
            )
            packet = encode(bare)
            if signer is None:
                return packet
            # The header is not signed: all that stands before ``sign`` is, and says the command once more.
            sign = signer.sign(packet[4:]) if signed else _LONGEST_SIGNATURE
            return encode(replace(bare, sign=sign))
        except SubscriptionError as exc:
            raise SubscribeError(f"key {key[:80]!r}: {exc}") from None


def announcement(
    server: str | None = None,
    *,
    key: str | None = None,
    address: str | int | None = None,
    address_vassal: str | None = None,
    balancing_weight: int | None = None,
    balancing_algo: Algorithm | None = None,
    modifier: Modifier | None = None,
    signing: str | Sequence[str] | None = None,
    check_file: str | None = None,
    protocol: str | None = None,
    sni_cert: str | None = None,
    sni_key: str | None = None,
    sni_client_ca: str | None = None,
    backup: int = 0,
    key_file: str | None = None,
    cores: int = 0,
    default_protocol: Proto = "uwsgi",
) -> Announcement:
    """Make an announcement from the parameters of uwsgiconf's ``subscriptions.subscribe``.

    Args:
        server: ``host:port`` (all addresses of a name) or the path of a UNIX datagram socket.
        key: what the node serves: ``example.com``, ``example.com:8080``, ``example.com/blog``.
        address: where the router finds it: ``host:port``, a path, or ``auto:8000``, which is the local address on the
            route to the server; all with a scheme too, which says the protocol: ``http://10.0.0.1:8000``.
        address_vassal: its name under an Emperor.
        balancing_weight: share of the traffic (1).
        balancing_algo: name of a balancing algorithm, or one of uwsgiconf's objects with its backup level.
        modifier: modifier1, (modifier1, modifier2), or one of uwsgiconf's objects.
        signing: (digest, private key file), or ``"SHA256:/etc/key.pem"``.
        check_file: announced only while this file exists.
        protocol: what it speaks: ``uwsgi``, ``http``, ``fastcgi`` or ``scgi``.
        sni_cert: certificate, on the router's file system.
        sni_key: its private key, likewise.
        sni_client_ca: authorities that sign clients, likewise.
        backup: backup level, if ``balancing_algo`` is not an object that has one.
        key_file: instead of ``key``: a file with one key per line.
        cores: requests that it works on at once; 0: that is not told.
        default_protocol: what it speaks if neither ``protocol`` nor the address says so.

    Raises:
        SubscribeError: with what is wrong.
    """
    if not server:
        raise SubscribeError("there is no server: write the subscription server's host:port")
    if isinstance(address, int):
        raise SubscribeError(
            f"address {address} means a socket of uWSGI's, and there is none here: write host:port"
        )
    if not address:
        raise SubscribeError("there is no address: write where the router finds the node")
    plain, said = check_address(address)
    modifier1, modifier2 = _modifiers(modifier)
    algo, level = _algorithm(balancing_algo)
    return Announcement(
        server=Server.parse(server),
        key=key or "",
        address=plain,
        key_file=key_file,
        check_file=check_file,
        signer=_signer(signing),
        weight=1 if balancing_weight is None else balancing_weight,
        modifier1=modifier1,
        modifier2=modifier2,
        algo=algo,
        backup=level or backup,
        proto=_proto(protocol, said, address) or default_protocol,
        vassal=address_vassal,
        sni_key=sni_key,
        sni_crt=sni_cert,
        sni_ca=sni_client_ca,
        cores=cores,
    )


def _bytes(text: str | None) -> bytes | None:
    return os.fsencode(text) if text else None


def _modifiers(modifier: Modifier | None) -> tuple[int, int]:
    if modifier is None:
        return 0, 0
    if isinstance(modifier, int):
        return modifier, 0
    if isinstance(modifier, tuple):
        return modifier
    return modifier.code, int(modifier.submod or 0)


def _modifier1(key: str, text: str) -> int:
    if not text:
        return 0
    if not (text.isascii() and text.isdigit() and len(text) <= 3):
        raise SubscribeError(f"key {key!r}: the modifier {text!r} is not a number from 0 to 255")
    return int(text)


def _algorithm(algorithm: Algorithm | None) -> tuple[str | None, int]:
    if algorithm is None:
        return None, 0
    name, backup = (
        (algorithm, 0)
        if isinstance(algorithm, str)
        else (algorithm.name, algorithm.backup_level or 0)
    )
    if name not in ALGORITHMS:
        raise SubscribeError(f"no algorithm {name!r}: there are {', '.join(ALGORITHMS)}")
    return name, backup


def _signer(signing: str | Sequence[str] | None) -> Signer | None:
    if not signing:
        return None
    if isinstance(signing, str):
        return Signer.parse(signing)
    if len(signing) != 2:
        raise SubscribeError("signing takes two things: a digest and a private key file")
    return Signer.checked(*signing)


def _proto(protocol: str | None, said: Proto | None, address: str) -> Proto | None:
    """Return the protocol that was given, or that the address names; None: nothing says so."""
    if protocol is None:
        return said
    for proto in PROTOS:
        if protocol == proto:
            if said not in {None, proto}:
                raise SubscribeError(f"address {address!r} says {said}, the protocol is {proto}")
            return proto
    raise SubscribeError(f"no protocol {protocol!r}: nodes speak {', '.join(PROTOS)}")
