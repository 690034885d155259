"""Whether this package is compiled: loops over bytes are fast then, and slow otherwise."""

from typing import Final


def _probe() -> None:
    pass


#: True in a compiled build, in which functions have no byte code.
COMPILED: Final = not hasattr(_probe, "__code__")
