"""Keys of the table that may answer for a request: dotsplit, mountpoints (uWSGI: plugins/corerouter/cr_map.c)."""

from collections.abc import Iterator


def mountpoint_key(key: bytes, path: bytes, segments: int) -> bytes:
    """Make the key of a mountpoint: the request's key and the first segments of its path.

    Args:
        key: the request's key, usually ``host``.
        path: PATH_INFO; what doesn't begin with a slash adds nothing.
        segments: how many; 0 adds nothing. A shorter path adds what it has.

    Returns:
        For example ``example.com/shop`` for one segment of ``/shop/cart``.
    """
    if not segments or not path.startswith(b"/"):
        return key
    # Split no further than needed: the path may be long, and most of it is of no interest.
    taken = path.split(b"/", segments + 1)[1 : segments + 1]
    return b"/".join([key, *(segment for segment in taken if segment)])


def other_keys(key: bytes, *, dotsplit: bool, mountpoints: bool) -> Iterator[bytes]:
    """Return the keys to look for when ``key`` itself has no node, best first.

    Args:
        key: at most 255 bytes.
        dotsplit: cut labels off from the left, the dot stays: ``a.b.example.com`` ->
            ``.b.example.com`` -> ``.example.com`` -> ``.com``. uWSGI stops after five look-ups and
            so never reaches the short ones of a long name; here it goes on to the last dot, which
            255 bytes bound to 254 steps.
        mountpoints: the bare key, before the first slash, comes first; the rest follow from it.
    """
    if mountpoints:
        bare, slash, _ = key.partition(b"/")
        if slash and bare:
            key = bare
            yield key
    if dotsplit:
        dot = key.find(b".", 1)
        while dot > 0:
            key = key[dot:]
            yield key
            dot = key.find(b".", 1)
