"""Text and bytes of peers and options: UTF-8, and what is not UTF-8 is kept, or shown to people."""


def to_bytes(text: str) -> bytes:
    """Return the bytes of a text that :func:`to_text` made, or that the command line or a file gave.

    Raises:
        UnicodeEncodeError: it has surrogates that stand for no byte.
    """
    return text.encode("utf-8", "surrogateescape")


def to_text(data: bytes) -> str:
    """Return bytes as text; each one that is not UTF-8 as a surrogate, from which :func:`to_bytes` makes it again."""
    return data.decode("utf-8", "surrogateescape")


def show(data: bytes | str) -> str:
    r"""Return what a peer sent as text that UTF-8 can encode: each byte that is not UTF-8 as ``\xNN``."""
    if isinstance(data, str):
        data = to_bytes(data)
    return data.decode("utf-8", "backslashreplace")


def printable(text: str) -> str:
    r"""Escape what is not printable as Python would: ``\n``, ``\x1b``, ``\u202e``, surrogates."""
    if text.isprintable():
        return text
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text
    )
