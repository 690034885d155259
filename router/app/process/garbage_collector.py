"""Python's cyclic collector, in a program that leaves it next to nothing (docs/decisions.md)."""

import gc
from typing import Final

# A full collection looks at everything that lives. With 100,000 nodes in the table it stopped the router for 100 to
# 185 ms, every few seconds while announces came; requests waited, and datagrams were lost.
_FULL_AFTER: Final = 1_000


def calm() -> None:
    """Have full collections done about a hundred times less often, and not of what is there already."""
    first, second, _third = gc.get_threshold()
    gc.set_threshold(first, second, _FULL_AFTER)
    gc.collect()
    gc.freeze()
