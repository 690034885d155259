"""Micro benchmark: a call that is measured."""

from collections.abc import Callable
from dataclasses import dataclass, field
from time import perf_counter


@dataclass(slots=True)
class Micro:
    """Micro benchmark: a call that is measured.

    Attributes:
        prepare: makes what is called again and again; what it needs before is not measured.
        count: how many operations one call of that does.
    """

    prepare: Callable[[], Callable[[], object]]
    count: int = 1
    _prepared: Callable[[], object] | None = field(default=None, init=False)

    def time(self, loops: int) -> float:
        """Return the seconds that so many calls take."""
        if self._prepared is None:
            self._prepared = self.prepare()
        call = self._prepared
        began = perf_counter()
        for _ in range(loops):
            call()
        return perf_counter() - began
