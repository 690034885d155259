"""Walk over a head, byte by byte: finds the first line that does not pass as it came (RFC 9112 sections 3 to 5).

Most lines of a head mean nothing to a proxy: it checks their bytes and passes them on. The walk goes over such lines
and stops at the first one that has to be looked at: because of its name (:class:`Watched`), or because it is not
written as usual, or is wrong. The caller looks at that line, and goes on behind it.

Compiled, a byte costs some ten instructions. Interpreted it costs hundreds: then heads are cut into lines instead, of
which those that come again and again are remembered (``request_lines.py``, ``response.py``). Tests hold the two equal.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from uwsgi_router.protocol.http.fields import TOKEN_BYTES

if TYPE_CHECKING:
    from mypy_extensions import i64


_METHODS: Final = frozenset({b"GET", b"HEAD", b"POST", b"PUT", b"DELETE", b"PATCH", b"OPTIONS"})
_UNDERSCORE: Final = ord("_")
# Stands for several third letters.
_ANY: Final = 1


def _table(good: Iterable[int]) -> bytes:
    """Return 256 bytes, 1 for each byte that is good and 0 for the others."""
    found = frozenset(good)
    return bytes(1 if byte in found else 0 for byte in range(256))


class Watched:
    """Table of the fields at which a walk stops.

    Names are known by their first letter, their third and their length only, so that the walk stops at a few others,
    too: what a line is is decided by whoever looks at it.

    Args:
        names: lower-case names; one that ends with ``-`` means all that begin so.
        underscore: the walk stops at names with ``_``.
        usual: the walk stops at lines that are not written ``Name: value``.
    """

    __slots__ = ("_first", "_name", "_thirds", "_usual")

    def __init__(self, names: Iterable[bytes], *, underscore: bool, usual: bool) -> None:
        names = tuple(names)
        rows = {letter: row for row, letter in enumerate(sorted({name[0] for name in names}), 1)}
        first = bytearray(256)
        # 32 bytes for each first letter: the third letter of the name that has that length; 31 stands for all above.
        thirds = bytearray(32 * (len(rows) + 1))
        for name in names:
            row = rows[name[0]]
            first[name[0]] = first[name[:1].upper()[0]] = row
            # Of a name of two letters it is the colon.
            third = (name + b":")[2] if len(name) > 1 else _ANY
            shortest = min(len(name), 31)
            longest = 31 if name.endswith(b"-") else shortest
            for length in range(shortest, longest + 1):
                place = row * 32 + length
                thirds[place] = third if thirds[place] in {0, third} else _ANY
        self._first = bytes(first)
        self._thirds = bytes(thirds)
        self._name = _table(set(TOKEN_BYTES) - ({_UNDERSCORE} if underscore else set()))
        self._usual = usual

    def stop(self, data: bytes, at: i64) -> i64:
        """Return where the first line begins that has to be looked at, or the empty line that ends the head.

        Args:
            data: has an empty line at ``at`` or behind it.
            at: where a line begins.
        """
        first, thirds, name, usual = self._first, self._thirds, self._name, self._usual
        while True:
            start = at
            while name[data[at]] == 1:
                at += 1
            size: i64 = at - start
            if size == 0 or data[at] != 58:  # a colon
                return start
            row: i64 = first[data[start]]
            if row != 0:
                third: i64 = thirds[row * 32 + min(31, size)]
                if third != 0:
                    letter: i64 = data[start + 2]
                    if third == letter | 32 or third == _ANY:
                        return start
            at += 1
            if usual:
                if data[at] != 32 or data[at + 1] == 32 or data[at + 1] == 9:
                    return start
                at += 1
            begin = at
            # As in line_end(), which would be called here if calls cost nothing.
            byte: i64 = data[at]
            while (byte > 31 and byte != 127) or byte == 9:
                at += 1
                byte = data[at]
            if byte != 13 or data[at + 1] != 10:
                return start
            if usual and at > begin and (data[at - 1] == 32 or data[at - 1] == 9):
                return start
            at += 2


def line_end(data: bytes, at: i64) -> i64:
    """Return where the CR LF is of the line that begins at ``at``; -1 if a byte stands before it that no line may have.

    Args:
        data: has an empty line at ``at`` or behind it.
        at: where a line begins.
    """
    # VALUE_BYTES. To compare takes fewer instructions than to look into a table, whose bounds are checked.
    byte: i64 = data[at]
    while (byte > 31 and byte != 127) or byte == 9:
        at += 1
        byte = data[at]
    if byte != 13 or data[at + 1] != 10:
        return -1
    return at


def field_colon(data: bytes, at: i64, end: i64) -> i64:
    """Return where the first colon of a line is; ``end`` if it has none.

    Args:
        data: a head.
        at: where the line begins.
        end: where its CR LF is.
    """
    while at < end and data[at] != 58:
        at += 1
    return at


def field_value(data: bytes, colon: i64, end: i64) -> i64:
    """Return where a field's value begins, behind white space; ``end`` if it is empty."""
    at = colon + 1
    while at < end and (data[at] == 32 or data[at] == 9):
        at += 1
    return at


def value_end(data: bytes, begin: i64, end: i64) -> i64:
    """Return where a field's value ends, before white space."""
    while end > begin and (data[end - 1] == 32 or data[end - 1] == 9):
        end -= 1
    return end


def number(data: bytes, at: i64, end: i64) -> i64:
    """Return the number that stands there; -1 if it is not of 1 to 18 digits, and nothing else."""
    if at >= end or end - at > 18:
        return -1
    found: i64 = 0
    while at < end:
        digit: i64 = data[at] - 48
        if digit < 0 or digit > 9:
            return -1
        found = found * 10 + digit
        at += 1
    return found


def may_be_event_stream(data: bytes, colon: i64, end: i64) -> bool:
    """Return False if a field's value is certainly not ``text/event-stream``, from one of its letters."""
    at = field_value(data, colon, end)
    return end - at >= 17 and data[at + 5] | 32 == 101  # text/e


def request_line(data: bytes) -> tuple[bytes, bytes, int, bool, bool] | None:
    """Read a usual request line: a method of RFC 9110 or PATCH, a target in origin form and in ASCII, HTTP/1.1.

    Args:
        data: has an empty line somewhere.

    Returns:
        (method, target, where the fields begin, the target has a query, its path has to be normalised); None if the
        line is another, or wrong.
    """
    at: i64 = 0
    byte: i64 = data[at]
    while 32 < byte < 127:
        at += 1
        byte = data[at]
    method = data[:at]
    if method not in _METHODS or byte != 32 or data[at + 1] != 47:
        return None
    begin = at + 1
    at = begin
    query = odd = False
    byte = data[at]
    # No fragment, nothing above ASCII.
    while 32 < byte < 127 and byte != 35:
        if not query:
            if byte == 63:  # a question mark
                query = True
            elif byte == 37 or (byte == 46 and data[at - 1] == 47):  # %, /.
                odd = True
        at += 1
        byte = data[at]
    end = at + 11
    if data[at:end] != b" HTTP/1.1\r\n":
        return None
    return method, data[begin:at], end, query, odd
