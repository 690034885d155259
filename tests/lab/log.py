"""The program's log, which a test may wait for."""

import asyncio
import logging

from tests.lab.waiting import PATIENCE


class Log(logging.Handler):
    """Every line since the test began."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.lines: list[str] = []
        self._waiter: asyncio.Event | None = None

    def emit(self, record: logging.LogRecord) -> None:
        line = f"{record.levelname.lower()} {record.getMessage()}"
        if record.exc_info:
            line += logging.Formatter().formatException(record.exc_info)
        self.lines.append(line)
        if self._waiter is not None:
            self._waiter.set()

    def having(self, text: str) -> list[str]:
        return [line for line in self.lines if text in line]

    async def line(self, text: str) -> str:
        """The first line that has ``text``, as soon as it is there."""
        self._waiter = asyncio.Event()
        async with asyncio.timeout(PATIENCE):
            while not (found := self.having(text)):
                self._waiter.clear()
                await self._waiter.wait()
        return found[0]
