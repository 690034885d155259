"""One thing to fuzz: it takes any bytes, and fails if a promise of the code is broken.

A target returns a short word for what happened (accepted, or which refusal). Inputs that make a new
word are kept and mutated further.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Target:
    """A name, what to call, and which recorded packets to start from."""

    name: str
    check: Callable[[bytes], str]
    seeds: Callable[[bytes], list[bytes]]


def outcome(error: Exception) -> str:
    """Return the words of a refusal without the values in it."""
    return re.sub(r"b?'.*'|b?\".*\"|\d+", "_", str(error), flags=re.DOTALL)[:60]
