"""Routing keys in their normal form: lower-case host, no final dot, path as it is; announced and looked up alike."""

import re
from typing import Final

_UNFIT: Final = re.compile(rb"[\x00-\x20\x7f]")


def key_forms(key: bytes) -> tuple[bytes, bytes]:
    """Return a key in its normal form, and the same without its port.

    The host, which is what stands before the first slash, is in lower case and has no final dot; the path of a
    mountpoint keeps its case. An IPv6 host keeps its brackets. uWSGI compares byte for byte (docs/compatibility.md).
    """
    host, slash, path = key.partition(b"/")
    host = host.lower()
    name, colon, port = host.rpartition(b":")
    if (
        not colon
        or (port and not port.isdigit())
        or name.endswith(b":")
        or (b":" in name and not name.endswith(b"]"))
    ):
        name, port = host, b""
    rest = slash + path
    bare = name.rstrip(b".")
    return (bare + b":" + port if port else bare) + rest, bare + rest


def normal_key(key: bytes) -> bytes:
    """Return a key in its normal form, which stays the same if it is made normal again."""
    return key_forms(key)[0]


def key_fault(key: bytes) -> str | None:
    """Return why no request can have this key, None if one can."""
    if not key:
        return "the key is empty"
    if _UNFIT.search(key):
        return f"the key {key[:80]!r} holds a blank or a control character"
    if not normal_key(key):
        return f"the key {key[:80]!r} names no host"
    return None
