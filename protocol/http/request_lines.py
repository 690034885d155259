"""Header field rules of requests (pass on, read, drop), and a cache of known lines."""

from typing import ClassVar, Final

from uwsgi_router.protocol.http.errors import HttpError, quoted
from uwsgi_router.protocol.http.fields import (
    FORWARDING_NAMES,
    FORWARDING_PREFIX,
    HOP_BY_HOP,
    BoundedCache,
    has_control_byte,
    is_forwarding,
    names,
    remembering,
)

_UNDERSCORE: Final = ord("_")

# Field rules. What is read is not among ``RequestHead.block``, but in other attributes.
PLAIN: Final = 0  # passed on
FORWARDING: Final = 1  # passed on, and noted
COOKIE: Final = 2  # passed on, all of them in one
KEPT_ONCE: Final = 3  # passed on; a second one is an error
READ_ONCE: Final = 4  # read; a second one is an error
READ: Final = 5  # read; what a second one says is added
DROPPED: Final = 6
NO_NAME: Final = 7
_RULES: Final = {
    **dict.fromkeys(HOP_BY_HOP, DROPPED),
    # It would become HTTP_PROXY, which programs take for their configuration (CVE-2016-5385).
    b"proxy": DROPPED,
    **dict.fromkeys((b"transfer-encoding", b"connection", b"expect", b"upgrade"), READ),
    **dict.fromkeys((b"host", b"content-length"), READ_ONCE),
    b"content-type": KEPT_ONCE,
    b"cookie": COOKIE,
}


class FieldRules(BoundedCache[tuple[bytes, int]]):
    """Cache of names as sent -> (lower-case name, rule)."""

    def __missing__(self, raw: bytes) -> tuple[bytes, int]:
        lower = names[raw]
        if not lower:
            return lower, NO_NAME
        if lower in _RULES:
            rule = _RULES[lower]
        elif _UNDERSCORE in lower:
            # CGI's names can't tell X_Y from X-Y: who may not set the one could set it as the other.
            rule = DROPPED
        else:
            rule = FORWARDING if is_forwarding(lower) else PLAIN
        return self.keep(raw, (lower, rule))


class KnownLines(BoundedCache[tuple[bytes, bytes, int] | None]):
    """Cache of good lines ``Name: value`` -> None if they are only passed on, else (lower-case name, value, rule)."""

    _ENTRIES: ClassVar[int] = 1024
    _KEY_SIZE: ClassVar[int] = 256


def watched_names() -> list[bytes]:
    """Return the names with another rule than :data:`PLAIN`; one that ends with ``-`` means all that begin so."""
    return [*_RULES, *FORWARDING_NAMES, FORWARDING_PREFIX]


field_rules: Final = FieldRules()
known_lines: Final = KnownLines()
UNKNOWN: Final = (b"", b"", NO_NAME)
_remembers = remembering()


def parse_odd_line(line: bytes) -> tuple[bytes, int, bytes, bytes]:
    """Return (lower-case name, rule, value, line as usual) of a line that is not just ``Name: value``."""
    raw, colon, value = line.partition(b":")
    name, rule = field_rules[raw]
    if not colon or rule == NO_NAME:
        raise HttpError(400, "bad-field", f"no header field: {quoted(line)}")
    value = value.strip()
    return name, rule, value, raw + b": " + value


def check_lines(lines: list[bytes]) -> None:
    """Look for control bytes in lines that look right otherwise; remember them, sometimes, if there are none."""
    if has_control_byte(lines):
        raise HttpError(400, "bad-field", "a control byte in a header field")
    if _remembers():
        for line in lines:
            raw, separator, value = line.partition(b": ")
            name, rule = field_rules[raw]
            if rule != NO_NAME and separator and value.strip() is value:
                known_lines.keep(line, (name, value, rule) if rule else None)
