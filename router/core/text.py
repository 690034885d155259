"""Text of bytes that came from a peer, for logs and statistics."""


def show(data: bytes) -> str:
    """Return bytes from a peer as text; the log escapes what is not printable."""
    return data.decode("utf-8", "backslashreplace")
