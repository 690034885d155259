"""Log: format, destination, escaping of what peers sent, and rate limits of lines.

Everybody else writes ``logging.getLogger("uwsgi-router.<area>")`` and passes what peers sent as
plain arguments; the formatter here escapes it, in one place.
"""

import logging
import sys
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from io import TextIOWrapper
from math import inf
from typing import TextIO

from uwsgi_router.protocol.text import printable
from uwsgi_router.router.config.errors import StartError
from uwsgi_router.router.config.model import ProcessConfig
from uwsgi_router.router.core.files import give, open_file
from uwsgi_router.subscriptions.client.output import (
    LineOutput,
    as_text,
    open_for_lines,
    standard_error,
)

ROOT = "uwsgi-router"

_DATE = "%Y-%m-%d %H:%M:%S %z"
_LEVELS = {
    logging.DEBUG: "debug",
    logging.INFO: "info",
    logging.WARNING: "warning",
    logging.ERROR: "error",
    logging.CRITICAL: "critical",
}


def setup(config: ProcessConfig) -> None:
    """Send all log lines (asyncio's too) to standard error, or append them to ``logto``.

    Called once, before privileges are dropped, so that the file may lie where only root can make
    it.

    Raises:
        StartError: if the file cannot be opened.
    """
    formatter = LineFormatter(dated=config.log_date)
    handler: logging.Handler = logging.StreamHandler(_standard_error(formatter))
    to_udp = config.logto is not None and ":" in config.logto
    if config.logto is not None and not to_udp:
        try:
            handler = LogFile(config.logto, formatter)
        except OSError as exc:
            raise StartError(f"cannot write the log file {config.logto}: {exc.strerror}") from exc
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    if to_udp:
        # uWSGI takes every logto with a colon for a UDP address.
        logging.getLogger(ROOT).warning(
            "logto=%s: logging over UDP is not supported, using stderr", config.logto
        )


def dropped_lines() -> int:
    """Return how many lines could not be written, since the start."""
    return sum(output.dropped for output in _outputs)


_outputs: list[LineOutput] = []


def _notice(formatter: "LineFormatter") -> Callable[[int, str], str]:
    return lambda count, why: formatter.line("%d lines were dropped: %s", count, why)


def _standard_error(formatter: "LineFormatter") -> TextIO:
    output = standard_error(_notice(formatter))
    if output is not None:
        _outputs.append(output)
    return sys.stderr


class LogFile(logging.FileHandler):
    """Log file of ``logto``; when it takes no lines, one on standard error says so."""

    def __init__(self, path: str, formatter: "LineFormatter") -> None:
        self._lines = formatter
        super().__init__(path)

    def _open(self) -> TextIOWrapper:
        fd = open_for_lines(self.baseFilename, open_file)
        output = LineOutput(fd, _notice(self._lines), self._failed, owned=True)
        _outputs.append(output)
        return as_text(output)

    def _failed(self, why: str) -> None:
        text = "%s can't be written, lines are dropped until it can: %s"
        if sys.stderr is not None:
            sys.stderr.write(self._lines.line(text, self.baseFilename, why) + "\n")

    def reopen(self) -> None:
        """Open the file by its name again: it has been renamed; if it can't be opened, the old one is kept."""
        try:
            fresh = self._open()
        except OSError as exc:
            text = "cannot open %s again, the old one is kept: %s"
            logging.getLogger(ROOT).error(  # noqa: TRY400 - the operator's one line
                text, self.baseFilename, exc.strerror
            )
            return
        old = self.setStream(fresh)
        if old is not None:
            old.close()

    def give(self, uid: int, gid: int | None) -> None:
        """Give the file to the user that the process becomes, so that it can be opened again."""
        if self.stream is not None:
            give(self.stream.fileno(), uid, gid)


def log_file() -> LogFile | None:
    """Return the log file of :func:`setup`, if there is one."""
    found = (one for one in logging.getLogger().handlers if isinstance(one, LogFile))
    return next(found, None)


class LineFormatter(logging.Formatter):
    """Formatter of one line per record: ``DATE LEVEL AREA: MESSAGE``.

    A traceback follows on lines of its own, each marked with a bar, so that text inside it cannot
    pass for a record.
    """

    def __init__(self, *, dated: bool) -> None:
        super().__init__(datefmt=_DATE)
        self._dated = dated

    def line(self, msg: str, *args: object) -> str:
        """Make the text of a warning about the log itself."""
        return self.format(
            logging.LogRecord(f"{ROOT}.log", logging.WARNING, "", 0, msg, args, None)
        )

    def format(self, record: logging.LogRecord) -> str:
        """Make the text of ``record``."""
        level = _LEVELS.get(record.levelno, record.levelname.lower())
        area = record.name.removeprefix(ROOT + ".")
        line = f"{level} {area}: {printable(record.getMessage())}"
        if self._dated:
            line = f"{self.formatTime(record, self.datefmt)} {line}"
        if record.exc_info:
            trace = self.formatException(record.exc_info)
            line += "".join(f"\n  | {printable(part)}" for part in trace.splitlines())
        return line


@dataclass(slots=True)
class _Silence:
    """Pause of a key: until when it logs nothing, and how many lines were left out."""

    end: float = -inf
    left_out: int = 0


class RateLimited:
    """Rate limit of log lines: at most ``per_second`` for each key; the next line tells how many were left out.

    Give it keys from a small set (a reason, an option), not what a peer sent. At most ``max_keys``
    are remembered; while all of them are busy, further keys share one place, so neither memory nor
    the log grows with the number of keys.
    """

    def __init__(
        self,
        logger: logging.Logger,
        *,
        per_second: float = 1.0,
        max_keys: int = 100,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._logger = logger
        self._interval = 1.0 / per_second
        self._max_keys = max_keys
        self._clock = clock
        # In the order in which they end, because all are equally long.
        self._silenced: dict[Hashable, _Silence] = {}
        # For all further keys while the dictionary is full.
        self._others = _Silence()

    def warning(self, key: Hashable, msg: str, *args: object) -> None:
        """Log a warning, unless one with this key was logged a moment ago."""
        self.log(logging.WARNING, key, msg, *args)

    def error(
        self, key: Hashable, msg: str, *args: object, exc_info: BaseException | None = None
    ) -> None:
        """Log an error (with its traceback if given), unless a line with this key was logged a moment ago."""
        self.log(logging.ERROR, key, msg, *args, exc_info=exc_info)

    def info(self, key: Hashable, msg: str, *args: object) -> None:
        """Log an information, unless a line with this key was logged a moment ago."""
        self.log(logging.INFO, key, msg, *args)

    def log(
        self,
        level: int,
        key: Hashable,
        msg: str,
        *args: object,
        exc_info: BaseException | None = None,
    ) -> None:
        """Log at ``level``, unless a line with this key was logged a moment ago."""
        now = self._clock()
        silence = self._silenced.get(key)
        if silence is None and len(self._silenced) >= self._max_keys:
            oldest = next(iter(self._silenced))
            if now < self._silenced[oldest].end:
                silence = self._others
            else:
                del self._silenced[oldest]
        if silence is None:
            silence = _Silence()
        if now < silence.end:
            silence.left_out += 1
            return
        if silence.left_out:
            msg, args = msg + " (and %d more like it)", (*args, silence.left_out)
        silence.end, silence.left_out = now + self._interval, 0
        if silence is not self._others:
            # Taken out and put in again: the dictionary stays in the order in which silences end.
            self._silenced.pop(key, None)
            self._silenced[key] = silence
        self._logger.log(level, msg, *args, exc_info=exc_info)
