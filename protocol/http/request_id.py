"""Request ids: the field X-Request-ID in heads for nodes and clients, in place of what these say themselves."""

import re
from typing import Final

_FIELD: Final = re.compile(rb"\r\nx-request-id:[^\r\n]*", re.IGNORECASE)
# What is taken of another proxy: visible characters, and few.
_ID: Final = re.compile(rb"[\x21-\x7e]{1,128}")


def with_request_id(head: bytes, request_id: bytes) -> bytes:
    """Return a head with this id and no other one.

    Args:
        head: with the empty line that ends it.
        request_id: visible ASCII characters.
    """
    if b"x-request-id" in head.lower():
        head = _FIELD.sub(b"", head)
    return b"%bX-Request-ID: %b\r\n\r\n" % (head[:-2], request_id)


def is_request_id(value: bytes) -> bool:
    """Return True if a field's value is an id that may be passed on, and logged."""
    return _ID.fullmatch(value) is not None
