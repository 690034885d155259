"""Readers of option values: one :class:`Kind` for each sort of value.

Every reader takes the text and returns the typed value, or raises ``ValueError`` with what was expected. uWSGI reads
leading digits and ignores the rest (``10x`` is 10, ``abc`` is 0); a router that serves must not guess.
"""

import enum
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from uwsgi_router.protocol.address import (
    AddressError,
    parse_address,
    parse_datagram_address,
    parse_listen_address,
)
from uwsgi_router.protocol.http.origin import TrustedPeers
from uwsgi_router.protocol.key import key_fault
from uwsgi_router.protocol.named_node import parse_node
from uwsgi_router.protocol.scheme import split_scheme
from uwsgi_router.protocol.text import to_bytes
from uwsgi_router.router.config.types import CodeString

T = TypeVar("T")

MAX_SECONDS = 366 * 24 * 3600
MAX_BYTES = 1 << 40
OFF_WORDS = frozenset({"false", "off", "no", "0"})
ON_WORDS = frozenset({"true", "on", "yes", "1"})


class Argument(enum.Enum):
    """Need of an option for a value on the command line."""

    REQUIRED = "required"
    NONE = "none"
    OPTIONAL = "optional"
    """Only as ``--name=value``, as getopt has it."""
    WORD = "word"
    """The next word too, if it is a boolean one."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A sort of value.

    Attributes:
        shown: how help names the value (``SECONDS``), empty for switches.
        parse: text to value; raises ``ValueError`` with what was expected.
        argument: whether the command line needs one.
        boolean: true and false are values, too.
        zero: what 0 is read as, if that is not 0.
        free: ``%(word)`` and ``$(WORD)`` may be part of a value.
        octal: numbers are written to the base of eight.
    """

    shown: str
    parse: Callable[[str], object]
    argument: Argument = Argument.REQUIRED
    boolean: bool = False
    zero: float | None = None
    free: bool = False
    octal: bool = False

    def show(self, value: object) -> str:
        """Return a value as one would write it."""
        if isinstance(value, bool):
            return "on" if value else "off"
        if isinstance(value, int) and self.octal:
            return f"{value:o}"
        if isinstance(value, tuple):
            return ", ".join(map(str, value))
        return f"{value:g}" if isinstance(value, float) else str(value)


def is_on(text: str) -> bool:
    """Read a switch as uWSGI does: off for false, off, no and 0; on for anything else, nothing included."""
    return text.strip().lower() not in OFF_WORDS


def _switch(text: str) -> bool:
    word = text.strip().lower()
    if word and word not in ON_WORDS | OFF_WORDS:
        raise ValueError("expected true or false (or yes, no, on, off, 1, 0, or nothing for true)")
    return is_on(word)


def _switch_off(text: str) -> bool:
    return not _switch(text)


def _text(text: str) -> str:
    if not text:
        raise ValueError("expected a value")
    return text


def _key(text: str) -> str:
    if not 1 <= len(text.encode("utf-8", "surrogateescape")) <= 255:
        raise ValueError("expected a key of 1 to 255 bytes")
    fault = key_fault(to_bytes(text))
    if fault is not None:
        raise ValueError(f"expected a key that requests can have: {fault}")
    return text


def fields_of(text: str, form: str) -> dict[str, str]:
    """Read ``key=value,…``; a backslash before a comma makes it part of the value.

    Raises:
        ValueError: it is none, and ``form`` is expected.
    """
    fields: dict[str, str] = {}
    for part in text.replace("\\,", "\0").split(","):
        key, equals, value = part.replace("\0", ",").partition("=")
        if not key or not equals:
            raise ValueError(f"expected {form}")
        if key in fields:
            raise ValueError(f"expected {key} only once")
        fields[key] = value
    return fields


def integer(shown: str, low: int, high: int, *, zero: int | None = None) -> Kind:
    """Return the kind of a whole number from ``low`` to ``high``; 0 means ``zero`` if that is given."""

    def parse(text: str) -> int:
        expected = f"expected a whole number from {low} to {high}"
        if not (text.isascii() and text.isdigit() and len(text) <= 15):
            raise ValueError(expected)
        number = int(text)
        if zero is not None and number == 0:
            return zero
        if not low <= number <= high:
            raise ValueError(expected)
        return number

    return Kind(shown, parse, zero=zero)


def seconds(*, zero: float | None = None) -> Kind:
    """Return the kind of a time in seconds, with decimals; 0 means ``zero`` if that is given, else it is refused."""

    def parse(text: str) -> float:
        whole, point, decimals = text.partition(".")
        digits = whole + decimals
        if not (digits.isascii() and digits.isdigit() and len(digits) <= 15 and (whole or point)):
            raise ValueError("expected a number of seconds, for example 30 or 0.5")
        value = float(text)
        if value == 0:
            if zero is None:
                raise ValueError("expected a number of seconds above 0")
            return zero
        if value > MAX_SECONDS:
            raise ValueError("expected at most a year of seconds")
        return value

    return Kind("SECONDS", parse, zero=zero)


def switch_or(kind: Kind, *, on: object, off: object) -> Kind:
    """Return the kind of a switch that may have a value of its own, instead of true (``on``) or false (``off``)."""

    def parse(text: str) -> object:
        word = text.strip().lower()
        if not word or word in ON_WORDS:
            return on
        return off if word in OFF_WORDS else kind.parse(text)

    return Kind(f"[{kind.shown}]", parse, Argument.OPTIONAL, boolean=True)


def choice(*words: str) -> Kind:
    """One of a few words."""

    def parse(text: str) -> str:
        if text not in words:
            raise ValueError(f"expected {', '.join(words[:-1])} or {words[-1]}")
        return text

    return Kind("|".join(words), parse)


def _mode(text: str) -> int:
    if not text:
        return 0o666
    return _octal(text)


def _socket_path(text: str) -> str:
    refuse_bare_port(text)
    if not text or text.startswith(("@", "=", "fd://")) or ":" in text.partition("/")[0]:
        raise ValueError(
            "expected a socket's path: only its file's permissions say who may connect"
        )
    _checked(parse_listen_address, text)
    return text


def _octal(text: str) -> int:
    if not (1 <= len(text) <= 4 and all(c in "01234567" for c in text)) or int(text, 8) > 0o777:
        raise ValueError("expected an octal mode, for example 660")
    return int(text, 8)


def refuse_bare_port(text: str) -> None:
    """Refuse a number alone: it would be the path of a socket in the working directory, which nobody means.

    Raises:
        ValueError: it is one.
    """
    if text.isascii() and text.isdigit():
        raise ValueError(f"expected an address: for a port write :{text}, a path needs a slash")


def _listen(text: str) -> str:
    refuse_bare_port(text)
    _checked(parse_listen_address, text)
    return text


def _node(text: str) -> str:
    plain = _checked(split_scheme, text)[0]
    if "," in plain and ":" in plain and not plain.startswith(("/", "@")):
        raise ValueError("expected one address, without modifier; repeat the option for more")
    if text.isascii() and text.isdigit():
        raise ValueError(f"expected an address: for a port of this machine write 127.0.0.1:{text}")
    _checked(parse_node, text)
    return text


def _datagram(text: str) -> str:
    refuse_bare_port(text)
    _checked(parse_datagram_address, text)
    return text


def _stats(text: str) -> str:
    refuse_bare_port(text)
    _checked(lambda value: parse_address(value, allow_port_zero=True), text)
    return text


def _checked(parse: Callable[[str], T], text: str) -> T:
    try:
        return parse(text)
    except AddressError as error:
        raise ValueError(f"expected host:port, [v6]:port or a socket path: {error}") from None


def _socket_or_index(text: str) -> str:
    if text.isascii() and text.isdigit() and len(text) > 6:
        raise ValueError("expected an address or a small number")
    if text and not (text.isascii() and text.isdigit()):
        _checked(parse_node, text)
    return text


def _pattern(text: str) -> str:
    if not text:
        raise ValueError("expected an address with %s where the key goes")
    plain = _checked(split_scheme, text)[0]
    host, colon, _ = plain.rpartition(":")
    if colon and not plain.startswith("/") and "%s" in host.replace("%%", ""):
        raise ValueError(
            "expected a pattern that fixes the host: with %s in it, clients would choose where to connect"
        )
    return text


def _code(text: str) -> CodeString:
    parts = text.split(":")
    if len(parts) != 3 or not parts[1] or not parts[2].isidentifier():
        raise ValueError("expected 0:FILE:FUNCTION, for example 0:/etc/mapper.py:choose")
    if parts[0] != "0":
        raise ValueError("expected 0 (Python) before FILE: no other language runs here")
    return CodeString(parts[1], parts[2])


def _base(text: str) -> str:
    if not text:
        raise ValueError("expected the beginning of an address, for example /run/sockets/")
    _checked(split_scheme, text)
    return text


def _owner(text: str) -> str:
    user, colon, group = text.partition(":")
    if not user or (colon and not group):
        raise ValueError("expected user or user:group")
    return text


def _assignment(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise ValueError("expected NAME=VALUE")
    return name, value


def networks(text: str) -> list[str]:
    """Read networks, addresses and ``unix``, separated by commas or blanks.

    Raises:
        ValueError: with what was expected.
    """
    found = text.replace(",", " ").split()
    if not found:
        raise ValueError("expected networks, for example 10.0.0.0/8, or unix")
    try:
        TrustedPeers(found)
    except ValueError as error:
        raise ValueError(f"expected networks or unix: {error}") from None
    return found


TEXT = Kind("TEXT", _text)
FILE = Kind("FILE", _text)
DIRECTORY = Kind("DIRECTORY", _text)
KEY = Kind("KEY", _key)
SWITCH = Kind("", _switch, Argument.NONE, boolean=True)
SWITCH_OFF = Kind("", _switch_off, Argument.NONE, boolean=True)
SWITCH_WORD = Kind("[true|false]", _switch, Argument.WORD, boolean=True)
DATE = Kind("[true|false]", is_on, Argument.OPTIONAL)
MODE = Kind("[MODE]", _mode, Argument.OPTIONAL)
OCTAL = Kind("MODE", _octal, octal=True)
SOCKET_PATH = Kind("PATH", _socket_path)
LISTEN = Kind("ADDRESS", _listen)
NODE = Kind("ADDRESS", _node)
DATAGRAM = Kind("ADDRESS", _datagram)
STATS = Kind("ADDRESS", _stats)
SOCKET_OR_INDEX = Kind("[N|ADDRESS]", _socket_or_index, Argument.OPTIONAL)
CODE = Kind("0:FILE:FUNCTION", _code)
PATTERN = Kind("PATTERN", _pattern)
BASE = Kind("PREFIX", _base)
USER = Kind("USER", _text)
GROUP = Kind("GROUP", _text)
OWNER = Kind("USER[:GROUP]", _owner)
ASSIGNMENT = Kind("NAME=VALUE", _assignment, free=True)
SPACED = Kind("TEXT", lambda text: _text(text) + " ")
COUNT = integer("N", 0, 1_000_000)
BYTES = integer("BYTES", 0, MAX_BYTES)
SECONDS = seconds()
ANY = Kind("TEXT", str)
"""Read by nobody: options that are refused or have nothing to act on."""
ANY_FILE = Kind("FILE", str)
ANY_ASSIGNMENT = Kind("NAME=VALUE", str)
ANY_SWITCH = Kind("", str, Argument.NONE, boolean=True)
ANY_OPTIONAL = Kind("[TEXT]", str, Argument.OPTIONAL)
