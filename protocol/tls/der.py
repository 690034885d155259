"""DER reader: elements of tag, length and value, strictly as X.690 section 10 has them, as far as certificates need."""

from typing import Final

from uwsgi_router.protocol.tls.errors import CertificateError

BOOLEAN: Final = 0x01
INTEGER: Final = 0x02
BIT_STRING: Final = 0x03
OCTET_STRING: Final = 0x04
OBJECT_ID: Final = 0x06
UTF8_STRING: Final = 0x0C
PRINTABLE_STRING: Final = 0x13
TELETEX_STRING: Final = 0x14
IA5_STRING: Final = 0x16
UTC_TIME: Final = 0x17
GENERALIZED_TIME: Final = 0x18
UNIVERSAL_STRING: Final = 0x1C
BMP_STRING: Final = 0x1E
SEQUENCE: Final = 0x30
SET: Final = 0x31


class Elements:
    """Elements that stand one behind the other, read in order.

    Args:
        data: all of them.
    """

    __slots__ = ("_data", "_pos")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._pos = 0

    @property
    def tag(self) -> int:
        """Tag of the next element, -1 if there is none."""
        return self._data[self._pos] if self._pos < len(self._data) else -1

    def next(self) -> tuple[int, bytes]:
        """Read an element of any tag.

        Returns:
            Its tag and its value.

        Raises:
            CertificateError: it is not there whole, has a tag of several bytes, or a length that is not in its
                shortest form.
        """
        data, start = self._data, self._pos + 2
        if start > len(data):
            raise CertificateError(f"the DER ends at byte {len(data)}, inside an element")
        tag, size = data[self._pos], data[self._pos + 1]
        if tag & 0x1F == 0x1F:
            raise CertificateError(f"a DER tag of several bytes at byte {self._pos}")
        if size > 0x7F:
            start += size & 0x7F
            digits = data[self._pos + 2 : start]
            size = int.from_bytes(digits)
            if not 0 < len(digits) <= 4 or digits[0] == 0 or size < 0x80:
                raise CertificateError(f"a DER length in a wrong form at byte {self._pos + 1}")
        end = start + size
        if end > len(data):
            raise CertificateError(f"a DER element ends {end - len(data)} bytes behind the end")
        self._pos = end
        return tag, data[start:end]

    def value(self, tag: int) -> bytes:
        """Read an element that has to have a tag.

        Raises:
            CertificateError: it has another one, or as for :meth:`next`.
        """
        found, value = self.next()
        if found != tag:
            raise CertificateError(f"DER with tag 0x{found:02x} in the place of 0x{tag:02x}")
        return value

    def optional(self, tag: int) -> bytes | None:
        """Read an element that may be missing; None if the next one has another tag.

        Raises:
            CertificateError: as for :meth:`next`.
        """
        return self.value(tag) if self.tag == tag else None

    def end(self) -> None:
        """Make sure that nothing is left.

        Raises:
            CertificateError: something is.
        """
        if self._pos != len(self._data):
            raise CertificateError(f"{len(self._data) - self._pos} bytes follow the DER")


def read_one(data: bytes, tag: int) -> bytes:
    """Return the value of an element that is all of the data.

    Raises:
        CertificateError: it is not, or has another tag.
    """
    elements = Elements(data)
    value = elements.value(tag)
    elements.end()
    return value


def read_object_id(value: bytes) -> str:
    """Return an object identifier in its dotted form.

    Raises:
        CertificateError: it is empty, cut off, or not in its shortest form.
    """
    if not value or value[-1] & 0x80:
        raise CertificateError("an object identifier is cut off")
    numbers: list[int] = []
    number = 0
    fresh = True
    for byte in value:
        if fresh and byte == 0x80:
            raise CertificateError("an object identifier has needless zeros")
        number = number << 7 | byte & 0x7F
        fresh = byte < 0x80
        if fresh:
            numbers.append(number)
            number = 0
    first = min(numbers[0] // 40, 2)
    return ".".join(str(part) for part in (first, numbers[0] - 40 * first, *numbers[1:]))
