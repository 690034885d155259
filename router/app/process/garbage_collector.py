"""Garbage collector settings: rare full collections (docs/decisions.md)."""

import gc
from typing import Final

# A full collection looks at everything that lives. With 100,000 nodes in the table it stopped the router for 100 to
# 185 ms, every few seconds while announces came; requests waited, and datagrams were lost.
_FULL_AFTER: Final = 1_000


def tune_gc() -> None:
    """Freeze start-up objects and raise the threshold of full collections a hundredfold."""
    first, second, _third = gc.get_threshold()
    gc.set_threshold(first, second, _FULL_AFTER)
    gc.collect()
    gc.freeze()
