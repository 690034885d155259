"""Links on the way to a file: whoever has made one decides what the path leads to, and may change that at any time."""

import os
import stat
from typing import Final

# As the kernel: more of them are a circle.
_MOST: Final = 40


def resolve(path: str) -> tuple[os.stat_result, frozenset[int]]:
    """Return the status of what a path leads to, and the owners of the links on its way.

    Each part of the path is looked at once, so that both agree, whatever somebody changes meanwhile.

    Args:
        path: absolute.

    Raises:
        OSError: it leads to nothing.
    """
    owners: set[int] = set()
    place, rest, links = "/", path.split("/")[::-1], 0
    found = os.lstat(place)
    while rest:
        name = rest.pop()
        if name in ("", "."):
            continue
        here = os.path.dirname(place) if name == ".." else os.path.join(place, name)
        found = os.lstat(here)
        if not stat.S_ISLNK(found.st_mode):
            place = here
            continue
        links += 1
        if links > _MOST:
            raise OSError(f"{path}: too many links")
        owners.add(found.st_uid)
        target = os.readlink(here)
        if target.startswith("/"):
            place = "/"
        rest += target.split("/")[::-1]
        found = os.lstat(place)
    return found, frozenset(owners)
