"""Parts of a feed: what is kept alike in several processes, as its owner and as a process with a copy see it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from uwsgi_router.router.table.feed.frames import Record


@dataclass(frozen=True, slots=True)
class Worker:
    """Process with a copy.

    Attributes:
        number: of the worker, from 0.
        generation: each reload begins another.
        pid: its process id.
    """

    number: int
    generation: int = 0
    pid: int = 0

    def __str__(self) -> str:
        return f"worker {self.number}"


class OwnedPart(Protocol):
    """Part as the process that decides has it."""

    @property
    def name(self) -> str:
        """First word of its records."""

    def snapshot(self, worker: Worker | None) -> Iterator[Record]:
        """Yield all of it for a worker that has joined; None: for a successor, which decides from now on."""

    def changes(self) -> list[Record]:
        """Return what has changed since the last call."""

    def joined(self, worker: Worker) -> None:
        """Note a worker that gets a snapshot next."""

    def left(self, worker: Worker) -> None:
        """Note that a worker has ended: what it counted stays, what it held is free."""

    def report(self, worker: Worker, word: str, values: Sequence[Any]) -> None:
        """Take in what a worker reports.

        Raises:
            RecordError: it makes no sense.
        """

    def adopt(self, word: str, values: Sequence[Any]) -> None:
        """Take in what a predecessor, or a worker with a copy, knew.

        Raises:
            RecordError: it makes no sense.
        """

    def adopted(self) -> None:
        """Note that all of it was taken in."""


class FedPart(Protocol):
    """Part as a process with a copy has it."""

    @property
    def name(self) -> str:
        """First word of its records."""

    def attached(self, *, again: bool, taken: bool) -> None:
        """Note another owner.

        Args:
            again: it knows nothing of what was counted here: all is to be told again.
            taken: it knows all that was told to the one before it.
        """

    def begin(self) -> None:
        """Note that a snapshot begins."""

    def end(self) -> None:
        """Note that a snapshot is whole: what it did not name is not there any more."""

    def apply(self, word: str, values: Sequence[Any]) -> None:
        """Take in what the owner says.

        Raises:
            RecordError: it makes no sense.
        """

    def urgent(self) -> list[Record]:
        """Return what the owner has to know at once."""

    def counts(self) -> list[Record]:
        """Return what was counted since the last call."""

    def snapshot(self) -> Iterator[Record]:
        """Yield all of it, for a new owner that knows nothing."""


class Increments:
    """Increments of counters: what was counted since it was last told.

    Names are any hashable values, counters tuples of numbers that only grow.
    """

    def __init__(self) -> None:
        self._told: dict[object, tuple[int, ...]] = {}
        self._origin: dict[object, tuple[int, ...]] = {}

    def take(self, name: object, values: tuple[int, ...]) -> tuple[int, ...] | None:
        """Return by how much counters have grown since they were told last; None: not at all."""
        told = self._told.get(name)
        if told == values:
            return None
        self._told[name] = values
        if told is None:
            return values if any(values) else None
        return tuple(now - before for now, before in zip(values, told, strict=True))

    def repeat(self) -> None:
        """Tell everything again that was counted since the last :meth:`settle`."""
        self._told = dict(self._origin)

    def settle(self) -> None:
        """Note that what was told is known for good."""
        self._origin = dict(self._told)

    def forget(self, name: object) -> None:
        """Forget a name that is not counted any more."""
        self._told.pop(name, None)
        self._origin.pop(name, None)


class Sums:
    """Sums of what the workers counted: of those that live each, of those that have ended all together."""

    def __init__(self) -> None:
        self._of: dict[Worker, dict[object, tuple[int, ...]]] = {}

    def joined(self, worker: Worker) -> None:
        """Note a worker."""
        self._of[worker] = {}

    def add(self, worker: Worker, name: object, values: tuple[int, ...]) -> None:
        """Count what a worker has told."""
        counted = self._of.setdefault(worker, {})
        before = counted.get(name)
        if before is not None:
            values = tuple(one + other for one, other in zip(before, values, strict=True))
        counted[name] = values

    def left(self, worker: Worker) -> dict[object, tuple[int, ...]]:
        """Note that a worker has ended; return what it had counted."""
        return self._of.pop(worker, {})

    def of(self, worker: Worker) -> dict[object, tuple[int, ...]]:
        """Return what a worker has counted."""
        return self._of.get(worker, {})

    def living(self, name: object, width: int) -> tuple[int, ...]:
        """Return what the workers that live have counted together, as ``width`` numbers."""
        total = [0] * width
        for counted in self._of.values():
            for index, value in enumerate(counted.get(name, ())):
                total[index] += value
        return tuple(total)

    def forget(self, name: object) -> None:
        """Forget a name that is not counted any more."""
        for counted in self._of.values():
            counted.pop(name, None)
