"""HTTP header fields: names, hop-by-hop fields, lengths, and a cache of parsed lines (RFC 9110 section 5)."""

import itertools
import re
from collections.abc import Callable
from typing import ClassVar, Final, TypeVar

#: Fragment of a pattern: one byte of a token (RFC 9110 section 5.6.2).
TOKEN_BYTE: Final = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]"
#: Fragment of a pattern: one byte of a field's value or of the white space around it (RFC 9110 section 5.5).
VALUE_BYTE: Final = rb"[\t\x20-\x7e\x80-\xff]"

#: All of TOKEN_BYTE.
TOKEN_BYTES: Final = bytes(byte for byte in range(256) if re.match(TOKEN_BYTE, bytes((byte,))))
#: All of VALUE_BYTE. ``head.translate(None, VALUE_BYTES)`` leaves control bytes only: the line ends, in a valid head.
VALUE_BYTES: Final = bytes(byte for byte in range(256) if byte == 9 or (byte >= 32 and byte != 127))
#: ``text.translate(ONLY_VALUE_BYTES) == text`` if all of it is VALUE_BYTE: no bytes are copied to see this.
ONLY_VALUE_BYTES: Final = bytes(byte if byte in VALUE_BYTES else ord("?") for byte in range(256))

#: Many lines are the same in message after message (Accept, Server...), others never come again (X-Request-Id...). The
#: lines of one message in so many are remembered: those that repeat soon are among them, the others cost little.
REMEMBERED: Final = 32

#: Fields about one connection, not about the message: never passed on (RFC 9110 section 7.6.1, and
#: obsolete ones that are still sent).
HOP_BY_HOP: Final = frozenset(
    {
        b"connection",
        b"http2-settings",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)

#: Fields about where a request comes from, and what others of that family begin with.
FORWARDING_NAMES: Final = frozenset({b"forwarded", b"x-real-ip"})
FORWARDING_PREFIX: Final = b"x-forwarded-"

_TOKEN = re.compile(TOKEN_BYTE + rb"+")
_LENGTH_DIGITS: Final = 18

V = TypeVar("V")


class BoundedCache(dict[bytes, V]):
    """Bounded cache (about a megabyte) of what was computed of short byte strings; ``__missing__`` computes."""

    _ENTRIES: ClassVar[int] = 2048
    _KEY_SIZE: ClassVar[int] = 64

    def keep(self, key: bytes, value: V) -> V:
        """Remember and return ``value``; a full cache begins anew: who fills it with noise only costs time."""
        if len(key) <= self._KEY_SIZE:
            if len(self) >= self._ENTRIES:
                self.clear()
            self[key] = value
        return value


def remembering() -> Callable[[], bool]:
    """Return a function that says of each message whether its lines are to be cached."""
    return itertools.cycle((True, *(False,) * (REMEMBERED - 1))).__next__


def split_head(head: bytes) -> list[bytes] | None:
    """Return the lines of a head that ends with an empty one, without that one; None if a CR or LF stands alone."""
    # splitlines() splits at a CR or LF alone, too: joined with CR LF, such lines have become longer.
    lines = head.splitlines()
    lines.pop()
    return lines if len(b"\r\n".join(lines)) == len(head) - 4 else None


def has_control_byte(lines: list[bytes]) -> bool:
    """Say whether any of these lines has a byte that no field may have."""
    text = b"".join(lines)
    return text.translate(ONLY_VALUE_BYTES) != text


class FieldNames(BoundedCache[bytes]):
    """Cache of field names: as sent -> lower case; b"" for what is no token."""

    def __missing__(self, raw: bytes) -> bytes:
        return self.keep(raw, raw.lower()) if _TOKEN.fullmatch(raw) else b""


#: ``names[b"X-Foo"] == b"x-foo"``, ``names[b"X Foo"] == b""``; shared by all parsers.
names: Final = FieldNames()


def is_forwarding(name: bytes) -> bool:
    """Say whether a field, by its lower-case name, is about where a request comes from: not everybody's is believed."""
    return name.startswith(FORWARDING_PREFIX) or name in FORWARDING_NAMES


def tokens(value: bytes) -> list[bytes]:
    """Split a comma-separated value: elements in lower case, trimmed of white space, empty ones left out."""
    return [token for part in value.lower().split(b",") if (token := part.strip(b" \t"))]


def parse_content_length(value: bytes) -> int | None:
    """Read a Content-Length (RFC 9110 section 8.6).

    Returns:
        The number of bytes, or None unless the value is ``1*DIGIT`` with at most 18 digits after leading zeros.
    """
    # bytes.isdigit() knows ASCII digits only, unlike str.isdigit(); int() alone would take "+5", "0_5" and " 5".
    if not value.isdigit():
        return None
    digits = value.lstrip(b"0")
    return int(digits or b"0") if len(digits) <= _LENGTH_DIGITS else None
