"""Walk over a head: finds the first line that does not pass as it came (RFC 9112 sections 3 to 5).

Most lines of a head mean nothing to a proxy: it checks their bytes and passes them on. The walk goes over such lines
and stops at the first one that has to be looked at: because of its name (:class:`Watched`), or because it is not written as
usual, or is wrong. The caller looks at that line, and goes on behind it.

It is a loop over bytes where this module is compiled, and a regular expression where it is not: each is several times
slower in the other's place. Tests hold the two equal.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from uwsgi_router.protocol.http.fields import TOKEN_BYTE, VALUE_BYTE, VALUE_BYTES

if TYPE_CHECKING:
    from mypy_extensions import i64

_LONGEST: Final = 31
_METHODS: Final = frozenset({b"GET", b"HEAD", b"POST", b"PUT", b"DELETE", b"PATCH", b"OPTIONS"})


def _table(good: Iterable[int]) -> bytes:
    """Return 256 bytes, 1 for each byte that is good and 0 for the others."""
    found = frozenset(good)
    return bytes(1 if byte in found else 0 for byte in range(256))


_NAME: Final = _table(byte for byte in range(256) if re.match(TOKEN_BYTE, bytes((byte,))))
_VALUE: Final = _table(VALUE_BYTES)
# Of a target in origin form: no fragment, nothing above ASCII.
_TARGET: Final = _table(set(range(33, 127)) - {ord("#")})


def _probe() -> None:
    pass


COMPILED: Final = not hasattr(_probe, "__code__")


class Watched:
    """Table of the fields at which a walk stops.

    The loop knows names by their first letter and their length only, and so stops at a few others, too: what a line is
    is decided by whoever looks at it.

    Args:
        names: lower-case names; one that ends with ``-`` means all that begin so.
        underscore: the walk stops at names with ``_``.
        usual: the walk stops at lines that are not written ``Name: value``.
    """

    __slots__ = ("_first", "_lengths", "_match", "_name", "_usual")

    def __init__(self, names: Iterable[bytes], *, underscore: bool, usual: bool) -> None:
        names = sorted(names)
        rows = {letter: row for row, letter in enumerate({name[0] for name in names}, 1)}
        first = bytearray(256)
        lengths = bytearray((_LONGEST + 1) * (len(rows) + 1))
        for name in names:
            row = rows[name[0]]
            first[name[0]] = first[name[:1].upper()[0]] = row
            longest = _LONGEST if name.endswith(b"-") else len(name)
            for length in range(len(name), longest + 1):
                lengths[row * (_LONGEST + 1) + length] = 1
        self._first = bytes(first)
        self._lengths = bytes(lengths)
        self._name = _table(
            byte for byte in range(256) if _NAME[byte] and (byte != 95 or not underscore)
        )
        self._usual = usual
        self._match = _pattern(names, underscore=underscore, usual=usual).match

    def stop(self, data: bytes, at: int) -> int:
        """Return where the first line begins that has to be looked at, or the empty line that ends the head.

        Args:
            data: has an empty line at ``at`` or behind it.
            at: where a line begins.
        """
        if COMPILED:
            return self.loop(data, at)
        found = self._match(data, at)
        return at if found is None else found.end()

    def loop(self, data: bytes, at: i64) -> i64:
        """Do the same in a loop over bytes."""
        first, lengths, name, usual = self._first, self._lengths, self._name, self._usual
        while True:
            start = at
            while name[data[at]] == 1:
                at += 1
            size: i64 = at - start
            if size == 0 or data[at] != 58:
                return start
            row: i64 = first[data[start]]
            if row != 0 and lengths[row * 32 + (min(31, size))] == 1:
                return start
            at += 1
            if usual:
                if data[at] != 32:
                    return start
                at += 1
                if data[at] == 32 or data[at] == 9:
                    return start
            begin = at
            while _VALUE[data[at]] == 1:
                at += 1
            if data[at] != 13 or data[at + 1] != 10:
                return start
            if usual and at > begin and (data[at - 1] == 32 or data[at - 1] == 9):
                return start
            at += 2


def _pattern(names: list[bytes], *, underscore: bool, usual: bool) -> re.Pattern[bytes]:
    """Return a pattern for as many lines as pass; it gives no byte back that it took."""
    name_byte = TOKEN_BYTE.replace(b"_", b"") if underscore else TOKEN_BYTE
    watched = b"|".join(re.escape(name) + (b"" if name.endswith(b"-") else b":") for name in names)
    letters = {name[0] for name in names} | {name[:1].upper()[0] for name in names}
    other = bytes(
        byte for byte in range(256) if re.match(name_byte, bytes((byte,))) and byte not in letters
    )
    # Names that begin with another letter need no second look.
    name = b"(?:[%b]|(?!(?i:%b))%b)%b*+:" % (re.escape(other), watched, name_byte, name_byte)
    if usual:
        visible = VALUE_BYTE.replace(rb"\t\x20", rb"\x21")
        value = b" (?:%b++(?:[\\t ]++%b++)*)?" % (visible, visible)
    else:
        value = VALUE_BYTE + b"*+"
    return re.compile(b"(?:%b%b\\r\\n)*" % (name, value))


def line_end(data: bytes, at: int) -> int:
    """Return where the line ends that begins at ``at``: at its CR LF, or at a byte that no line may have."""
    if COMPILED:
        return _line_end(data, at)
    found = _LINE_BYTES(data, at)
    return at if found is None else found.end()


_LINE_BYTES: Final = re.compile(VALUE_BYTE + b"*+").match


def _line_end(data: bytes, at: i64) -> i64:
    while _VALUE[data[at]] == 1:
        at += 1
    return at


def cut(block: bytes) -> list[bytes]:
    """Return the names and values of lines ``Name: value``, in turn.

    Args:
        block: lines that are right and written as usual, each with its end.
    """
    if COMPILED:
        return cut_loop(block)
    pieces: list[bytes] = []
    for line in block.split(b"\r\n"):
        name, _, value = line.partition(b": ")
        pieces += (name, value)
    return pieces[:-2]


def cut_loop(block: bytes) -> list[bytes]:
    """Do the same in a loop over bytes."""
    pieces: list[bytes] = []
    at: i64 = 0
    stop: i64 = len(block)
    while at < stop:
        start = at
        while block[at] != 58:
            at += 1
        pieces.append(block[start:at])
        at += 2
        start = at
        while block[at] != 13:
            at += 1
        pieces.append(block[start:at])
        at += 2
    return pieces


def request_line(data: bytes) -> tuple[bytes, bytes, int, bool, bool] | None:
    """Read a usual request line: a method of RFC 9110 or PATCH, a target in origin form and in ASCII, HTTP/1.1.

    Args:
        data: a whole head; at least 8 bytes.

    Returns:
        (method, target, where the fields begin, the target has a query, its path has to be normalised); None if the
        line is another, or wrong.
    """
    if COMPILED:
        return request_line_loop(data)
    found = _REQUEST_LINE(data)
    if found is None:
        return None
    method, target, path, query = found.groups()
    return method, target, found.end(), query is not None, b"%" in path or b"/." in path


_REQUEST_LINE: Final = re.compile(
    rb"(%b) ((/[\x21\x22\x24-\x3e\x40-\x7e]*+)(\?[\x21\x22\x24-\x7e]*+)?) HTTP/1\.1\r\n"
    % b"|".join(sorted(_METHODS))
).match


def request_line_loop(data: bytes) -> tuple[bytes, bytes, int, bool, bool] | None:
    """Do the same in a loop over bytes."""
    at: i64 = 0
    while at < 8 and data[at] != 32:
        at += 1
    method = data[:at]
    at += 1
    if method not in _METHODS or data[at] != 47:
        return None
    begin = at
    query = odd = False
    while _TARGET[data[at]] == 1:
        if not query:
            if data[at] == 63:
                query = True
            elif data[at] == 37 or (data[at] == 46 and data[at - 1] == 47):
                odd = True
        at += 1
    end = at + 11
    if data[at:end] != b" HTTP/1.1\r\n":
        return None
    return method, data[begin:at], end, query, odd
