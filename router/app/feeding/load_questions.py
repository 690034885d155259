"""Questions to the workers for what the requests are that they serve; one at a time, whoever wants to know."""

import asyncio
from collections.abc import Collection, Mapping
from typing import Final

from uwsgi_router.router.proxy.running import NodeLoad
from uwsgi_router.router.table.feed.parts import Worker

#: Seconds for the workers' answers; one whose loop is stuck gives none.
PATIENCE: Final = 1.0


class LoadQuestion:
    """Question for the loads of nodes, which some workers have been asked.

    Args:
        number: of the question.
        workers: that were asked.

    Attributes:
        number: see above.
        loads: what they have answered so far, added up, by key and name of the node.
    """

    def __init__(self, number: int, workers: Collection[Worker]) -> None:
        self.number = number
        self.loads: dict[tuple[str, str], NodeLoad] = {}
        self._missing = set(workers)
        self._over = asyncio.Event()
        if not self._missing:
            self._over.set()

    @property
    def is_over(self) -> bool:
        """True if no answer is missing, or nobody waits for it any longer."""
        return self._over.is_set()

    def answered(self, worker: Worker, loads: Mapping[tuple[str, str], NodeLoad]) -> None:
        """Take in a worker's answer; a second one counts as none."""
        if worker not in self._missing:
            return
        for place, load in loads.items():
            self.loads.setdefault(place, NodeLoad()).add(load)
        self.left(worker)

    def left(self, worker: Worker) -> None:
        """Note that a worker will answer no more."""
        self._missing.discard(worker)
        if not self._missing:
            self._over.set()

    async def wait(self, seconds: float = PATIENCE) -> Mapping[tuple[str, str], NodeLoad]:
        """Return what the workers have answered, or those of them that did so in time."""
        try:
            async with asyncio.timeout(seconds):
                await self._over.wait()
        except TimeoutError:
            # Whoever asks next asks anew.
            self._over.set()
        return self.loads
