"""Life of what a program runs: started and stopped on its event loop, or for the time of an ``async with``."""

import asyncio
from abc import ABC, abstractmethod
from typing import Self


class Lifecycle(ABC):
    """Service that can be started, stopped, and started again."""

    @abstractmethod
    async def start(self) -> None:
        """Begin to serve; returns once clients can connect."""

    @abstractmethod
    async def stop(self) -> None:
        """Stop; does nothing if it does not run."""

    async def serve(self) -> None:
        """Serve until cancelled, then stop as :meth:`stop` does; a second cancellation ends what still runs.

        Raises:
            ParameterError: as :meth:`start`.
            StartError: as :meth:`start`.
        """
        async with self:
            await asyncio.get_running_loop().create_future()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_exc: object) -> None:
        await self.stop()
