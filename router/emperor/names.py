"""Names of vassals' files: which of them a monitor takes."""

import os
from collections.abc import Collection
from typing import Final

#: Endings of files that are vassals (uWSGI: core/emperor.c).
ENDINGS: Final = (".xml", ".ini", ".yml", ".yaml", ".js", ".json")
#: Bytes that a name may have.
LONGEST: Final = 254


def is_valid(name: str, extra: Collection[str] = ()) -> bool:
    """Return True if a file of this name is a vassal's.

    Args:
        name: of the file, or its whole path.
        extra: further endings.
    """
    return len(os.fsencode(name)) <= LONGEST and name.endswith((*ENDINGS, *extra))
