"""Subscription packets: announces of nodes, their variables and limits (uWSGI: core/subscription.c).

One datagram is one uwsgi packet with modifier1 224; modifier2 is the command: 0 subscribe, 1
unsubscribe. uWSGI checks next to nothing of it, so a stray byte stream can create nodes and a long
key corrupts its memory. Here a datagram is taken whole or refused whole, with the reason.

Clients of uWSGI's later branch send more keys than 2.0.31 knows; unknown keys are ignored.

The address may have a scheme (:mod:`uwsgi_router.protocol.scheme`), which says what ``proto`` would; only here, so
what is passed on is written plain (:func:`plain_datagram`).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, get_args

from uwsgi_router.protocol.address import AddressError, parse_node_address
from uwsgi_router.protocol.key import key_fault, normal_key
from uwsgi_router.protocol.scheme import split_scheme
from uwsgi_router.protocol.text import show, to_bytes, to_text
from uwsgi_router.protocol.uwsgi import (
    HEADER_SIZE,
    MODIFIER_SUBSCRIPTION,
    PacketError,
    decode_header,
    decode_variables,
    encode_packet,
)

#: uWSGI reads no more of a datagram and cuts the rest off unseen; a longer one is refused instead.
MAX_DATAGRAM: Final = 4096
MAX_KEY: Final = 255
MAX_ADDRESS: Final = 255
MAX_VASSAL: Final = 255
#: Longer ``notify`` addresses are ignored, as in uWSGI: they fit no UNIX socket.
MAX_NOTIFY: Final = 101
#: An announce that was passed on by more routers than that goes in circles, or nowhere.
MAX_VIA: Final = 16

#: Upper bounds of the numbers. Cores, load and backup level only have to be storable; a weight also
#: decides how long a round of the balancing is.
MAX_MODIFIER: Final = 255
MAX_WEIGHT: Final = 1_000_000
MAX_COUNT: Final = 2**32 - 1
MAX_UNIX_TIME: Final = 2**63 - 1

Command = Literal["subscribe", "unsubscribe"]
Proto = Literal["uwsgi", "http", "fastcgi", "scgi", "https", "suwsgi"]

_COMMANDS: Final[tuple[Command, ...]] = get_args(Command)
_ROUTER: Final = re.compile(rb"[0-9A-Za-z]{1,32}")
#: Only the first letter is significant, as in uWSGI's later branch.
# By the first letter, as uWSGI reads it; those inside TLS, which it does not have, by the whole word.
_PROTOS: Final[Mapping[str, Proto]] = {name[0]: name for name in reversed(get_args(Proto))}
_SECURE: Final[Mapping[str, Proto]] = {"https": "https", "suwsgi": "suwsgi"}


class SubscriptionError(ValueError):
    """Refusal of a datagram; ``str()`` is the reason for the log.

    Attributes:
        key: what it wanted to serve; None if that could not be read.
        address: likewise where.
        notify: where its sender wants to hear of the refusal; None: nowhere.
    """

    def __init__(
        self,
        reason: str,
        key: bytes | None = None,
        address: str = "",
        notify: bytes | None = None,
    ) -> None:
        super().__init__(reason)
        self.key = key
        self.address = address
        self.notify = notify


@dataclass(frozen=True, slots=True)
class Subscription:
    """Announce or withdrawal of one node: the content of one datagram, within all limits.

    Attributes:
        command: what the node wants.
        key: what it serves, 1 to 255 bytes, usually ``host`` or ``host:port``; given in any case, kept in the normal
            form of :mod:`uwsgi_router.protocol.key`.
        address: where it is, as announced: 1 to 255 bytes, in a form of :mod:`uwsgi_router.protocol.address`.
        modifier1: what requests to it carry, 0 to 255.
        modifier2: likewise.
        cores: workers times cores.
        load: longest listen queue of the instance.
        weight: share of the traffic, 1 to 1,000,000.
        algo: name of the balancing algorithm it asks for; any text.
        backup: backup level; 0 is used first.
        proto: what it speaks.
        vassal: its name under an Emperor, at most 255 bytes.
        notify: UNIX datagram socket that wants to hear of acceptance.
        report: ``notify`` wants to hear of refusals too. Ours (``report`` = ``1``); uWSGI's routers
            ignore it, like every name that they don't know.
        sni_key: path of the private key for this name.
        sni_crt: path of the certificate.
        sni_ca: path of the authorities that sign clients.
        via: the routers that passed this on, first one first: at most 16, each 1 to 32 letters and
            digits. Ours; uWSGI's routers ignore it.
        says_command: a variable says the command too (``command`` = ``subscribe`` or ``unsubscribe``): signatures
            cover variables, and not the packet's header. Ours; uWSGI's routers ignore it.
        unix: the client's clock in seconds since the epoch, sent when it signs.
        sign: the signature.
        signed: the bytes that ``sign`` covers; None if there is no signature, or if it isn't the
            last variable: then nothing can verify. Derived; :func:`encode` ignores it.
    """

    command: Command
    key: bytes
    address: str
    modifier1: int = 0
    modifier2: int = 0
    cores: int = 0
    load: int = 0
    weight: int = 1
    algo: str | None = None
    backup: int = 0
    proto: Proto = "uwsgi"
    vassal: bytes | None = None
    notify: bytes | None = None
    report: bool = False
    sni_key: bytes | None = None
    sni_crt: bytes | None = None
    sni_ca: bytes | None = None
    via: tuple[bytes, ...] = ()
    says_command: bool = False
    unix: int | None = None
    sign: bytes | None = None
    signed: bytes | None = None

    def __post_init__(self) -> None:
        """Check every limit, and bring the key into its normal form.

        Raises:
            SubscriptionError: with the first that is not kept.
        """
        if not 1 <= len(self.key) <= MAX_KEY:
            raise SubscriptionError(f"the key has {len(self.key)} bytes, not 1 to {MAX_KEY}")
        fault = key_fault(self.key)
        if fault is not None:
            raise SubscriptionError(fault)
        object.__setattr__(self, "key", normal_key(self.key))
        _check_address(self.address)
        _check_number("modifier1", self.modifier1, MAX_MODIFIER)
        _check_number("modifier2", self.modifier2, MAX_MODIFIER)
        _check_number("cores", self.cores, MAX_COUNT)
        _check_number("load", self.load, MAX_COUNT)
        _check_number("weight", self.weight, MAX_WEIGHT, minimum=1)
        _check_number("backup", self.backup, MAX_COUNT)
        _check_number("unix", self.unix or 0, MAX_UNIX_TIME)
        if self.vassal is not None and len(self.vassal) > MAX_VASSAL:
            raise SubscriptionError(f"the vassal's name is longer than {MAX_VASSAL} bytes")
        if len(self.via) > MAX_VIA or not all(map(_ROUTER.fullmatch, self.via)):
            raise SubscriptionError(
                f"via does not name at most {MAX_VIA} routers by 1 to 32 letters and digits each"
            )


def decode(datagram: bytes) -> Subscription:
    """Read one datagram.

    Of duplicate variables the last one counts. ``clear=1``, which clients of uWSGI's later branch
    send with modifier2 0 when they shut down, says that nobody is at the address any more: it is
    read as an unsubscribe.

    Raises:
        SubscriptionError: with the reason why it is refused.
    """
    if len(datagram) > MAX_DATAGRAM:
        raise SubscriptionError(f"the datagram is longer than {MAX_DATAGRAM} bytes")
    try:
        modifier1, size, modifier2 = decode_header(datagram)
    except PacketError as exc:
        raise SubscriptionError(str(exc)) from None
    if modifier1 != MODIFIER_SUBSCRIPTION:
        raise SubscriptionError(f"modifier1 is {modifier1}, not {MODIFIER_SUBSCRIPTION}")
    if modifier2 >= len(_COMMANDS):
        raise SubscriptionError(
            f"modifier2 is {modifier2}, neither 0 (subscribe) nor 1 (unsubscribe)"
        )
    if size != len(datagram) - HEADER_SIZE:
        raise SubscriptionError(
            f"the header says {size} bytes, {len(datagram) - HEADER_SIZE} follow"
        )
    block = datagram[HEADER_SIZE:]
    try:
        variables = decode_variables(block)
    except PacketError as exc:
        raise SubscriptionError(str(exc)) from None
    try:
        return _subscription(_COMMANDS[modifier2], variables, block)
    except SubscriptionError as exc:
        raise _attributed(exc, dict(variables)) from None


def encode(subscription: Subscription) -> bytes:
    """Make the datagram, its variables in the order of uWSGI's own clients, ``sign`` last.

    Raises:
        SubscriptionError: if it would be longer than a receiver reads.
    """
    s = subscription
    variables = [
        (b"key", s.key),
        (b"address", s.address.encode()),
        (b"modifier1", b"%d" % s.modifier1),
        (b"modifier2", b"%d" % s.modifier2),
        (b"cores", b"%d" % s.cores),
        (b"load", b"%d" % s.load),
        (b"weight", b"%d" % s.weight),
    ]
    optional = (
        (b"sni_key", s.sni_key),
        (b"sni_crt", s.sni_crt),
        (b"sni_ca", s.sni_ca),
        (b"notify", s.notify),
        (b"report", b"1" if s.report else None),
        (b"backup", b"%d" % s.backup if s.backup else None),
        (b"proto", s.proto.encode() if s.proto != "uwsgi" else None),
        (b"algo", to_bytes(s.algo) if s.algo is not None else None),
        (b"vassal", s.vassal),
        (b"via", b",".join(s.via) or None),
        (b"command", s.command.encode() if s.says_command else None),
        (b"unix", b"%d" % s.unix if s.unix is not None else None),
        (b"sign", s.sign),
    )
    variables += [(name, value) for name, value in optional if value is not None]
    # What is too long for a packet is too long for a datagram too: one check, one error.
    total = HEADER_SIZE + sum(4 + len(name) + len(value) for name, value in variables)
    if total > MAX_DATAGRAM:
        raise SubscriptionError(
            f"the datagram would have {total} bytes; receivers read {MAX_DATAGRAM}"
        )
    return encode_packet(variables, MODIFIER_SUBSCRIPTION, _COMMANDS.index(s.command))


def _subscription(
    command: Command, variables: list[tuple[bytes, bytes]], block: bytes
) -> Subscription:
    values = dict(variables)
    if b"key" not in values:
        raise SubscriptionError("there is no key")
    if not values.get(b"address"):
        if b"vassal" in values:
            raise SubscriptionError(
                "a vassal without an address: starting vassals on demand is not supported"
            )
        raise SubscriptionError("there is no address")
    if _number(values, b"clear"):
        command = "unsubscribe"
    said = values.get(b"command")
    if said is not None and said != command.encode():
        raise SubscriptionError(
            f"its variables say {said[:24]!r}, its header says {command}: it was changed on its way"
        )
    notify = values.get(b"notify")
    sign = values.get(b"sign") or None
    address, proto = _node(values)
    via = values.get(b"via")
    return Subscription(
        command=command,
        key=values[b"key"],
        address=address,
        modifier1=_number(values, b"modifier1"),
        modifier2=_number(values, b"modifier2"),
        cores=_number(values, b"cores"),
        load=_number(values, b"load"),
        weight=_number(values, b"weight") or 1,
        algo=_text(values, b"algo"),
        backup=_number(values, b"backup"),
        proto=proto,
        vassal=values.get(b"vassal") or None,
        notify=notify if notify and len(notify) <= MAX_NOTIFY else None,
        report=bool(_number(values, b"report")),
        sni_key=values.get(b"sni_key") or None,
        sni_crt=values.get(b"sni_crt") or None,
        sni_ca=values.get(b"sni_ca") or None,
        via=tuple(via.split(b",", MAX_VIA)) if via else (),
        says_command=said is not None,
        unix=_number(values, b"unix") if b"unix" in values else None,
        sign=sign,
        signed=_signed(variables, block) if sign else None,
    )


def _attributed(error: SubscriptionError, values: Mapping[bytes, bytes]) -> SubscriptionError:
    """Return the refusal with what can be said about the datagram, for its sender and the log."""
    notify = values.get(b"notify")
    wants_to_know = values.get(b"report", b"0") != b"0" and notify and len(notify) <= MAX_NOTIFY
    return SubscriptionError(
        str(error),
        values.get(b"key", b"")[: MAX_KEY + 1],
        show(values.get(b"address", b"")[: MAX_ADDRESS + 1]),
        notify if wants_to_know else None,
    )


def _signed(variables: list[tuple[bytes, bytes]], block: bytes) -> bytes | None:
    """Return the bytes that a signature covers: all before ``sign``, which must stand last."""
    name, value = variables[-1]
    return block[: -(2 + len(name) + 2 + len(value))] if name == b"sign" else None


def _number(values: Mapping[bytes, bytes], name: bytes) -> int:
    digits = values.get(name, b"0")
    # 20 digits hold every 64-bit number; more would only make int() work.
    if not digits.isdigit() or len(digits) > 20:
        raise SubscriptionError(f"{name.decode()} {digits[:24]!r} is not a decimal number")
    return int(digits)


def _text(values: Mapping[bytes, bytes], name: bytes) -> str | None:
    value = values.get(name)
    return to_text(value) if value else None


def _proto(text: str | None) -> Proto:
    if text is None:
        return "uwsgi"
    proto = _SECURE.get(text.lower()) or _PROTOS.get(text[0])
    if proto is None:
        raise SubscriptionError(f"proto {text[:24]!r} is none of {', '.join(_PROTOS.values())}")
    return proto


def _node(values: Mapping[bytes, bytes]) -> tuple[str, Proto]:
    """Return the plain address of a node, and what it speaks."""
    raw = values[b"address"]
    try:
        address, said = split_scheme(raw.decode())
    except UnicodeDecodeError:
        raise SubscriptionError(f"the address {raw[:40]!r} is not UTF-8 text") from None
    except AddressError as exc:
        raise SubscriptionError(f"the address {show(raw[:80])!r}: {exc}") from None
    text = _text(values, b"proto")
    proto = _proto(text)
    if said is None or said == proto:
        return address, proto
    if text is not None:
        raise SubscriptionError(f"the address {show(raw[:80])!r} says {said}, proto says {proto}")
    return address, said


def plain_datagram(datagram: bytes) -> bytes:
    """Return an announce as routers understand it that know no schemes: with a plain address, and ``proto``.

    Without a scheme, and if it is signed, it stays as it is: a signature covers what was said.

    Args:
        datagram: one that :func:`decode` has accepted.
    """
    if b":/" not in datagram and b"unix:" not in datagram.lower():
        return datagram
    variables = decode_variables(datagram[HEADER_SIZE:])
    values = dict(variables)
    address, proto = _node(values)
    if values.get(b"sign") or address.encode() == values[b"address"]:
        return datagram
    plain = [pair for pair in variables if pair[0] not in {b"address", b"proto"}]
    plain.insert(1, (b"address", address.encode()))
    if proto != "uwsgi":
        plain.append((b"proto", proto.encode()))
    if HEADER_SIZE + sum(4 + len(name) + len(value) for name, value in plain) > MAX_DATAGRAM:
        return datagram
    return encode_packet(plain, datagram[0], datagram[3])


def _check_address(address: str) -> None:
    try:
        size = len(address.encode())
    except UnicodeEncodeError:
        raise SubscriptionError(f"the address {address[:40]!r} is not UTF-8 text") from None
    if not 1 <= size <= MAX_ADDRESS:
        raise SubscriptionError(f"the address has {size} bytes, not 1 to {MAX_ADDRESS}")
    # It becomes the node's name in logs, where a line end would forge a line. (A NUL in front makes
    # it abstract.)
    if not address.removeprefix("\0").isprintable():
        raise SubscriptionError(f"the address {address[:40]!r} holds control characters")
    try:
        parse_node_address(address)
    except AddressError as exc:
        raise SubscriptionError(f"the address {address[:80]!r}: {exc}") from None


def _check_number(name: str, number: int, maximum: int, *, minimum: int = 0) -> None:
    if not minimum <= number <= maximum:
        raise SubscriptionError(f"{name} {number} is not from {minimum} to {maximum}")
